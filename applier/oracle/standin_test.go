package oracle

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	goora "github.com/sijms/go-ora/v2"
	"github.com/sijms/go-ora/v2/network"
	"go.uber.org/goleak"

	"slipstream/applier"
	"slipstream/applier/value"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// standin stands at the driver's place below database/sql: it notes statements with their parameters, and answers queries
// from a catalogue. It is no database; what it is for is to see what would be sent, and in which order.
type standin struct {
	mu      sync.Mutex
	sent    []string
	tables  map[string][]standinColumn
	kinds   map[string]string // other than TABLE
	unique  map[string][][]string
	grants  []string // empty: the table is the account's own
	rows    map[string][][]driver.Value
	fails   func(text string) error
	missed  bool // an UPDATE finds no row
	version string
}

// standinColumn is a row of readColumns behind the name.
type standinColumn struct {
	name, typ        string
	length           int
	precision, scale any
	characters       int
	used, nullable   string
	virtual, number  string
}

func number(name string, precision, scale any) standinColumn {
	return standinColumn{name: name, typ: "NUMBER", precision: precision, scale: scale, nullable: "Y"}
}

func text(name string, n int) standinColumn {
	return standinColumn{name: name, typ: "VARCHAR2", length: 4 * n, characters: n, used: "C", nullable: "Y"}
}

func other(name, typ string, scale any) standinColumn {
	return standinColumn{name: name, typ: typ, scale: scale, nullable: "Y"}
}

func newStandin() *standin {
	return &standin{
		tables: map[string][]standinColumn{
			"PUMP": {text("SERIAL", 20), text("SITE", 40), number("PSI", 10, 0)},
			"PART": {number("NO", 10, 0), text("SKU", 20), number("QTY", 12, 2)},
			"ALL_TYPES": {
				number("ID", 18, 0), number("N", nil, nil), number("N38", 38, 10), number("WHOLE", nil, 0),
				{name: "F", typ: "FLOAT", precision: 126, nullable: "Y"},
				other("BF", "BINARY_FLOAT", nil), other("BD", "BINARY_DOUBLE", nil),
				{name: "VB", typ: "VARCHAR2", length: 5, characters: 5, used: "B", nullable: "Y"},
				{name: "NV", typ: "NVARCHAR2", length: 20, characters: 10, used: "C", nullable: "Y"},
				{name: "C", typ: "CHAR", length: 40, characters: 10, used: "C", nullable: "Y"},
				other("CL", "CLOB", nil), other("NCL", "NCLOB", nil), other("BL", "BLOB", nil),
				{name: "R", typ: "RAW", length: 16, nullable: "Y"},
				other("D", "DATE", nil), other("T", "TIMESTAMP(3)", 3), other("TZ", "TIMESTAMP(6) WITH TIME ZONE", 6),
				other("TL", "TIMESTAMP(9) WITH LOCAL TIME ZONE", 9), other("YM", "INTERVAL YEAR(2) TO MONTH", 0), other("DS", "INTERVAL DAY(2) TO SECOND(6)", 6),
				other("J", "JSON", nil), other("B", "BOOLEAN", nil),
				{name: "X", typ: "XMLTYPE", nullable: "Y"},
				other("RI", "ROWID", nil), other("L", "LONG", nil),
			},
			"HIST":    {text("K", 20), text("V", 20), other("ENDED", "DATE", nil)},
			"STRANGE": {number("ID", 10, 0), {name: "AUTO", typ: "NUMBER", nullable: "N", number: "ALWAYS"}, {name: "SEQ", typ: "NUMBER", nullable: "N", number: "BY DEFAULT"}, {name: "SUM", typ: "NUMBER", nullable: "Y", virtual: "YES"}},
		},
		kinds:   map[string]string{},
		unique:  map[string][][]string{"PUMP": {{"SERIAL"}}, "PART": {{"NO", "SKU"}}, "ALL_TYPES": {{"ID"}}, "STRANGE": {{"ID"}}},
		rows:    map[string][][]driver.Value{},
		version: "19.0.0.0.0",
	}
}

