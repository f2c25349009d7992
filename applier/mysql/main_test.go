package mysql_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"slipstream/applier"
	"slipstream/applier/mysql"
	"slipstream/applier/value"
	"slipstream/deploy/dev/devserver"
	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connection leads to a database of a test server.
func connection(t testing.TB, addr, database string) *pipelinev1.Connection {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return &pipelinev1.Connection{
		Name: "db", Type: mysql.Name, Host: host, Port: port, Database: database, User: "root", Args: map[string]string{},
	}
}

// database is one test's database.
type database struct {
	addr, name string
	admin      *sql.Conn
}

// newDatabase makes a database on the shared server.
func newDatabase(t testing.TB) *database {
	t.Helper()
	server := devserver.SharedMariaDB(t)
	return connectTo(t, server.Addr, server.Database(t))
}

func connectTo(t testing.TB, addr, name string) *database {
	t.Helper()
	config := driver.NewConfig()
	config.Net, config.Addr, config.User, config.DBName = "tcp", addr, "root", name
	config.MultiStatements = true
	config.Params = map[string]string{"time_zone": "'+00:00'"}
	c, err := driver.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	pool := sql.OpenDB(c)
	t.Cleanup(func() { _ = pool.Close() })
	admin, err := pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	return &database{addr: addr, name: name, admin: admin}
}

