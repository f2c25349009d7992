package cassandra

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"go.uber.org/goleak"

	"slipstream/applier"
	"slipstream/applier/value"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// standin stands at the driver's place: it notes statements, has a catalogue and one position row. It is no database; what
// it is for is to see what would be sent, in which order, and with which timestamps.
type standin struct {
	mu       sync.Mutex
	sent     []string
	position *positionTable
	row      []wire // of the position table, as positionTable.read lists it
	tables   map[string][][4]string
	views    map[string]bool
	data     map[string][][]wire // rows by statement
	runs     func(group []cql) error
	asks     func(q cql) error
	swaps    func(q cql) (bool, error)
}

func newStandin() *standin {
	return &standin{tables: map[string][][4]string{
		"ops.pump": {
			{"serial", "text", "partition_key", "0"}, {"site", "text", "regular", "-1"}, {"psi", "int", "regular", "-1"},
		},
		"ops.part": {
			{"no", "int", "partition_key", "0"}, {"sku", "text", "clustering", "0"}, {"qty", "int", "regular", "-1"}, {"note", "text", "regular", "-1"},
		},
		"ops.reading": {
			{"Site", "text", "partition_key", "1"},
			{"year", "int", "partition_key", "0"},
			{"at", "timestamp", "clustering", "0"},
			{"head", "text", "static", "-1"},
			{"v", "list<int>", "regular", "-1"},
			{"odd", "'org.x.Odd'", "regular", "-1"},
		},
		"ops.hits": {{"id", "text", "partition_key", "0"}, {"n", "counter", "regular", "-1"}},
	}, views: map[string]bool{}, data: map[string][][]wire{}}
}

func (c *standin) close() {}

func (c *standin) run(_ context.Context, l level, group []cql) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.runs != nil {
		if err := c.runs(group); err != nil {
			return err
		}
	}
	var lines []string
	for _, q := range group {
		lines = append(lines, show(q))
	}
	mark := map[level]string{asConfigured: "", own: "[own] "}[l]
	c.sent = append(c.sent, mark+strings.Join(lines, "\n  + "))
	return nil
}

func (c *standin) rows(_ context.Context, _ level, q cql) ([][]wire, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asks != nil {
		if err := c.asks(q); err != nil {
			return nil, err
		}
	}
	var out [][]wire
	switch q.text {
	case readServer:
		return [][]wire{{wire("4.1.5"), wire("test")}}, nil
	case readKeyspaces:
		return [][]wire{{wire("ops")}, {wire("system")}}, nil
	case readTables, readViews:
		for name := range c.tables {
			if c.views[name] == (q.text == readViews) {
				out = append(out, []wire{wire(strings.TrimPrefix(name, "ops."))})
			}
		}
		return out, nil
	case readTypes:
		return nil, nil
	case readColumns:
		for _, col := range c.tables[string(q.args[0].(wire))+"."+string(q.args[1].(wire))] {
			place := uint32(0)
			if col[3] == "1" {
				place = 1
			}
			out = append(out, []wire{wire(col[0]), wire(col[1]), wire(col[2]), binary.BigEndian.AppendUint32(nil, place)})
		}
		return out, nil
	case c.position.read:
		if c.row != nil {
			return [][]wire{slices.Clone(c.row)}, nil
		}
		return nil, nil
	}
	return c.data[show(q)], nil
}

// swap keeps the one position row by the conditions of its statements.
func (c *standin) swap(_ context.Context, q cql) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.swaps != nil {
		if ok, err := c.swaps(q); !ok || err != nil {
			return ok, err
		}
	}
	c.sent = append(c.sent, show(q))
	at := func(i int) wire { return q.args[i].(wire) }
	holds := func(from int, columns ...int) bool {
		for n, column := range columns {
			if !bytes.Equal(c.row[column], at(from+n)) {
				return false
			}
		}
		return true
	}
	switch q.text {
	case c.position.insert:
		if c.row != nil {
			return false, nil
		}
		c.row = []wire{at(6), bigint(1), wire("0-0"), wire("0-0"), nil, nil, at(8)}
	case c.position.raise:
		if !holds(10, 0, 1, 2, 3, 6) {
			return false, nil
		}
		c.row[1], c.row[6] = at(0), at(2)
	case c.position.move, c.position.moveState:
		n := len(q.args) - 4
		if !holds(n, 0, 1, 2, 3) {
			return false, nil
		}
		c.row[2], c.row[3], c.row[6] = at(0), at(1), at(2)
		if q.text == c.position.moveState {
			c.row[4], c.row[5] = at(4), at(5)
		}
	case c.position.reserve:
		if !holds(8, 0, 1, 2, 3) {
			return false, nil
		}
		c.row[6] = at(0)
	}
	return true, nil
}

