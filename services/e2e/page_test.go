package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"

	"slipstream/deploy/dev/devserver"
	"slipstream/services/internal/host"
)

// The pipeline of a shop: orders and customers go to PostgreSQL, stock to SQLite.
const (
	ordersJob = `source:
  redis: {trigger: write-behind, key_pattern: "order:*"}
  keys: {fields: {id: 1}}
transform:
  - uses: rename_field
    with: {from_field: buyer, to_field: customer}
  - uses: add_field
    with: {field: gross, language: sql, expression: "round(net * 1.2, 2)"}
output:
  - uses: relational.write
    with: {connection: warehouse, table: orders, keys: [id], mapping: [customer, item, qty, gross]}
`
	customersJob = `source:
  redis: {trigger: write-behind, key_pattern: "customer:*"}
  keys: {fields: {id: 1}}
output:
  - uses: relational.write
    with: {connection: warehouse, table: customers, keys: [id], mapping: [name, city]}
`
	stockJob = `source:
  redis: {trigger: write-behind, key_pattern: "stock:*"}
  keys: {fields: {item: 1}}
output:
  - uses: relational.write
    with: {connection: archive, table: stock, keys: [item], mapping: [pieces]}
`
)

// shop is the application: it writes until it is stopped.
func shop(t *testing.T, c *redis.Client) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	names := []string{"Ada", "Grace", "Edsger", "Barbara", "Alan", "Mary"}
	items := []string{"lamp", "chair", "table", "shelf"}
	done.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			pipe := c.Pipeline()
			for i := range 2 + (n/40)%3 {
				id := (n*5 + i) % 400
				pipe.HSet(ctx, fmt.Sprintf("order:%d", 1000+id), "buyer", names[id%6], "item", items[id%4], "qty", 1+n%7, "net", "19.90")
			}
			pipe.HSet(ctx, fmt.Sprintf("stock:%s", items[n%4]), "pieces", 500-n%400)
			if n%3 == 0 {
				pipe.HSet(ctx, fmt.Sprintf("customer:%d", n%90), "name", names[n%6], "city", "Bergen")
			}
			_, _ = pipe.Exec(ctx) // when the test ends
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}

// TestPage is a day of an operator before the page, in a browser, on a line of real processes: all is well; the database goes away
// and comes back; a record does not fit, is seen with its reason, and is replayed; one is followed; the gateway itself goes away.
func TestPage(t *testing.T) {
	const readerToken, operatorToken = "reader-0123456789abcdef", "operator-0123456789abcdef"
	pg := devserver.Postgres(t, devserver.PostgresOptions{})
	shopDSN, err := pg.CreateDatabase(t.Context(), "shop")
	must(t, err)
	warehouse, archive := postgresAt(t, pg, shopDSN), sqliteTarget(t)
	warehouse.exec(t, "CREATE TABLE orders (id varchar(60) PRIMARY KEY, customer text, item text, qty integer, gross numeric, CONSTRAINT dozens CHECK (qty < 1000))")
	warehouse.exec(t, "CREATE TABLE customers (id integer PRIMARY KEY, name text, city text)")
	archive.exec(t, "CREATE TABLE stock (item text PRIMARY KEY, pieces integer)")
	_, file, _ := strings.Cut(strings.TrimSpace(archive.connection), "database: ")
	both := &target{connection: strings.Replace(warehouse.connection, "hr:", "warehouse:", 1) +
		strings.Replace(strings.Replace(archive.connection, "hr:", "archive:", 1), file, filepath.Base(file), 1)}
	server := devserver.Redis(t, devserver.RedisOptions{})
	c := client(t, server.Addr)

	access := filepath.Join(t.TempDir(), "access.yaml")
	must(t, os.WriteFile(access, []byte("tokens:\n  - {name: viewer, role: reader, token: "+readerToken+"}\n  - {name: keeper, role: operator, token: "+operatorToken+"}\n"), 0o600))
	l := startProcessesFor(t, server.Addr, func(address string) (*grpc.ClientConn, error) {
		return host.DialAs(host.Identity{}, operatorToken, address)
	},
		"SLIPSTREAM_ACCESS="+access, "SLIPSTREAM_DATA_DIR="+filepath.Dir(file))
	page := startBrowser(t).open(t, "http://"+l.http+"/")
	page.colours("light")

	// Who shows nothing sees nothing; a token that is none is refused in words.
	page.says("#verdict", "Who are you?", "asks for a token")
	page.fill("#token", "nobodys-0123456789abcdef")
	page.click("#ask button")
	page.says("#verdict", "the token is not one of those that may call")
	page.fill("#token", operatorToken)
	page.click("#ask button")
	page.says("#verdict", "There is no pipeline", "slipstream deploy")

	deploy(t, l, map[string]string{
		"config.yaml":      config(server.Addr, both, "applier: {on_failed_retry_interval: 1}\n"),
		"jobs/orders.yaml": ordersJob, "jobs/customers.yaml": customersJob, "jobs/stock.yaml": stockJob,
	})
	running(t, l)
	stop := shop(t, c)
	defer stop()
	t.Run("healthy", func(t *testing.T) { healthy(page.within(t)) })
	t.Run("target down", func(t *testing.T) { targetDown(page.within(t), pg, warehouse) })
	t.Run("rejected", func(t *testing.T) { rejectedRecords(page.within(t), l, c, warehouse, readerToken) })
	t.Run("follow a record", func(t *testing.T) { followed(page.within(t), c) })
	t.Run("narrow", func(t *testing.T) { narrow(page.within(t)) })
	t.Run("gateway away", func(t *testing.T) {
		p := page.within(t)
		l.end("gateway")
		p.says("#verdict", "The gateway does not answer", "goes on without the gateway")
		l.start("gateway")
		p.says("#verdict h1", "All is well")
	})
}

