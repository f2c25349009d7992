package postgres_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"slipstream/applier"
	"slipstream/applier/postgres"
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
		Name: "db", Type: postgres.Name, Host: host, Port: port, Database: database, User: "postgres",
		Args: map[string]string{"sslmode": "disable"},
	}
}

// database is one test's database.
type database struct {
	addr, name string
	admin      *pgx.Conn
}

// newDatabase makes a database on the shared server.
func newDatabase(t testing.TB) *database {
	t.Helper()
	server := devserver.SharedPostgres(t)
	return connectTo(t, server, server.Database(t))
}

func connectTo(t testing.TB, server *devserver.PostgresServer, dsn string) *database {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	admin, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close(t.Context()) })
	return &database{addr: server.Addr, name: config.Database, admin: admin}
}

// exec runs statements on the test's own connection.
func (d *database) exec(t testing.TB, sql string) {
	t.Helper()
	if _, err := d.admin.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// rows returns a query's rows, values joined by bars as the server prints them.
func (d *database) rows(t testing.TB, sql string) []string {
	t.Helper()
	results, err := d.admin.PgConn().Exec(t.Context(), sql).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	var out []string
	for _, row := range results[len(results)-1].Rows {
		var cells []string
		for _, cell := range row {
			if cell == nil {
				cells = append(cells, "<null>")
			} else {
				cells = append(cells, string(cell))
			}
		}
		out = append(out, strings.Join(cells, "|"))
	}
	return out
}

// want compares a query's rows.
func (d *database) want(t testing.TB, sql string, want ...string) {
	t.Helper()
	if got := d.rows(t, sql); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s gives\n\t%s\nwant\n\t%s", sql, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// connect opens a target as the superuser.
func (d *database) connect(t testing.TB) applier.Target {
	t.Helper()
	return d.connectWith(t, func(*pipelinev1.Connection) {})
}

// connectWith opens a target through a changed connection.
func (d *database) connectWith(t testing.TB, change func(*pipelinev1.Connection)) applier.Target {
	t.Helper()
	c := connection(t, d.addr, d.name)
	change(c)
	target, err := postgres.New().Connect(t.Context(), c, &pipelinev1.Settings{WriteBatchSize: 200})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	})
	return target
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

// writes is an output with these rows.
func writes(w *pipelinev1.RelationalWrite) *pipelinev1.Output {
	return &pipelinev1.Output{Writer: &pipelinev1.Output_Relational{Relational: w}}
}

// bind binds an output.
func bind(t testing.TB, target applier.Target, w *pipelinev1.RelationalWrite) *applier.Table {
	t.Helper()
	table, err := target.Table(t.Context(), writes(w))
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

// newTarget opens a target with a position table of another name.
func newTarget(t testing.TB, c *pipelinev1.Connection, positions string) (applier.Target, error) {
	t.Helper()
	target, err := postgres.New().Connect(t.Context(), c, &pipelinev1.Settings{PositionTable: positions})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	})
	return target, nil
}
