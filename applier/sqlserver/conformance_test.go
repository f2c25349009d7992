package sqlserver_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"

	"slipstream/applier/applytest"
	"slipstream/applier/sqlserver"
	"slipstream/applier/value"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// address is the variable that names a server to run the conformance suite on, as sqlserver://user:password@host:port?database=name.
// The account must be allowed to create databases there, or, where it is not, the tables of the named one are used, which
// must be empty then: the suite removes what it makes.
const address = "SLIPSTREAM_SQLSERVER_DSN"

// TestConformance runs the suite on a real server where one is named. No such server can be started by a test; what can be
// known without one the other tests of this folder show.
func TestConformance(t *testing.T) {
	for _, bulk := range []string{"true", "false"} { // with temporary tables, and without
		s, named := newServer(t, bulk)
		if !named {
			t.Logf("to run the conformance suite on a server of your own: %s='sqlserver://user:password@host:1433?database=master' go test ./sqlserver", address)
			return
		}
		t.Run("bulk_copy="+bulk, func(t *testing.T) { applytest.Run(t, s.harness(), s.groups(t)...) })
	}
}

// BenchmarkWrites measures the write path on a server that is named.
func BenchmarkWrites(b *testing.B) {
	s, named := newServer(b, "true")
	if !named {
		b.Logf("name a server in %s", address)
		return
	}
	applytest.Bench(b, s.harness())
}

// server is one to make databases on.
type server struct {
	dsn   *url.URL
	admin *sql.DB
	bulk  string
}