// healthy: every station of the line is there and fares well; the numbers move.
func healthy(p *tab) {
	p.t.Helper()
	p.says("#verdict", "All is well", "12 lanes run")
	p.says("#line", "notifications", "repaired", "127.0.0.1", "orders", "customers", "stock", "warehouse", "archive", "postgresql", "sqlite", "exactly once")
	p.says("#line .others", "mysql")
	p.until("every station is well", "document.querySelectorAll('.station.ok').length >= 10 && !document.querySelector('.station.bad, .station.warn, .edge.bad')")
	p.until("changes flow", "document.querySelectorAll('.flow').length > 5 && Number(document.querySelector('#tile-rate .value').innerText.split(' ')[0]) > 1")
	const total = "Number(document.querySelector('#tile-rate .muted').innerText.split(' ')[0].replaceAll(',', ''))"
	p.run("window.before = " + total)
	p.until("the total grows", total+" > window.before + 20")
	p.until("there is a latency", `/\d/.test(document.querySelector('#tile-latency .value').innerText)`)
	p.says("#jobs-list", "order:*", "warehouse.orders", "archive.stock", "enabled")
	p.until("no gap is open", "/No gap|repaired/.test(document.querySelector('#gaps-list').innerText) && !document.querySelector('#gaps-list .warn')")
	p.says("#lanes-list", "orders → warehouse", "4 lanes running")
	p.until("positions are shown", `/\d{13}-\d+/.test(document.querySelector('#lanes-list code').textContent)`)
	p.named(20)
	if screenshots != "" { // curves need their time
		p.until("a curve of a minute", "document.querySelector('#tile-rate .curve').getAttribute('d').split('L').length > 50")
	}
	p.shoot("page-healthy.png")
	p.colours("dark")
	p.shoot("page-dark.png")
	p.colours("light")

	p.click("#jobs-list button")
	p.says("#file", "jobs/customers.yaml", "key_pattern")
	p.named(2)
	p.click("#file button")
	p.until("it is closed", "!document.querySelector('#file').open")
}

// targetDown: the database that is away is shown with the reason, its lanes wait, the others go on; then all is well again.
func targetDown(p *tab, pg *devserver.PostgresServer, warehouse *target) {
	p.t.Helper()
	must(p.t, pg.Stop())
	p.says("#verdict", "warehouse is not written to", "lanes wait", "Nothing is lost")
	p.until("all its lanes wait", "document.querySelectorAll('#lanes-list .pill.bad').length === 10") // 8, and a sum of each job
	p.says("[data-station='target warehouse']", "down", "connection")
	p.says("[data-station='target archive']", "connected")
	p.says("#lanes-list .why", "waiting", "connection", pg.Addr)
	p.until("the backlog grows", "Number(document.querySelector('#tile-backlog .value').innerText.replaceAll(',', '')) > 50")
	p.until("what is away does not flow", "document.querySelectorAll('.edge.bad').length > 0 && document.querySelectorAll('.flow').length > 0")
	if screenshots != "" {
		p.until("a backlog that is seen", "Number(document.querySelector('#tile-backlog .value').innerText.replaceAll(',', '')) > 700")
	}
	p.run("window.scrollTo(0, 0)")
	p.shoot("page-target-down.png")
	must(p.t, pg.Restart(p.t.Context()))
	p.says("#verdict", "All is well")
	p.says("[data-station='target warehouse']", "connected")
	warehouse.rows(p.t, "SELECT 1")
}

