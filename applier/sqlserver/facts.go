package sqlserver

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	mssql "github.com/microsoft/go-mssqldb"
)

// facts are what is known of a server once it was asked.
type facts struct {
	version   string // as CheckResponse shows it
	tooOld    bool
	collation string // that of parameters: the database's
	temporary string // that of temporary tables: the server's
	bulk      bool   // temporary tables and bulk copy work
	noBulk    string // why not

	mu    sync.Mutex
	pages map[string]int // code page by collation
}

const readServer = `SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128)), CAST(SERVERPROPERTY('Collation') AS nvarchar(128)),
  CAST(DATABASEPROPERTYEX(DB_NAME(), 'Collation') AS nvarchar(128)), CAST(SERVERPROPERTY('EngineEdition') AS int),
  CAST(SERVERPROPERTY('BabelfishVersion') AS nvarchar(128))`

// The editions whose version number is that of the product; those of Azure have had 12 from the beginning.
const firstEdition, lastEdition = 2, 4

// facts asks the server, once a target.
func (t *target) facts(ctx context.Context, conn *sql.Conn) (*facts, error) {
	t.knowing.Lock()
	defer t.knowing.Unlock()
	if t.known != nil {
		return t.known, nil
	}
	f := &facts{pages: map[string]int{}, bulk: t.mayBulk}
	err := each(ctx, conn, func(scan func(...any) error) error {
		var product, server, database, babelfish sql.NullString
		var edition sql.NullInt64
		if err := scan(&product, &server, &database, &edition, &babelfish); err != nil {
			return err
		}
		f.version, f.temporary, f.collation = "SQL Server "+product.String, server.String, database.String
		if babelfish.Valid {
			f.version = "Babelfish " + babelfish.String
		}
		major := oldestVersion // where it does not say, the statements will
		_, _ = fmt.Sscanf(product.String, "%d.", &major)
		f.tooOld = major < oldestVersion && !babelfish.Valid && edition.Int64 >= firstEdition && edition.Int64 <= lastEdition
		return nil
	}, readServer)
	if err != nil {
		return nil, err
	}
	if !f.bulk {
		f.noBulk = "bulk_copy is false"
	} else if err := tryBulk(ctx, conn); err != nil {
		if number(err) == 0 {
			return nil, err
		}
		f.bulk, f.noBulk = false, err.Error()
	}
	t.known = f
	return f, nil
}

// tryBulk makes a temporary table and copies a row into it, as big writes do.
func tryBulk(ctx context.Context, conn *sql.Conn) error {
	if _, err := exec(ctx, conn, "CREATE TABLE #slipstream_probe (n int NOT NULL, c0 nvarchar(10) NULL)"); err != nil {
		return err
	}
	err := conn.Raw(func(c any) error {
		return copyRows(ctx, c.(*mssql.Conn), "#slipstream_probe", []string{"n", "c0"}, 1, func(_ int, row []any) {
			row[0], row[1] = int64(0), "x"
		})
	})
	if err != nil {
		return numbered(ctx, conn, err)
	}
	_, err = exec(ctx, conn, "DROP TABLE #slipstream_probe")
	return err
}

// codePage is that of a collation; 0 where it has none or the server does not say.
func (f *facts) codePage(ctx context.Context, q querier, collation string) (page int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if page, known := f.pages[collation]; known {
		return page, nil
	}
	_, err = either(ctx, q, func(scan func(...any) error) error { return scan(&page) }, readCodePage, collation)
	if err == nil {
		f.pages[collation] = page
	}
	return page, err
}
