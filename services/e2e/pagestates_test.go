package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	"slipstream/services/internal/host"
)

// clerk is a line whose page is looked at while it is not well: sweeps are slow enough to be seen.
type clerk struct {
	*processes
	redis    string
	c        *redis.Client
	tg       *target
	dir      string
	key      string // that seals dead letters
	operator *tab
	reader   *tab
}

// clerkKeys is how many keys a sweep reads, and clerkRate how many a second.
const clerkKeys, clerkRate = 4000, 500

// files are the pipeline, with a way to keep the payload of dead letters and an expression for the column name.
func (k *clerk) files(payload, name string) map[string]string {
	settings := fmt.Sprintf("applier:\n  on_failed_retry_interval: 1\n  sweep_rate: %d\n  dlq_payload: %s\n", clerkRate, payload)
	if payload == "encrypt" {
		settings += fmt.Sprintf("  dlq_payload_key: [%q]\n", k.key)
	}
	return map[string]string{"config.yaml": config(k.redis, k.tg, settings), "jobs/crew.yaml": fmt.Sprintf(`source:
  redis: {trigger: write-behind, key_pattern: "crew:*", initial_load: always}
  keys: {fields: {id: 1}}
transform:
  - uses: add_field
    with: {field: name, language: sql, expression: "%s"}
output:
  - uses: relational.write
    with: {connection: hr, table: crew, keys: [id], mapping: [name, note]}
`, name)}
}

// TestPageTrouble is the page while something needs somebody, in a browser, on a line of real processes: keys that are loaded, a gap
// and its repair, a job that needs a resync and one that waits, dead letters whose data is not for everybody, several pipelines.
func TestPageTrouble(t *testing.T) {
	const readerToken, operatorToken = "reader-0123456789abcdef", "operator-0123456789abcdef"
	dir := t.TempDir()
	access := filepath.Join(dir, "access.yaml")
	must(t, os.WriteFile(access, []byte("tokens:\n  - {name: viewer, role: reader, token: "+readerToken+"}\n  - {name: keeper, role: operator, token: "+operatorToken+"}\n"), 0o600))
	server := devserver.Redis(t, devserver.RedisOptions{})
	k := &clerk{redis: server.Addr, c: client(t, server.Addr), tg: postgresTarget(t, devserver.SharedPostgres(t)), dir: dir, key: letterKey(t, dir, "key")}
	k.tg.exec(t, `CREATE TABLE crew (id integer PRIMARY KEY, name text, note text);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.note <> '' THEN RAISE EXCEPTION 'no note may be %', NEW.note; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON crew FOR EACH ROW EXECUTE FUNCTION refuse()`)
	_, err := k.c.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
		for i := range clerkKeys {
			pipe.HSet(t.Context(), fmt.Sprintf("crew:%d", i), "first", "f", "last", "l", "note", "")
		}
		return nil
	})
	must(t, err)
	k.processes = startProcessesFor(t, server.Addr, func(address string) (*grpc.ClientConn, error) {
		return host.DialAs(host.Identity{}, operatorToken, address)
	}, "SLIPSTREAM_ACCESS="+access)
	b := startBrowser(t)
	page := func(token string) *tab {
		p := b.open(t, "http://"+k.http+"/")
		p.says("#verdict", "Who are you?")
		p.fill("#token", token)
		p.click("#ask button")
		p.says("#verdict", "There is no pipeline")
		return p
	}
	k.operator, k.reader = page(operatorToken), page(readerToken)
	deploy(t, k, k.files("encrypt", "first"))
	for _, part := range []struct {
		name string
		run  func(*testing.T, *clerk)
	}{
		{"keys are loaded", keysLoaded},
		{"a gap is repaired", gapRepaired},
		{"a job is stale", jobStale},
		{"a resync waits", resyncWaits},
		{"letters are sealed", lettersSealed},
		{"letters are left out", lettersLeftOut},
		{"several pipelines", severalPipelines},
		{"the source is emptied", sourceEmptied},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, k) }) {
			return
		}
	}
}

// reading waits until a sweep is seen at work: some of its keys are read, and not all.
func reading(p *tab, sweep string) {
	p.t.Helper()
	p.says("#sweeps-list li", sweep, "reads", "keys read belong to it")
	p.until("some keys are read, and not all", `(b => b && b.value > 0 && b.value < b.max)(document.querySelector('#sweeps-list progress'))`)
	p.run("window.before = document.querySelector('#sweeps-list progress').value")
	p.until("it goes on", "(document.querySelector('#sweeps-list progress')?.value ?? Infinity) > window.before")
}