// Connect implements driver.Connector.
func (s *standin) Connect(context.Context) (driver.Conn, error) {
	if s.fails != nil {
		if err := s.fails("connect"); err != nil {
			return nil, err
		}
	}
	return &standinConn{s}, nil
}

// Driver implements driver.Connector.
func (s *standin) Driver() driver.Driver { return nil }

type standinConn struct{ s *standin }

func (c *standinConn) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("not prepared here")
}
func (c *standinConn) Close() error                             { return nil }
func (c *standinConn) Begin() (driver.Tx, error)                { return nil, errors.New("without context") }
func (c *standinConn) CheckNamedValue(*driver.NamedValue) error { return nil }
func (c *standinConn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	return c, c.s.note("BEGIN", nil)
}
func (c *standinConn) Commit() error   { return c.s.note("COMMIT", nil) }
func (c *standinConn) Rollback() error { return c.s.note("ROLLBACK", nil) }

func (c *standinConn) ExecContext(_ context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.s.note(text, args); err != nil {
		return nil, err
	}
	if c.s.missed {
		return driver.RowsAffected(0), nil
	}
	return driver.RowsAffected(1), nil
}

func (c *standinConn) QueryContext(_ context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	s := c.s
	arg := func(i int) string {
		switch v := args[i].Value.(type) {
		case string:
			return v
		case sql.NullString:
			return v.String
		}
		return ""
	}
	name := ""
	if len(args) > 0 {
		name = strings.ToUpper(arg(min(1, len(args)-1)))
	}
	switch text {
	case findRelation:
		table := strings.ToUpper(arg(0))
		if _, ok := s.tables[table]; !ok || arg(1) != "" && !strings.EqualFold(arg(1), "app") {
			return rowsOf(4), nil
		}
		kind := s.kinds[table]
		if kind == "" {
			kind = "TABLE"
		}
		return rowsOf(4, []driver.Value{"APP", table, kind, int64(1)}), nil
	case readColumns:
		var out [][]driver.Value
		for _, col := range s.tables[name] {
			blank := func(s string) string { return map[bool]string{true: " ", false: s}[s == ""] }
			virtual := map[bool]string{true: "YES", false: "NO"}[col.virtual != ""]
			owner := map[bool]string{true: "SYS", false: " "}[col.typ == "XMLTYPE"]
			out = append(out, []driver.Value{
				col.name, col.typ, owner, int64(col.length), whole(col.precision), whole(col.scale), int64(col.characters), blank(col.used), col.nullable,
				int64(0), virtual, blank(col.number),
			})
		}
		return rowsOf(12, out...), nil
	case readUnique:
		var out [][]driver.Value
		for i, index := range s.unique[name] {
			for _, col := range index {
				out = append(out, []driver.Value{fmt.Sprintf("I%d", i), col})
			}
		}
		return rowsOf(2, out...), nil
	case readGrants:
		words := s.grants
		if words == nil {
			words = []string{"SELECT", "INSERT", "UPDATE", "DELETE"}
		}
		var out [][]driver.Value
		for _, w := range words {
			out = append(out, []driver.Value{w})
		}
		return rowsOf(1, out...), nil
	case readServer:
		return rowsOf(3, []driver.Value{s.version, "AL32UTF8", "PRIMARY"}), nil
	}
	if err := s.note(text, args); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for start, rows := range s.rows {
		if strings.HasPrefix(text, start) {
			return rowsOf(len(rows[0]), rows...), nil
		}
	}
	return rowsOf(1), nil
}

func whole(v any) driver.Value {
	if n, ok := v.(int); ok {
		return int64(n)
	}
	return nil
}

type standinRows struct {
	width int
	left  [][]driver.Value
}

func rowsOf(width int, rows ...[]driver.Value) *standinRows { return &standinRows{width, rows} }

func (r *standinRows) Columns() []string { return make([]string, r.width) }
func (r *standinRows) Close() error      { return nil }
func (r *standinRows) Next(dest []driver.Value) error {
	if len(r.left) == 0 {
		return io.EOF
	}
	copy(dest, r.left[0])
	r.left = r.left[1:]
	return nil
}

