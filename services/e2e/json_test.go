package e2e_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"slipstream/deploy/dev/devserver"
	"slipstream/deploy/dev/jsonserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// ticketJob writes a row for each document and one for each part it lists (spec 5.2, 5.3).
const ticketJob = `source:
  redis:
    trigger: write-behind
    key_pattern: "ticket:*"
    types: [json]
    initial_load: always
  keys:
    fields: {no: 1}
transform:
  - uses: add_field
    with:
      field: label
      language: jmespath
      expression: concat([upper(site), '/', status, '/', to_string(length(parts || ` + "`[]`" + `))])
output:
  - uses: relational.write
    with:
      connection: hr
      table: ticket
      keys: [{ticket_no: no}]
      mapping:
        - site
        - label
        - visits
        - psi
        - urgent
        - bay_no: location.bay
        - fw: meta.fw\.rev
  - uses: relational.write
    with:
      connection: hr
      table: ticket_part
      foreach: "p: parts[?qty > ` + "`0`" + `]"
      keys: [{ticket_no: no}, {sku: p.sku}]
      mapping: [{qty: p.qty}]
`

const (
	ticketTable = `CREATE TABLE ticket (ticket_no varchar(20) PRIMARY KEY, site varchar(20), label varchar(50), visits integer,
		psi numeric(8,2), urgent varchar(5), bay_no varchar(20), fw varchar(20))`
	partTable = `CREATE TABLE ticket_part (ticket_no varchar(20), sku varchar(20), qty integer, PRIMARY KEY (ticket_no, sku))`
)

// jsonRedis is the address of a Redis with JSON documents: one with a real module where one is at hand, which is emptied,
// else a double of a module.
func jsonRedis(t *testing.T, module *jsonserver.Module) string {
	t.Helper()
	addr, ok := jsonserver.Real()
	if !ok {
		return jsonserver.Redis(t, module, devserver.RedisOptions{}).Addr
	}
	c := client(t, addr)
	must(t, c.FlushAll(t.Context()).Err(), c.ConfigSet(t.Context(), "notify-keyspace-events", "").Err())
	return addr
}