// well waits until nothing needs anybody.
func well(p *tab) {
	p.t.Helper()
	p.says("#verdict", "All is well", "nothing waits, nothing is rejected")
	p.until("no sweep runs", "!document.querySelector('#sweeps-list progress') && !document.querySelector('#gaps-list .warn')")
	p.until("nothing is stale", "!document.querySelector('#stale-list').innerText")
}

func keysLoaded(t *testing.T, k *clerk) {
	p := k.reader.within(t)
	p.until("there is no choice where there is one pipeline", "document.querySelector('#choice').hidden && document.querySelector('#which').innerText.startsWith('default')")
	reading(p, "crew: ")
	p.says("#sweeps-list", "crew: initial load")
	well(p)
	p.says("#sweeps-list", "4,000 of 4,0", "settled")
	p.says("#gaps-list", "No gap is known")
	rowsAre(t, k.tg, "SELECT count(*), count(*) FILTER (WHERE name = 'f') FROM crew", fmt.Sprintf("%d|%d", clerkKeys, clerkKeys))
}

// gapRepaired: the source cuts the recorder off.
func gapRepaired(t *testing.T, k *clerk) {
	p := k.operator.within(t)
	must(t, k.c.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err())
	p.says("#verdict", "1 gap is being repaired", "Changes may have been missed")
	p.says("#gaps-list li:first-of-type", "reconnect: crew", "open", "the connection to the source was lost")
	p.says("#sweeps-list", "crew: repair", "reads")
	_, err := k.gateway().Resync(t.Context(), &gatewayv1.ResyncRequest{})
	must(t, err)
	p.says("#sweeps-list li:first-of-type", "crew: resync", "queued", "It begins when those before it have read their keys.")
	reading(p, "crew: repair")
	k.reader.within(t).says("#verdict", "1 gap is being repaired")
	p.says("#gaps-list li:first-of-type", "repaired at")
	well(p)
}

// jobStale: a job means something else; a reader sees it and may not mend it, an operator does.
func jobStale(t *testing.T, k *clerk) {
	deploy(t, k, k.files("encrypt", "last"))
	p, reader := k.operator.within(t), k.reader.within(t)
	p.says("#verdict", "1 job needs a resync", "what crew meant before", "slipstream resync crew")
	p.says("#jobs-list", "needs a resync")
	p.says("#stale-list", "crew needs a resync", "before generation 2", "transform[0]", "last")
	p.named(20)
	reader.says("#verdict", "1 job needs a resync")
	reader.click("#stale-list button")
	reader.says("#confirm", "Resync crew?", "none is deleted")
	reader.click("#confirm .yes")
	reader.says("#note", "You may not do that")
	p.click("#stale-list button")
	p.click("#confirm button[value=no]")
	if all := resyncs(t, k); len(all) != 1 {
		t.Errorf("a resync that was called off: %v", all)
	}
	p.click("#stale-list button")
	p.click("#confirm .yes")
	p.says("#note", "crew is read again")
	p.says("#verdict", "1 job is being resynced")
	p.says("#jobs-list", "being resynced")
	p.until("there is nothing to ask for any more", "!document.querySelector('#stale-list button')")
	reading(p, "crew: resync")
	well(p)
	rowsAre(t, k.tg, "SELECT count(*), count(*) FILTER (WHERE name = 'l') FROM crew", fmt.Sprintf("%d|%d", clerkKeys, clerkKeys))
}

// resyncWaits: a deploy with a resync whose sweep cannot begin, since no lane can take up what was deployed.
func resyncWaits(t *testing.T, k *clerk) {
	p := k.reader.within(t)
	holder := k.tg.open(t)
	defer func() { _ = holder.Close(context.WithoutCancel(t.Context())) }()
	_, err := holder.Exec(t.Context(), "BEGIN; LOCK TABLE slipstream_position IN SHARE ROW EXCLUSIVE MODE")
	must(t, err)
	_, err = k.gateway().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: yamlFiles(k.files("encrypt", "first || last")), Resync: true})
	must(t, err)
	p.says("#sweeps-list li:first-of-type", "crew: resync", "queued", "has not taken up generation 3 yet")
	p.says("#stale-list", "crew is being resynced", "Its sweep waits: the lane to hr")
	p.until("nothing is to be asked for", "!document.querySelector('#stale-list button')")
	p.until("it is not well", "!document.querySelector('#verdict').classList.contains('ok')")
	_, err = holder.Exec(t.Context(), "ROLLBACK")
	must(t, err)
	reading(p, "crew: resync")
	well(p)
	rowsAre(t, k.tg, "SELECT count(*) FILTER (WHERE name = 'fl') FROM crew", fmt.Sprint(clerkKeys))
}