// exec runs statements on the test's own connection.
func (d *database) exec(t testing.TB, text string) {
	t.Helper()
	if _, err := d.admin.ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// query gives a query's rows with the names of their types, NULL as nil.
func (d *database) query(t testing.TB, text string) (rows [][]*string, types []string) {
	t.Helper()
	found, err := d.admin.QueryContext(t.Context(), text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer func() { _ = found.Close() }()
	kinds, err := found.ColumnTypes()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		types = append(types, k.DatabaseTypeName())
	}
	for found.Next() {
		row, into := make([]*string, len(types)), make([]any, len(types))
		for i := range row {
			into[i] = &row[i]
		}
		if err := found.Scan(into...); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if err := found.Err(); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return rows, types
}

// rows returns a query's rows, values joined by bars as the server prints them.
func (d *database) rows(t testing.TB, text string) (out []string) {
	t.Helper()
	rows, _ := d.query(t, text)
	for _, row := range rows {
		var cells []string
		for _, cell := range row {
			if cell == nil {
				cells = append(cells, "<null>")
			} else {
				cells = append(cells, *cell)
			}
		}
		out = append(out, strings.Join(cells, "|"))
	}
	return out
}

// want compares a query's rows.
func (d *database) want(t testing.TB, text string, want ...string) {
	t.Helper()
	if got := d.rows(t, text); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s gives\n\t%s\nwant\n\t%s", text, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// kill ends every other session of the database, as an administrator would.
func (d *database) kill(t testing.TB) {
	t.Helper()
	for _, id := range d.rows(t, "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()") {
		if _, err := d.admin.ExecContext(t.Context(), "KILL "+id); err != nil && !strings.Contains(err.Error(), "1094") { // gone already
			t.Fatal(err)
		}
	}
}

// connect opens a target as root.
func (d *database) connect(t testing.TB) applier.Target {
	t.Helper()
	return d.connectWith(t, func(*pipelinev1.Connection) {})
}

// connectWith opens a target through a changed connection.
func (d *database) connectWith(t testing.TB, change func(*pipelinev1.Connection)) applier.Target {
	t.Helper()
	c := connection(t, d.addr, d.name)
	change(c)
	return target(t, c, &pipelinev1.Settings{WriteBatchSize: 200})
}

// target opens a target.
func target(t testing.TB, c *pipelinev1.Connection, s *pipelinev1.Settings) applier.Target {
	t.Helper()
	to, err := mysql.New().Connect(t.Context(), c, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := to.Close(); err != nil {
			t.Error(err)
		}
	})
	return to
}

// account makes an account without rights but those given, and returns a change of a connection to it.
func (d *database) account(t testing.TB, name string, grants ...string) func(*pipelinev1.Connection) {
	t.Helper()
	name = name + "_" + strings.ToLower(d.name[max(0, len(d.name)-6):])
	d.exec(t, fmt.Sprintf("CREATE USER '%s'@'%%' IDENTIFIED BY 'open sesame'", name))
	t.Cleanup(func() {
		_, _ = d.admin.ExecContext(context.WithoutCancel(t.Context()), fmt.Sprintf("DROP USER '%s'@'%%'", name))
	})
	d.exec(t, fmt.Sprintf("GRANT USAGE ON *.* TO '%s'@'%%'", name))
	for _, g := range grants {
		d.exec(t, fmt.Sprintf("GRANT %s TO '%s'@'%%'", g, name))
	}
	return func(c *pipelinev1.Connection) { c.User, c.Password = name, "open sesame" }
}

// output describes an output: keys are marked with a star, keys of the parent with two.
func output(table string, columns ...string) *pipelinev1.RelationalWrite {
	w := &pipelinev1.RelationalWrite{Table: table}
	if schema, name, ok := strings.Cut(table, "."); ok {
		w.Schema, w.Table = schema, name
	}
	for i, c := range columns {
		name := strings.TrimLeft(c, "*")
		stars := len(c) - len(name)
		w.Columns = append(w.Columns, &pipelinev1.OutputColumn{
			Column: name, Key: stars > 0, Parent: stars > 1, Path: fmt.Sprintf("output[0].with.mapping[%d]", i),
		})
	}
	return w
}

// jobs makes jobs of an output each.
func jobs(outputs ...*pipelinev1.RelationalWrite) (list []*pipelinev1.Job) {
	for i, w := range outputs {
		list = append(list, &pipelinev1.Job{
			Name: fmt.Sprint("job", i), File: "jobs/j.yaml",
			Outputs: []*pipelinev1.Output{{Path: "output[0]", Connection: "db", Writer: &pipelinev1.Output_Relational{Relational: w}}},
		})
	}
	return list
}

// bind binds an output.
func bind(t testing.TB, target applier.Target, w *pipelinev1.RelationalWrite) *applier.Table {
	t.Helper()
	table, err := target.Table(t.Context(), &pipelinev1.Output{Writer: &pipelinev1.Output_Relational{Relational: w}})
	if err != nil {
		t.Fatalf("binding %s: %v", w.Table, err)
	}
	return table
}

// absent is a value that the row does not touch.
type absent struct{}

// values converts rows of strings, nil, []byte and absent as the engine does.
func values(t testing.TB, table *applier.Table, rows ...[]any) *applier.Values {
	t.Helper()
	v := &applier.Values{Count: len(rows), Columns: make([]applier.Column, len(table.Columns))}
	for _, row := range rows {
		for i := range table.Columns {
			c := &v.Columns[i]
			start := len(c.Text)
			state := applier.Present
			kind, text := applierv1.ValueKind_VALUE_KIND_STRING, []byte(nil)
			switch x := row[i].(type) {
			case nil:
				kind = applierv1.ValueKind_VALUE_KIND_UNSPECIFIED
			case absent:
				kind, state = applierv1.ValueKind_VALUE_KIND_UNSPECIFIED, applier.Absent
			case string:
				text = []byte(x)
			case []byte:
				kind, text = applierv1.ValueKind_VALUE_KIND_BYTES, x
			}
			out, null, err := value.Convert(c.Text, &table.Columns[i].Type, kind, text)
			if err != nil {
				t.Fatal(err)
			}
			if null && state == applier.Present {
				state = applier.Null
			}
			c.Text = out
			c.Start = append(c.Start, uint32(start))
			c.End = append(c.End, uint32(len(out)))
			c.States = append(c.States, state)
		}
	}
	return v
}

// write makes a write of all rows of v.
func write(table *applier.Table, verb applier.Verb, v *applier.Values) *applier.Write {
	w := &applier.Write{Table: table, Verb: verb, Values: v}
	switch verb {
	case applier.Delete:
		w.Columns = table.Keys
	case applier.Prune:
		w.Columns = table.Parents
	default:
		for i := range table.Columns {
			w.Columns = append(w.Columns, i)
		}
	}
	for i := range v.Count {
		w.Rows = append(w.Rows, int32(i))
	}
	return w
}

func lane(partition uint32) *flowv1.Lane {
	return &flowv1.Lane{Source: "source-1", Pipeline: "p", Job: "j", Connection: "db", Layout: 4, Partition: partition}
}

// at is a position; at(0) is the beginning.
func at(n uint64) *changev1.Position {
	if n == 0 {
		return nil
	}
	return &changev1.Position{Main: &changev1.StreamId{Ms: n, Seq: 1}, Side: &changev1.StreamId{Ms: 2, Seq: n}}
}

// open opens a lane.
func open(t testing.TB, target applier.Target, l *flowv1.Lane) (applier.Session, *flowv1.Opened) {
	t.Helper()
	s, opened, err := target.OpenLane(t.Context(), l, "test")
	if err != nil {
		t.Fatalf("opening lane %d: %v", l.Partition, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, opened
}

// begin starts the transaction from prev to next.
func begin(t testing.TB, s applier.Session, prev, next *changev1.Position) applier.Txn {
	t.Helper()
	x, err := s.Begin(t.Context(), prev, next, nil)
	if err != nil {
		t.Fatalf("beginning: %v", err)
	}
	return x
}

// commit commits writes as one batch.
func commit(t testing.TB, s applier.Session, prev, next *changev1.Position, writes ...*applier.Write) {
	t.Helper()
	x := begin(t, s, prev, next)
	for _, w := range writes {
		if err := x.Write(t.Context(), w); err != nil {
			t.Fatalf("writing: %v", err)
		}
	}
	if err := x.Commit(t.Context()); err != nil {
		t.Fatalf("committing: %v", err)
	}
}

// attempt tries a write in a transaction that is rolled back, and gives its error.
func attempt(t testing.TB, s applier.Session, prev *changev1.Position, w *applier.Write) error {
	t.Helper()
	x := begin(t, s, prev, at(1_000_000))
	err := x.Write(t.Context(), w)
	if undone := x.Rollback(); undone != nil {
		t.Errorf("rolling back: %v", undone)
	}
	return err
}

// wantFault checks an error's class and that its text and fix have these parts.
func wantFault(t testing.TB, err error, class flowv1.FaultClass, text, fix string) {
	t.Helper()
	f := fault.Of(err)
	if f == nil {
		t.Fatalf("no error, want %s: %s", fault.ClassName(class), text)
	}
	if f.Class != class || !strings.Contains(f.Error(), text) || !strings.Contains(f.Fix, fix) {
		t.Fatalf("got %s %q with fix %q, want %s with %q and fix %q",
			fault.ClassName(f.Class), f.Error(), f.Fix, fault.ClassName(class), text, fix)
	}
}