// json does commands on documents, each a line of words, of which the last may hold spaces.
func json(t *testing.T, c *redis.Client, commands ...string) {
	t.Helper()
	for _, command := range commands {
		words := strings.SplitN(command, " ", 4)
		args := make([]any, len(words))
		for i, word := range words {
			args[i] = word
		}
		if err := c.Do(t.Context(), args...).Err(); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
}

// TestJSON: documents become rows of two tables, those that were there before the job as those that come later; every way
// of changing a part of one reaches its rows; rows of parts go when the parts do, and all rows when the document does.
func TestJSON(t *testing.T) {
	targets := map[string]struct {
		open   func(*testing.T) *target
		module *jsonserver.Module // the events of one come in another class than those of the other
	}{
		"sqlite":     {sqliteTarget, jsonserver.RedisJSON},
		"postgresql": {func(t *testing.T) *target { return postgresTarget(t, devserver.SharedPostgres(t)) }, jsonserver.ValkeyJSON},
	}
	for harness, start := range harnesses {
		for name, with := range targets {
			t.Run(harness+"/"+name, func(t *testing.T) {
				tg := with.open(t)
				tg.exec(t, ticketTable)
				tg.exec(t, partTable)
				addr := jsonRedis(t, with.module)
				c := client(t, addr)
				tickets := func(want ...string) {
					t.Helper()
					rowsAre(t, tg, "SELECT ticket_no, site, label, visits, CAST(psi AS varchar(10)), urgent, bay_no, fw FROM ticket ORDER BY 1", want...)
				}
				parts := func(want ...string) {
					t.Helper()
					rowsAre(t, tg, "SELECT ticket_no, sku, qty FROM ticket_part ORDER BY 1, 2", want...)
				}

				json(t, c,
					`JSON.SET ticket:1 . {"site":"north","status":"open","visits":1,"psi":41.25,"urgent":true,"location":{"bay":"B7"},"meta":{"fw.rev":"1.2"},"parts":[{"sku":"A","qty":2},{"sku":"B","qty":0}]}`,
					`JSON.SET ticket:2 $ {"site":"süd","status":"new","parts":[{"sku":"A","qty":1},{"sku":"C","qty":4}]}`)
				must(t, c.HSet(t.Context(), "ticket:hash", "site", "no document").Err())
				l := start(t, addr)
				deploy(t, l, map[string]string{"config.yaml": config(addr, tg, ""), "jobs/ticket.yaml": ticketJob})
				running(t, l)
				one := "1|north|NORTH/open/2|1|41.25|true|B7|1.2"
				two := "2|süd|SÜD/new/2|" + strings.Repeat(null+"|", 4) + null
				tickets(one, two)
				parts("1|A|2", "2|A|1", "2|C|4")

				json(t, c, `JSON.SET ticket:3 . {"site":"west","status":"new","psi":7.5}`)
				three := "3|west|WEST/new/0|" + null + "|7.50|" + strings.Repeat(null+"|", 2) + null
				if tg.name == "sqlite" { // which has no fixed number of decimals
					three = strings.Replace(three, "7.50", "7.5", 1)
				}
				tickets(one, two, three)

				json(t, c, `JSON.SET ticket:1 $.location.bay "C 1"`, `JSON.NUMINCRBY ticket:1 $.visits 41`, `JSON.NUMINCRBY ticket:1 .psi 0.5`,
					`JSON.TOGGLE ticket:1 $.urgent`, `JSON.STRAPPEND ticket:1 .status "ed"`)
				tickets("1|north|NORTH/opened/2|42|41.75|false|C 1|1.2", two, three)
				json(t, c, `JSON.DEL ticket:1 $.location`, `JSON.FORGET ticket:1 .meta["fw.rev"]`, `JSON.DEL ticket:1 .nothing.there`)
				one = "1|north|NORTH/opened/2|42|41.75|false|" + null + "|" + null
				tickets(one, two, three)

				json(t, c, `JSON.ARRAPPEND ticket:1 $.parts {"sku":"D","qty":9}`)
				parts("1|A|2", "1|D|9", "2|A|1", "2|C|4")
				json(t, c, `JSON.SET ticket:1 $.parts[1].qty 5`, `JSON.DEL ticket:1 $.parts[0]`)
				parts("1|B|5", "1|D|9", "2|A|1", "2|C|4")
				json(t, c, `JSON.NUMINCRBY ticket:1 $.parts[0].qty -5`)
				parts("1|D|9", "2|A|1", "2|C|4")
				json(t, c, `JSON.DEL ticket:1 $.parts`)
				parts("2|A|1", "2|C|4")
				one = strings.Replace(one, "/2|", "/0|", 1)
				tickets(one, two, three)

				json(t, c, `JSON.DEL ticket:2`)
				parts()
				tickets(one, three)
				json(t, c, `JSON.SET ticket:2 . {"site":"süd","status":"new","parts":[{"sku":"A","qty":1}]}`, `JSON.DEL ticket:2 $`,
					`JSON.MSET ticket:2 . {"site":"east","status":"new","parts":[{"sku":"E","qty":1},{"sku":"F","qty":2}]}`)
				two = "2|east|EAST/new/2|" + strings.Repeat(null+"|", 4) + null
				tickets(one, two, three)
				parts("2|E|1", "2|F|2")

				must(t, c.Rename(t.Context(), "ticket:2", "ticket:4").Err())
				four := "4" + two[1:]
				tickets(one, three, four)
				parts("4|E|1", "4|F|2")
				must(t, c.Set(t.Context(), "ticket:4", "no document", 0).Err()) // another type replaces it
				tickets(one, three)
				parts()
				must(t, c.Del(t.Context(), "ticket:3").Err())
				tickets(one)

				change := `JSON.SET ticket:1 $.site "south"`
				if _, real := jsonserver.Real(); !real && with.module == jsonserver.RedisJSON { // the only one that knows it
					change = `JSON.MERGE ticket:1 $ {"site":"south"}`
				}
				json(t, c, change)
				tickets(strings.NewReplacer("north", "south", "NORTH", "SOUTH").Replace(one))

				r, err := l.gateway().ListRejected(t.Context(), &gatewayv1.ListRejectedRequest{})
				must(t, err)
				for _, s := range r.Streams {
					if s.Length > 0 {
						t.Errorf("dead letters: %v", s)
					}
				}
			})
		}
	}
}

// TestNoJSON: where the source has no JSON documents a job on them is refused, at its place, and nothing is deployed.
func TestNoJSON(t *testing.T) {
	for harness, start := range harnesses {
		t.Run(harness, func(t *testing.T) {
			tg := sqliteTarget(t)
			tg.exec(t, ticketTable)
			tg.exec(t, partTable)
			server := devserver.Redis(t, devserver.RedisOptions{})
			l := start(t, server.Addr)
			files := map[string]string{"config.yaml": config(server.Addr, tg, ""), "jobs/ticket.yaml": ticketJob}
			v, err := l.gateway().Validate(t.Context(), &gatewayv1.ValidateRequest{Files: yamlFiles(files)})
			must(t, err)
			d, err := l.gateway().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: yamlFiles(files)})
			must(t, err)
			if d.Generation != 0 {
				t.Errorf("generation %d was deployed", d.Generation)
			}
			for _, problems := range [][]*pipelinev1.Problem{v.Problems, d.Problems} {
				if !said(problems, "jobs/ticket.yaml", "source.redis.types", "JSON") || len(problems) != 1 {
					t.Errorf("problems: %v", problems)
				}
			}
		})
	}
}