// silent: nothing that the page holds, seen or not, quotes a value.
func silent(p *tab, what string) {
	p.t.Helper()
	if text, err := got(p, chromedp.Evaluate[string]("document.documentElement.textContent")); err != nil || quotes(text, what) {
		p.t.Errorf("the page of a reader holds %s: %v", what, err)
	}
}

// lettersSealed: the data of a dead letter is for an operator; a reader sees which key it is, and who refused it.
func lettersSealed(t *testing.T, k *clerk) {
	const marker = "MARKER-4713"
	p, reader := k.operator.within(t), k.reader.within(t)
	must(t, k.c.HSet(t.Context(), "crew:1", "note", marker).Err())
	for _, one := range []*tab{p, reader} {
		one.says("#verdict", "1 record is rejected")
		one.says("#rejected-list", "crew:1", "P0001")
	}
	p.click("#rejected-list article:first-of-type summary")
	p.says("#rejected-list", "no note may be "+marker, "as captured")
	p.until("nothing is withheld of an operator", "!document.querySelector('#rejected-list .withheld')")
	reader.says("#rejected-list .withheld", "Sealed (dlq_payload: encrypt), and shown to operators only: the record, the record after the transformations, the reason")
	reader.says("#rejected-list .reason", "the reason is not shown")
	reader.until("there is no data to open", "!document.querySelector('#rejected-list details')")

	// Nor does a reader see it who follows the record.
	reader.fill("#follow [name=keys]", "crew:1")
	reader.fill("#follow [name=records]", "1")
	reader.click("#follow button")
	reader.says("#follow-state", "Following on 1 instance")
	must(t, k.c.HSet(t.Context(), "crew:1", "note", marker).Err())
	reader.says("#followed", "crew:1", "rejected", "P0001")
	reader.says("#follow-state", "1 record: ")
	silent(reader, "MARKER-47")

	must(t, k.c.HSet(t.Context(), "crew:1", "note", "").Err())
	p.click("#rejected-list header button")
	p.click("#confirm .yes")
	p.says("#rejected-list", "No record is rejected")
	well(p)
}

// lettersLeftOut: of a dead letter whose data is not kept, nobody sees it, and everybody is told so.
func lettersLeftOut(t *testing.T, k *clerk) {
	const marker = "MARKER-4714"
	generation := deploy(t, k, k.files("omit", "first || last")).GetGeneration()
	await(t, time.Minute, "every lane of the generation", func() (bool, string) {
		s, err := k.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
		must(t, err)
		for _, lane := range s.GetStatus().GetLanes() {
			if lane.GetGeneration() != generation {
				return false, lane.String()
			}
		}
		return true, ""
	})
	must(t, k.c.HSet(t.Context(), "crew:2", "note", marker).Err())
	for _, one := range []*tab{k.operator.within(t), k.reader.within(t)} {
		one.says("#rejected-list", "crew:2", "P0001")
		one.says("#rejected-list .withheld", "Not kept (dlq_payload: omit): the record, the record after the transformations, the reason")
		silent(one, "MARKER-4714")
	}
	// What is rejected does not hide that a job is stale.
	p := k.operator.within(t)
	deploy(t, k, k.files("omit", "last || first"))
	p.says("#verdict", "1 record is rejected, 1 job needs a resync", "The reasons are below.", "slipstream resync crew")
	must(t, k.c.HSet(t.Context(), "crew:2", "note", "").Err())
	p.click("#rejected-list header button")
	p.click("#confirm .yes")
	p.says("#rejected-list", "No record is rejected")
	p.click("#stale-list button")
	p.click("#confirm .yes")
	well(p)
}