func newServer(t testing.TB, bulk string) (*server, bool) {
	t.Helper()
	text := os.Getenv(address)
	if text == "" {
		return nil, false
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "sqlserver" || u.User == nil {
		t.Fatalf("%s is not sqlserver://user:password@host:port?database=name", address)
	}
	s := &server{dsn: u, bulk: bulk}
	s.admin = s.open(t, u.Query().Get("database"))
	return s, true
}

// groups are the groups of the suite that a server can be brought to which this test did not start: it has no disk that could
// be filled, and may be somebody's who does not want it made read-only.
func (s *server) groups(t testing.TB) []string {
	t.Helper()
	t.Log("the group outage is left out: this test can neither fill the server's disk nor forbid it to write")
	// Those whose statements take another form without temporary tables; the rest would be done twice.
	list := []string{"write", "value", "foreach", "reject", "reference", "trouble", "lanes", "type", "index", "strategy"}
	if s.bulk == "true" {
		list = append(list, "position", "fence", "class", "network", "check", "choice", "create", "preview")
	}
	return list
}

func (s *server) open(t testing.TB, database string) *sql.DB {
	t.Helper()
	u := *s.dsn
	query := u.Query()
	query.Set("database", database)
	u.RawQuery = query.Encode()
	connector, err := mssql.NewConnector(u.String())
	if err != nil {
		t.Fatalf("%s cannot be read", address)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// databases numbers the databases of a run.
var databases atomic.Int64

// database makes a database, or empties the named one where that is not allowed.
func (s *server) database(t testing.TB) (name string, db *sql.DB) {
	t.Helper()
	name = fmt.Sprintf("slipstream_%d_%d", os.Getpid(), databases.Add(1))
	if _, err := s.admin.ExecContext(t.Context(), "CREATE DATABASE ["+name+"]"); err != nil {
		var refused mssql.Error
		if !errors.As(err, &refused) {
			t.Fatalf("making a database: %v", err)
		}
		name = s.dsn.Query().Get("database")
		db = s.open(t, name)
		s.empty(t, db)
		t.Cleanup(func() { s.empty(t, db) })
		return name, db
	}
	// The suite reads tables while a lane writes them: readers must not wait for writers. What does not know the option does
	// not need it.
	_, _ = s.admin.ExecContext(t.Context(), "ALTER DATABASE ["+name+"] SET READ_COMMITTED_SNAPSHOT ON")
	db = s.open(t, name)
	t.Cleanup(func() {
		_ = db.Close()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		s.cut(ctx, t, name, 0)
		if _, err := s.admin.ExecContext(ctx, "DROP DATABASE ["+name+"]"); err != nil {
			t.Logf("removing a database: %v", err)
		}
	})
	return name, db
}

// empty drops the tables of a database, those that others refer to last.
func (s *server) empty(t testing.TB, db *sql.DB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	for range 3 {
		tables := column[string](ctx, t, db,
			"SELECT QUOTENAME(TABLE_SCHEMA) + '.' + QUOTENAME(TABLE_NAME) FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_TYPE = 'BASE TABLE'")
		for _, table := range tables {
			if _, err := db.ExecContext(ctx, "DROP TABLE "+table); err != nil {
				t.Logf("%s: %v", table, err)
			}
		}
	}
}

// column reads the one column of a query.
func column[T any](ctx context.Context, t testing.TB, db *sql.DB, query string, args ...any) (values []T) {
	t.Helper()
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return values
}

// cut ends the sessions in a database, but one.
func (s *server) cut(ctx context.Context, t testing.TB, database string, but int) {
	t.Helper()
	sessions := column[int](ctx, t, s.admin,
		"SELECT session_id FROM sys.dm_exec_sessions WHERE database_id = DB_ID(@p1) AND session_id NOT IN (@@SPID, @p2)", database, but)
	for _, id := range sessions {
		if _, err := s.admin.ExecContext(ctx, "KILL "+strconv.Itoa(id)); err != nil {
			t.Logf("ending session %d: %v", id, err)
		}
	}
}

func (s *server) harness() applytest.Harness {
	return applytest.Harness{
		Dialect: sqlserver.New(),
		Open:    s.harnessed,
		Types: applytest.Types{
			Key: "nvarchar(200)", Text: "nvarchar(max)", Five: "nvarchar(5)", Integer: "bigint", Small: "smallint", Decimal: "decimal(12,2)", Float: "float", Boolean: "bit",
			Date: "date", Timestamp: "datetime2(6)", Zoned: "datetimeoffset(6)", Time: "time(6)", Binary: "varbinary(200)", UUID: "uniqueidentifier",
		},
		Quote:      func(name string) string { return "[" + strings.ReplaceAll(name, "]", "]]") + "]" },
		NullsFirst: true,
		Pairs:      true,
		Own:        ownTypes,
	}
}

func (s *server) harnessed(t testing.TB) applytest.Database {
	t.Helper()
	name, db := s.database(t)
	conn := &pipelinev1.Connection{
		Host: s.dsn.Hostname(), Port: s.dsn.Port(), Database: name, User: s.dsn.User.Username(),
		Args: map[string]string{"bulk_copy": s.bulk}, Options: map[string]string{},
	}
	conn.Password, _ = s.dsn.User.Password()
	for name, values := range s.dsn.Query() {
		if name != "database" {
			conn.Args[name] = values[0]
		}
	}
	return applytest.Database{
		Connection: conn,
		Exec: func(t testing.TB, statement string) {
			t.Helper()
			statement = strings.Replace(statement, " ADD COLUMN ", " ADD ", 1) // as Transact-SQL has it
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		},
		Query: func(t testing.TB, query string) [][]string { return canonical(t, db, query) },
		Drop: func(t testing.TB) {
			var own int
			if err := db.QueryRowContext(t.Context(), "SELECT @@SPID").Scan(&own); err != nil {
				t.Fatal(err)
			}
			s.cut(t.Context(), t, name, own)
		},
	}
}

// ownTypes are types that only this dialect has (spec 10.3).
var ownTypes = []applytest.OwnType{
	{
		Declared: "tinyint",
		Takes:    []applytest.Taken{{Value: "0", Want: "0"}, {Value: applytest.Number("255"), Want: "255"}},
		Refuses:  []any{"256", "-1", "1.5"},
	},
	{
		Declared: "int",
		Takes:    []applytest.Taken{{Value: "-2147483648", Want: "-2147483648"}},
		Refuses:  []any{"2147483648"},
	},
	{
		Declared: "money",
		Takes:    []applytest.Taken{{Value: "922337203685477.5807", Want: "922337203685477.5807"}, {Value: "-0.0001", Want: "-0.0001"}},
		Refuses:  []any{"922337203685477.5808", "0.00001", "$1"},
	},
	{
		Declared: "smallmoney",
		Takes:    []applytest.Taken{{Value: "-214748.3648", Want: "-214748.3648"}},
		Refuses:  []any{"214748.3648"},
	},
	{
		Declared: "decimal(38,10)",
		Takes:    []applytest.Taken{{Value: "1234567890123456789012345678.0123456789", Want: "1234567890123456789012345678.0123456789"}},
		Refuses:  []any{"0.00000000001"},
	},
	{
		Declared: "real",
		Takes:    []applytest.Taken{{Value: "0.5", Want: "0.5"}},
		Refuses:  []any{"1e39", "nan", "inf"},
	},
	{
		Declared: "datetime",
		Takes:    []applytest.Taken{{Value: "2030-02-01 10:30:45.123", Want: "2030-02-01 10:30:45.123"}, {Value: "1753-01-01", Want: "1753-01-01 00:00:00"}},
		Refuses:  []any{"2030-02-01 10:30:45.1234"},
	},
	{
		Declared: "smalldatetime",
		Takes:    []applytest.Taken{{Value: "2030-02-01 10:30", Want: "2030-02-01 10:30:00"}},
	},
	{
		Declared: "varchar(8)",
		Takes:    []applytest.Taken{{Value: "Grüße", Want: "Grüße"}, {Value: "a  ", Want: "a  "}},
		Refuses:  []any{"123456789"},
	},
	{
		Declared: "nchar(4)",
		Takes:    []applytest.Taken{{Value: "ab", Want: "ab  "}, {Value: "abcd", Want: "abcd"}},
		Refuses:  []any{"abcde"},
	},
	{
		Declared: "varbinary(max)",
		Takes:    []applytest.Taken{{Value: "0x00ff", Want: "\x00\xff"}},
	},
	{
		Declared: "xml",
		Takes:    []applytest.Taken{{Value: "<?xml version='1.0' encoding='utf-8'?><a>1</a>", Want: "<a>1</a>"}},
		Refuses:  []any{"<a>", "<a></b>", "a & b"},
	},
}

// shown are the types whose text in Go is not the canonical one.
var shown = map[string]value.Type{
	"BIT": {Kind: value.Boolean}, "FLOAT": {Kind: value.Float, Bits: 64}, "DECIMAL": {Kind: value.Decimal},
	"MONEY": {Kind: value.Decimal}, "SMALLMONEY": {Kind: value.Decimal}, "REAL": {Kind: value.Float, Bits: 32},
	"DATETIME": {Kind: value.Timestamp, Fraction: 3}, "SMALLDATETIME": {Kind: value.Timestamp},
	"DATE": {Kind: value.Date}, "DATETIME2": {Kind: value.Timestamp, Fraction: 6}, "TIME": {Kind: value.Time, Fraction: 6},
	"DATETIMEOFFSET": {Kind: value.Timestamp, Fraction: 6, Zoned: true},
}

// canonical returns a query's rows as package value writes them.
func canonical(t testing.TB, db *sql.DB, query string) (out [][]string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() {
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}()
	types, err := rows.ColumnTypes()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		cells, into := make([]any, len(types)), make([]any, len(types))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		row := make([]string, len(cells))
		for i, cell := range cells {
			row[i] = text(t, types[i].DatabaseTypeName(), cell)
		}
		out = append(out, row)
	}
	return out
}

func text(t testing.TB, typ string, cell any) string {
	t.Helper()
	var plain string
	switch v := cell.(type) {
	case nil:
		return applytest.Null
	case time.Time:
		plain = v.Format("2006-01-02T15:04:05.999999999Z07:00")
		if typ == "TIME" {
			plain = v.Format("15:04:05.999999999")
		}
	case []byte:
		plain = string(v)
		if typ == "UNIQUEIDENTIFIER" {
			var id mssql.UniqueIdentifier
			if err := id.Scan(v); err != nil {
				t.Fatal(err)
			}
			return strings.ToLower(id.String())
		}
	default:
		plain = fmt.Sprint(v)
	}
	if known, ok := shown[typ]; ok && plain != "" {
		out, _, err := value.Convert(nil, &known, applierv1.ValueKind_VALUE_KIND_STRING, []byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	return plain
}