// nasty is a key that would run a script where it were taken for markup.
const nasty = `order:<img src=x onerror="window.taken=1">`

// rejectedRecords: what does not fit is shown with its reason, and as text; a reader may not replay it, an operator may.
func rejectedRecords(p *tab, l *processes, c *redis.Client, warehouse *target, reader string) {
	p.t.Helper()
	must(p.t, c.HSet(p.t.Context(), "order:2001", "buyer", "Ada", "item", "lamp", "qty", "a dozen", "net", "19.90").Err())
	p.says("#rejected-list", "order:2001", "qty")
	must(p.t, c.HSet(p.t.Context(), nasty, "buyer", "<script>window.taken=1</script>", "item", "chair", "qty", "1200", "net", "5").Err())
	p.says("#verdict", "2 records are rejected")
	p.says("#rejected-list", "order:2001", nasty, "dozens", "Replay all 2")
	p.click("#rejected-list article:first-of-type summary")
	p.says("#rejected-list article:first-of-type", "window.taken=1", "as captured")
	p.until("nothing of it became markup", "!window.taken && !document.querySelector('main img, main script') && document.querySelector('#rejected-list .key').textContent === "+fmt.Sprintf("%q", nasty))
	p.run("document.querySelector('#rejected').scrollIntoView()")
	p.shoot("page-rejected.png")

	other := p.b.open(p.t, "http://"+l.http+"/")
	other.says("#verdict", "Who are you?")
	other.fill("#token", reader)
	other.click("#ask button")
	other.says("#rejected-list", "order:2001")
	other.click("#rejected-list header button")
	other.says("#confirm", "Replay 2 records of orders?")
	other.click("#confirm .yes")
	other.says("#note", "You may not do that", "viewer has the role reader")
	other.click("#switch")
	other.click("#confirm .yes")
	other.says("#note", "Stop needs the role operator")
	letters(p.t, l, 2)

	warehouse.exec(p.t, "ALTER TABLE orders DROP CONSTRAINT dozens")
	p.click("#rejected-list header button")
	p.click("#confirm button[value=no]")
	letters(p.t, l, 2)
	p.click("#rejected-list header button")
	p.click("#confirm .yes")
	p.says("#note", "2 records are back on the line")
	rowsAre(p.t, warehouse, "SELECT id, customer, qty FROM orders WHERE qty > 1000", strings.TrimPrefix(nasty, "order:")+"|<script>window.taken=1</script>|1200")
	p.says("#verdict", "1 record is rejected") // what is no number does not become one
	must(p.t, c.HSet(p.t.Context(), "order:2001", "qty", "12").Err())
	p.until("one is left", "document.querySelectorAll('#rejected-list article').length === 1")
	p.click("#rejected-list article button")
	p.says("#confirm", "Replay order:2001?")
	p.click("#confirm .yes")
	p.says("#rejected-list", "No record is rejected")
	p.says("#verdict", "All is well")
	rowsAre(p.t, warehouse, "SELECT qty FROM orders WHERE id = '2001'", "12")
}

// followed: a record is shown before and after each block, with the statement and its values.
func followed(p *tab, c *redis.Client) {
	p.t.Helper()
	p.fill("#follow [name=keys]", "order:3001")
	p.fill("#follow [name=records]", "1")
	p.do(chromedp.SendKeys(chromedp.CSS("#follow [name=records]"), "\r")) // the keyboard is enough
	p.says("#follow-state", "Following on 1 instance")
	must(p.t, c.HSet(p.t.Context(), "order:3001", "buyer", "Grace O'Hara", "item", "lamp", "qty", 2, "net", "10").Err())
	p.says("#followed", "order:3001", "orders → warehouse", "settled in", "transform[0] rename_field", `+   "customer": "Grace O'Hara"`, `-   "buyer": "Grace O'Hara"`,
		"transform[1] add_field", `+   "gross": 12`, "'Grace O''Hara'", "Durable")
	p.says("#follow-state", "1 record: 1 settled.")
	p.click("#note button")
	p.run("document.querySelector('#trace').scrollIntoView()")
	p.shoot("page-trace.png")
}

// narrow: on a telephone nothing has to be moved sideways.
func narrow(p *tab) {
	p.t.Helper()
	p.size(390, 844)
	p.until("nothing is wider than the window", "document.documentElement.scrollWidth <= 390")
	p.run("window.scrollTo(0, 0)")
	p.shoot("page-narrow.png")
	p.size(1280, 900)
}