// severalPipelines: where there are others, each can be chosen, with the keyboard alone; the address says which one it is.
func severalPipelines(t *testing.T, k *clerk) {
	p := k.operator.within(t)
	hidden := "document.querySelector('#choice').hidden"
	p.until("there is one pipeline, and no choice", hidden)
	tg := sqliteTarget(t)
	tg.exec(t, "CREATE TABLE pump (id varchar(10) PRIMARY KEY, site text)")
	r, err := k.gateway().Deploy(t.Context(), &gatewayv1.DeployRequest{Pipeline: "shop", Files: yamlFiles(map[string]string{
		"config.yaml": config(k.redis, tg, ""),
		"jobs/pump.yaml": "source:\n  redis: {trigger: write-behind, key_pattern: \"pump:*\"}\n  keys: {fields: {id: 1}}\n" +
			"output:\n  - uses: relational.write\n    with: {connection: hr, table: pump, keys: [id], mapping: [site]}\n",
	})})
	must(t, err)
	if r.GetGeneration() != 1 {
		t.Fatalf("deploying another pipeline: %v", r)
	}
	p.until("there is a choice", "!"+hidden)
	p.says("#choice summary", "default")
	p.named(20)

	opened := "document.querySelector('#choice').open"
	p.run("document.querySelector('#choice summary').focus()")
	p.do(chromedp.KeyEvent(kb.Enter))
	p.until("it is open", opened)
	p.says("#choice ul", "default", "shop", "generation 1")
	p.until("the one that is shown is marked", "document.querySelector('#choice [aria-current=page]').innerText.startsWith('default')")
	p.do(chromedp.KeyEvent(kb.Escape))
	p.until("Escape closes it", "!"+opened+" && document.activeElement === document.querySelector('#choice summary')")
	p.do(chromedp.KeyEvent(kb.Enter))
	p.until("it is open again", opened)
	p.do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	p.until("the address says which one is shown", "location.search === '?pipeline=shop'")
	p.says("#choice summary", "shop")
	p.says("#jobs-list", "pump:*", "hr.pump")
	p.says("#verdict", "All is well")
	p.until("the title says it too", "document.title === 'shop – Slipstream'")
	must(t, k.c.HSet(t.Context(), "pump:1", "site", "north").Err())
	p.until("its numbers are shown", "/^1 in all/.test(document.querySelector('#tile-rate .muted').innerText)")

	_, err = k.gateway().Stop(t.Context(), &gatewayv1.StopRequest{Pipeline: "shop"})
	must(t, err)
	p.says("#verdict", "The pipeline is stopped")
	p.run("history.back()")
	p.says("#jobs-list", "crew:*")
	p.until("the first is shown again, and the list is closed", "!"+opened+" && document.title === 'default – Slipstream' && !"+hidden)
	p.do(chromedp.Navigate("http://" + k.http + "/")) // the driver finds nothing in a page that the browser had kept
	p.click("#choice summary")
	p.says("#choice ul", "stopped")
	p.click("#verdict h1")
	p.until("a click elsewhere closes it", "!"+opened)

	p.do(chromedp.Navigate("http://" + k.http + "/?pipeline=shp"))
	p.says("#verdict", "There is no pipeline “shp” yet", "2 others are deployed: choose at the top.")
	p.click("#choice summary")
	p.size(390, 844)
	p.until("the list is within a narrow window", "document.documentElement.scrollWidth <= 390 && document.querySelector('#choice ul').getBoundingClientRect().right <= 390 && document.querySelector('#choice ul').getBoundingClientRect().left >= 0")
	p.size(1280, 900)
	p.click("#choice a[href='?pipeline=default']")
	p.says("#jobs-list", "crew:*")
	well(p)
}

// sourceEmptied: a flush is a gap, and no row goes with it; the lanes wait for somebody, which is no fault of the target.
func sourceEmptied(t *testing.T, k *clerk) {
	p := k.operator.within(t)
	must(t, k.c.FlushDB(t.Context()).Err())
	p.says("#gaps-list", "flush: all jobs", "FLUSHDB, FLUSHALL or SWAPDB ran on the source", "stopped until acknowledged: crew")
	for _, one := range []*tab{p, k.reader.within(t)} {
		one.says("#verdict", "4 lanes need you", "the rows stay", "start the pipeline again")
		one.says("[data-station='target hr']", "waits for you")
		one.says("#lanes-list", "4 lanes stopped")
	}
	must(t, k.c.HSet(t.Context(), "crew:1", "first", "F", "last", "L", "note", "").Err())
	rowsAre(t, k.tg, "SELECT count(*) FROM crew", fmt.Sprint(clerkKeys))
	p.says("#switch", "Start")
	p.click("#switch")
	p.says("#confirm", "Start the pipeline?")
	p.click("#confirm .yes")
	p.says("#note", "starts.")
	rowsAre(t, k.tg, "SELECT count(*), count(*) FILTER (WHERE id = 1 AND name LIKE '%F') FROM crew", fmt.Sprintf("%d|1", clerkKeys))
	well(p)
	p.says("#switch", "Stop")
}