// show is a statement with its values in place.
func show(q cql) string {
	parts := strings.Split(strings.Join(strings.Fields(q.text), " "), "?")
	if len(parts) != len(q.args)+1 {
		return fmt.Sprintf("%d VALUES FOR %s", len(q.args), q.text)
	}
	var b strings.Builder
	for i, p := range parts {
		b.WriteString(p)
		if i == len(q.args) {
			break
		}
		switch v := q.args[i].(type) {
		case wire:
			b.WriteString(shownWire(v))
		default:
			if v == any(gocql.UnsetValue) {
				b.WriteString("UNSET")
				break
			}
			fmt.Fprintf(&b, "%v", v)
		}
	}
	return b.String()
}

func shownWire(v wire) string {
	printable := !slices.ContainsFunc(v, func(c byte) bool { return c > unicode.MaxASCII || !unicode.IsPrint(rune(c)) })
	switch {
	case v == nil:
		return "null"
	case printable:
		return "'" + string(v) + "'"
	case len(v) == 8:
		return fmt.Sprint(int64(binary.BigEndian.Uint64(v)))
	case len(v) == 4:
		return fmt.Sprint(int32(binary.BigEndian.Uint32(v)))
	}
	return fmt.Sprintf("0x%x", []byte(v))
}

// take gives what was sent since the last time, sorted: requests of one kind are under way together.
func (c *standin) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.sent
	c.sent = nil
	return out
}

// clock is where the tests' time stands: the write timestamp before the first.
const clock = 1_900_000_000_000_000

func testTarget(c *standin) *target {
	t := newTarget(&pipelinev1.Connection{Name: "cass", User: "app", Database: "ops"}, nil)
	t.now = func() time.Time { return time.UnixMicro(clock) }
	t.cluster, c.position = c, &t.position
	return t
}

func testLane() *flowv1.Lane {
	return &flowv1.Lane{Source: "src", Pipeline: "p", Job: "j", Connection: "cass", Layout: 4, Partition: 2}
}

// output makes an output: a star marks keys, two a parent.
func output(table string, columns ...string) *pipelinev1.RelationalWrite {
	w := &pipelinev1.RelationalWrite{Schema: "ops", Table: table}
	for _, name := range columns {
		c := &pipelinev1.OutputColumn{Column: strings.TrimLeft(name, "*"), Key: strings.HasPrefix(name, "*"), Parent: strings.HasPrefix(name, "**")}
		w.Columns = append(w.Columns, c)
		if c.Parent {
			w.Foreach = &pipelinev1.Foreach{Name: "e", Expression: "e", Sync: true}
		}
	}
	return w
}

const absent = "\x00absent"

// values converts rows of texts as the engine does. "~" is null.
func values(t *testing.T, table *applier.Table, rows ...[]string) *applier.Values {
	t.Helper()
	v := &applier.Values{Count: len(rows), Columns: make([]applier.Column, len(table.Columns))}
	for i := range v.Columns {
		c := applier.Column{Text: []byte{}}
		for _, row := range rows {
			start := uint32(len(c.Text))
			state := applier.Present
			switch row[i] {
			case "~":
				state = applier.Null
			case absent:
				state = applier.Absent
			default:
				var err error
				if c.Text, _, err = value.Convert(c.Text, &table.Columns[i].Type, applierv1.ValueKind_VALUE_KIND_STRING, []byte(row[i])); err != nil {
					t.Fatal(err)
				}
			}
			c.Start, c.End, c.States = append(c.Start, start), append(c.End, uint32(len(c.Text))), append(c.States, state)
		}
		v.Columns[i] = c
	}
	return v
}

// write makes a write of all rows.
func write(t *testing.T, table *applier.Table, verb applier.Verb, rows ...[]string) *applier.Write {
	t.Helper()
	w := &applier.Write{Table: table, Verb: verb, Values: values(t, table, rows...)}
	for i := range rows {
		w.Rows = append(w.Rows, int32(i))
	}
	w.Columns = table.Keys
	if verb == applier.Upsert || verb == applier.Insert {
		w.Columns = nil
		for i := range table.Columns {
			if len(rows) == 0 || rows[0][i] != absent {
				w.Columns = append(w.Columns, i)
			}
		}
	}
	if verb == applier.Prune {
		w.Columns = table.Parents
	}
	return w
}

// stamped shortens write timestamps: <0> is the first after the clock.
func stamped(lines []string) []string {
	for i, line := range lines {
		for n := range 4000 {
			line = strings.ReplaceAll(line, fmt.Sprint(int64(clock)+1+int64(n)), fmt.Sprintf("<%d>", n))
		}
		lines[i] = line
	}
	return lines
}

func wantSent(t *testing.T, c *standin, want ...string) {
	t.Helper()
	got := stamped(c.take())
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("sent\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
