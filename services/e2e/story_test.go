package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// storyJob writes an order and, from JSON text in a field of its hash, a row for each line of each of its parcels.
const storyJob = `source:
  redis: {trigger: write-behind, key_pattern: "order:*"}
  keys: {fields: {id: 1}}
transform:
  - uses: add_field
    with: {field: doc, language: jmespath, expression: json_parse(parcels)}
output:
  - uses: relational.write
    with: {connection: hr, table: orders, keys: [id], mapping: [buyer, total, version]}
  - uses: relational.write
    with:
      connection: hr
      table: order_line
      foreach: "line: doc.parcels[].lines[]"
      keys: [{order_id: id}, {sku: line.sku}]
      mapping: [{qty: line.qty}]
`

var storyTables = []string{
	`CREATE TABLE orders (id bigint PRIMARY KEY, buyer varchar(40) NOT NULL, total numeric(12,2), version integer)`,
	`CREATE TABLE order_line (order_id bigint, sku varchar(20), qty integer, PRIMARY KEY (order_id, sku))`,
}

// order is what the application last wrote about one.
type order struct {
	version int
	parcels [][]orderLine
}

type orderLine struct{ sku, qty int }

func (o *order) fields(id int) []any {
	var parcels []string
	for i, lines := range o.parcels {
		var texts []string
		for _, l := range lines {
			texts = append(texts, fmt.Sprintf(`{"sku":"s%03d","qty":%d}`, l.sku, l.qty))
		}
		parcels = append(parcels, fmt.Sprintf(`{"no":%d,"lines":[%s]}`, i, strings.Join(texts, ",")))
	}
	return []any{
		"buyer", buyer(id), "total", total(id, o.version), "version", o.version,
		"parcels", `{"parcels":[` + strings.Join(parcels, ",") + `]}`,
	}
}

func buyer(id int) string { return "bÿer " + strconv.Itoa(id%997) }

// total never ends in a zero, so that it reads the same from a database that keeps the scale and from one that does not.
func total(id, version int) string { return fmt.Sprintf("%d.%d%d", id, version%10, 1+version%9) }

// story is the application: it knows what every order must be.
type story struct {
	random  *rand.Rand
	orders  map[int]*order
	keys    int
	version int
	count   map[string]int // changes by kind
}

func newStory(changes int) *story {
	return &story{random: rand.New(rand.NewPCG(150, 4)), orders: map[int]*order{}, keys: max(changes/8, 10), count: map[string]int{}}
}

// parcels are up to three of up to three lines; no two lines of an order have one SKU.
func (s *story) parcels() (list [][]orderLine) {
	skus := s.random.Perm(40)
	for range s.random.IntN(4) {
		var lines []orderLine
		for range s.random.IntN(4) {
			lines = append(lines, orderLine{skus[0], s.random.IntN(1000)})
			skus = skus[1:]
		}
		list = append(list, lines)
	}
	return list
}

// change adds one change to the pipeline, or two where an order is deleted and made again, and tells how many.
func (s *story) change(ctx context.Context, pipe redis.Pipeliner) int {
	id := s.random.IntN(s.keys)
	key := "order:" + strconv.Itoa(id)
	s.version++
	o := s.orders[id]
	write := func(kind string) {
		s.count[kind]++
		s.orders[id] = &order{version: s.version, parcels: s.parcels()}
		pipe.HSet(ctx, key, s.orders[id].fields(id)...)
	}
	if o == nil {
		write("insert")
		return 1
	}
	switch n := s.random.IntN(100); {
	case n < 12:
		s.count["delete"]++
		delete(s.orders, id)
		pipe.Del(ctx, key)
	case n < 24:
		s.count["delete then recreate"]++
		pipe.Del(ctx, key)
		s.orders[id] = &order{version: s.version, parcels: s.parcels()}
		pipe.HSet(ctx, key, s.orders[id].fields(id)...)
		return 2
	case n < 40 && len(o.parcels) > 0: // the last parcel goes, its rows with it
		s.count["shrink"]++
		o.version, o.parcels = s.version, o.parcels[:len(o.parcels)-1]
		pipe.HSet(ctx, key, o.fields(id)...)
	default:
		write("update")
	}
	return 1
}

// rows are what both tables must hold, in the order of their keys.
func (s *story) rows() (orders, lines []string) {
	ids := make([]int, 0, len(s.orders))
	for id := range s.orders {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		o := s.orders[id]
		orders = append(orders, fmt.Sprintf("%d|%s|%s|%d", id, buyer(id), total(id, o.version), o.version))
		var of []string
		for _, parcel := range o.parcels {
			for _, l := range parcel {
				of = append(of, fmt.Sprintf("%d|s%03d|%d", id, l.sku, l.qty))
			}
		}
		slices.Sort(of)
		lines = append(lines, of...)
	}
	return orders, lines
}

// storyChanges is how many changes the story has; SLIPSTREAM_E2E_CHANGES overrides it, and 150000 is its full length.
func storyChanges(t *testing.T) int {
	if v := os.Getenv("SLIPSTREAM_E2E_CHANGES"); v != "" {
		n, err := strconv.Atoi(v)
		must(t, err)
		return n
	}
	return 24_000
}