// note notes a statement; with parameters behind it.
func (s *standin) note(text string, args []driver.NamedValue) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails != nil {
		if err := s.fails(text); err != nil {
			return err
		}
	}
	line := strings.Join(strings.Fields(text), " ")
	if len(args) > 0 {
		var shown []string
		for _, a := range args {
			shown = append(shown, showArg(a.Value))
		}
		line += " <- " + strings.Join(shown, ", ")
	}
	s.sent = append(s.sent, line)
	return nil
}

// showArg shows a parameter: texts in quotes, N before national ones, large objects in words.
func showArg(v any) string {
	switch v := v.(type) {
	case string:
		return "'" + v + "'"
	case []byte:
		return fmt.Sprintf("0x%x", v)
	case sql.NullString:
		if !v.Valid {
			return "null"
		}
		return "'" + v.String + "'"
	case goora.NullNVarChar:
		if !v.Valid {
			return "null"
		}
		return "N'" + string(v.NVarChar) + "'"
	case goora.Clob:
		return fmt.Sprintf("clob(%d)", len(v.String))
	case goora.NClob:
		return fmt.Sprintf("nclob(%d)", len(v.String))
	case goora.Blob:
		return fmt.Sprintf("blob(%d)", len(v.Data))
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice {
		var parts []string
		for i := range r.Len() {
			parts = append(parts, showArg(r.Index(i).Interface()))
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return fmt.Sprint(v)
}

func (s *standin) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.sent
	s.sent = nil
	return out
}

func testTarget(t *testing.T, s *standin) *target {
	t.Helper()
	conn := &pipelinev1.Connection{Name: "ora", User: "app", Host: "h", Database: "XE"}
	target := newTarget(sql.OpenDB(s), conn, nil, options{poolSize: 2, statementTimeout: time.Minute})
	t.Cleanup(func() {
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	})
	return target
}

func ora(number int) error { return &network.OracleError{ErrCode: number} }

// when fails the statements that hold a text.
func when(part string, err error) func(string) error {
	return func(text string) error {
		if strings.Contains(text, part) {
			return err
		}
		return nil
	}
}

func testLane() *flowv1.Lane {
	return &flowv1.Lane{Source: "src", Pipeline: "p", Job: "j", Connection: "ora", Layout: 4, Partition: 2}
}

// output makes an output: a star marks keys, two a parent.
func output(table string, columns ...string) *pipelinev1.RelationalWrite {
	w := &pipelinev1.RelationalWrite{Table: table}
	for _, name := range columns {
		c := &pipelinev1.OutputColumn{Column: strings.TrimLeft(name, "*"), Key: strings.HasPrefix(name, "*"), Parent: strings.HasPrefix(name, "**")}
		w.Columns = append(w.Columns, c)
	}
	return w
}

// write makes a write of rows of texts, converted as the engine does; "~" is null.
func write(t *testing.T, table *applier.Table, verb applier.Verb, rows ...[]string) *applier.Write {
	t.Helper()
	w := &applier.Write{Table: table, Verb: verb, Values: &applier.Values{Count: len(rows), Columns: make([]applier.Column, len(table.Columns))}}
	for i := range table.Columns {
		c := applier.Column{Text: []byte{}}
		for _, row := range rows {
			start, state := uint32(len(c.Text)), applier.Present
			if row[i] == "~" {
				state = applier.Null
			} else {
				var err error
				if c.Text, _, err = value.Convert(c.Text, &table.Columns[i].Type, applierv1.ValueKind_VALUE_KIND_STRING, []byte(row[i])); err != nil {
					t.Fatal(err)
				}
			}
			c.Start, c.End, c.States = append(c.Start, start), append(c.End, uint32(len(c.Text))), append(c.States, state)
		}
		w.Values.Columns[i] = c
	}
	for i := range rows {
		w.Rows = append(w.Rows, int32(i))
	}
	switch verb {
	case applier.Upsert, applier.Insert:
		for i := range table.Columns {
			w.Columns = append(w.Columns, i)
		}
	case applier.Prune:
		w.Columns = table.Parents
	default:
		w.Columns = table.Keys
	}
	return w
}

func wantSent(t *testing.T, s *standin, want ...string) {
	t.Helper()
	got := s.take()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("sent\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
