package sqlserver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"

	mssql "github.com/microsoft/go-mssqldb"

	"slipstream/applier"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// value is a canonical text as the driver takes it, NULL with the type of the parameter.
func (t travel) value(r *typeRow, text []byte) (any, error) {
	switch t {
	case travelInteger:
		if text == nil {
			return sql.NullInt64{}, nil
		}
		return strconv.ParseInt(string(text), 10, 64)
	case travelBit:
		if text == nil {
			return sql.NullBool{}, nil
		}
		return len(text) == 1 && text[0] == '1', nil
	case travelFloat:
		if text == nil {
			return sql.NullFloat64{}, nil
		}
		return strconv.ParseFloat(string(text), 64)
	case travelBinary:
		if text == nil {
			return []byte(nil), nil
		}
		return text, nil
	}
	if text == nil {
		return sql.NullString{}, nil
	}
	return r.wire(text), nil
}

// isNull tells whether a value is NULL, of whatever type.
func isNull(v any) bool {
	if b, ok := v.([]byte); ok {
		return b == nil
	}
	_, ok := v.(driver.Valuer)
	return ok
}

// stage fills a new temporary table with some columns of some rows, and names it. It goes with the transaction, or when it
// is dropped.
func (x *txn) stage(ctx context.Context, b *bound, w *applier.Write, columns []int, rows []int32) (*source, error) {
	x.staged++
	s := b.newSource(fromTable, columns, len(rows), 1, "#slipstream_"+strconv.Itoa(x.staged))
	// What does not fit is found before anything is sent: a bulk copy that is broken off takes the connection with it.
	values := make([][]any, len(rows))
	for n, row := range rows {
		var err error
		if values[n], err = b.encode(make([]any, 0, len(columns)), w, columns, row); err != nil {
			return nil, err
		}
	}
	if _, err := x.exec(ctx, b.stageTable(s)); err != nil {
		return nil, err
	}
	names := []string{"n"}
	for i := range columns {
		names = append(names, "c"+strconv.Itoa(i))
	}
	err := x.conn.Raw(func(c any) error {
		return copyRows(ctx, c.(*mssql.Conn), s.table, names, len(rows), func(n int, row []any) {
			row[0] = int64(n)
			for i, v := range values[n] {
				row[i+1] = v
				if isNull(v) {
					row[i+1] = nil
				}
			}
		})
	})
	return s, numbered(ctx, x.conn, err)
}

// stageTable is the statement that makes the temporary table of a source.
func (b *bound) stageTable(s *source) string {
	var columns strings.Builder
	for n, i := range s.columns {
		typ := b.typ(i)
		collate := ""
		if typ.collation != "" && !strings.EqualFold(typ.collation, b.facts.temporary) {
			collate = " COLLATE " + typ.collation
		}
		fmt.Fprintf(&columns, ", c%d %s%s NULL", n, typ.declared(), collate)
	}
	return fmt.Sprintf("CREATE TABLE %s (n int NOT NULL%s)", s.table, columns.String())
}

// copyRows fills a table by bulk copy. An error that is not the server's leaves the connection in the middle of a packet:
// then it is of no use any more.
func copyRows(ctx context.Context, c *mssql.Conn, table string, columns []string, rows int, fill func(n int, row []any)) error {
	bulk := c.CreateBulkContext(ctx, table, columns)
	row := make([]any, len(columns))
	for n := range rows {
		if err := ctx.Err(); err != nil {
			return broken(err)
		}
		fill(n, row)
		if err := bulk.AddRow(row); err != nil {
			return broken(err)
		}
	}
	done, err := bulk.Done()
	switch {
	case err != nil:
		return broken(err)
	case done != int64(rows):
		return broken(fmt.Errorf("bulk copy took %d of %d rows", done, rows))
	}
	return nil
}

func broken(err error) error {
	var e mssql.Error
	if errors.As(err, &e) {
		return err
	}
	return &fault.Error{Class: flowv1.FaultClass_FAULT_CLASS_CONNECTION, Err: errors.Join(err, driver.ErrBadConn)}
}