// storyTargets are the databases that the story ends equal on; crash kills the server, or the applier where there is none.
var storyTargets = map[string]func(t *testing.T) (tg *target, crash func(p *processes)){
	"postgresql": func(t *testing.T) (*target, func(*processes)) {
		pg := devserver.Postgres(t, devserver.PostgresOptions{Settings: []string{"fsync=on"}})
		return postgresTarget(t, pg), func(*processes) { must(t, pg.Kill(), pg.Restart(t.Context())) }
	},
	"mariadb": storyMariaDB,
	"sqlite": func(t *testing.T) (*target, func(*processes)) {
		return sqliteTarget(t), func(p *processes) { p.kill("applier-sqlite") }
	},
}

// ending is what the story asks of a target.
type ending struct {
	connection string                // its YAML in config.yaml, below connections:
	job        string                // what writes to it
	newest     func() string         // the highest version there; null: there is none
	differs    func(s *story) string // how it differs from what it must hold; empty: not at all
	crash      func(p *processes)    // kill -9, and start again
}

// TestStory: inserts, updates, deletes, orders deleted and made again, lists that grow and shrink, written as fast as Redis
// takes them, end equal, row by row, while the target is killed with SIGKILL and started again five times (G1, G3, G4, G7).
func TestStory(t *testing.T) {
	for name, open := range storyTargets {
		t.Run(name, func(t *testing.T) {
			tg, crash := open(t)
			for _, table := range storyTables {
				tg.exec(t, table)
			}
			tell(t, ending{
				connection: tg.connection, job: storyJob, crash: crash,
				newest: func() string { return tg.rows(t, "SELECT max(version) FROM orders")[0][0] },
				differs: func(s *story) string {
					orders, lines := s.rows()
					if why := differ(tg.rows(t, "SELECT id, buyer, total, version FROM orders ORDER BY id"), orders); why != "" {
						return "orders: " + why
					}
					if why := differ(tg.rows(t, "SELECT order_id, sku, qty FROM order_line ORDER BY order_id, sku"), lines); why != "" {
						return "lines: " + why
					}
					return ""
				},
			})
		})
	}
}

// tell tells the story to its end.
func tell(t *testing.T, e ending) {
	t.Helper()
	// A subscriber that falls behind must not be cut off: a delete inside a gap is not repaired (docs/guarantees.md, G1).
	server := devserver.Redis(t, devserver.RedisOptions{Args: []string{"--client-output-buffer-limit", "pubsub 0 0 0"}})
	c := client(t, server.Addr)
	p := startProcesses(t, server.Addr)
	deploy(t, p, map[string]string{
		"config.yaml": config(server.Addr, &target{connection: e.connection}, "applier: {on_failed_retry_interval: 1}\n"), "jobs/order.yaml": e.job,
	})
	running(t, p)

	changes, began := storyChanges(t), time.Now()
	s := newStory(changes)
	const kills = 5
	last := ""
	for part, n := 1, 0; part <= kills+1; part++ {
		for n < changes*part/(kills+1) {
			pipe := c.Pipeline()
			for range 200 {
				n += s.change(t.Context(), pipe)
			}
			_, err := pipe.Exec(t.Context())
			must(t, err)
		}
		t.Logf("%v: %d changes written %v, version %s there", time.Since(began).Round(time.Millisecond), n, s.count, e.newest())
		if part <= kills {
			await(t, 2*time.Minute, "rows after the kill before", func() (bool, string) {
				newest := e.newest()
				moved := newest != last && newest != null
				last = newest
				return moved, newest
			})
			e.crash(p) // while rows flow: the writer is ahead
			last = e.newest()
			t.Logf("%v: killed and started again", time.Since(began).Round(time.Millisecond))
		}
	}
	await(t, 5*time.Minute, "the end of the backlog, with an equal target", func() (bool, string) {
		st, err := p.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
		if err != nil {
			return false, err.Error()
		}
		if len(st.Status.GetJobs()) != 1 || st.Status.Jobs[0].Backlog > 0 {
			return false, st.Status.String()
		}
		why := e.differs(s)
		return why == "", why
	})
	took := time.Since(began)
	orders, lines := s.rows()
	t.Logf("%d changes, %d orders and %d lines equal after %d kills: %v, %.0f changes/s",
		changes, len(orders), len(lines), kills, took.Round(time.Millisecond), float64(changes)/took.Seconds())
	st, err := p.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
	must(t, err)
	if len(st.Status.Gaps) > 0 {
		t.Errorf("gaps, though nothing that captures was killed: %v", st.Status.Gaps)
	}
	noDeadLetters(t, p)
}

// differ says where rows are not what they must be.
func differ(rows [][]string, want []string) string {
	for i := range max(len(rows), len(want)) {
		got := "nothing"
		if i < len(rows) {
			got = strings.Join(rows[i], "|")
		}
		if i >= len(want) || got != want[i] {
			wanted := "nothing"
			if i < len(want) {
				wanted = want[i]
			}
			return fmt.Sprintf("%d rows of %d; row %d is %s, want %s", len(rows), len(want), i, got, wanted)
		}
	}
	return ""
}

// noDeadLetters: an outage rejects nothing (G6).
func noDeadLetters(t *testing.T, l line) {
	t.Helper()
	r, err := l.gateway().ListRejected(t.Context(), &gatewayv1.ListRejectedRequest{})
	must(t, err)
	for _, s := range r.Streams {
		if s.Length > 0 {
			t.Errorf("dead letters: %v", s)
		}
	}
}
