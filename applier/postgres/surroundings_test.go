package postgres_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"slipstream/applier"
	"slipstream/applier/applytest"
	"slipstream/deploy/dev/devserver"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// An account with SELECT, INSERT, UPDATE and DELETE on the tables and nothing else: no temporary tables, no CREATE in the
// schema. Our own two tables were made by somebody else, with the statements that validate prints.
func TestConformanceOfAnAccountWithoutOtherRights(t *testing.T) {
	t.Parallel()
	h := harness()
	h.Open = func(t testing.TB) applytest.Database {
		db := newDatabase(t)
		clerk := "clerk of " + db.name
		db.exec(t, `CREATE ROLE "`+clerk+`" LOGIN; REVOKE CREATE, TEMPORARY ON DATABASE `+db.name+` FROM PUBLIC;
			REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
		target := db.connectWith(t, func(c *pipelinev1.Connection) { c.User = clerk })
		indexed := output("none", "*id")
		indexed.RowIndex = true
		made := 0
		for _, p := range target.Check(t.Context(), []*pipelinev1.Job{job(indexed)}).Problems {
			if strings.Contains(p.Fix, "slipstream_") {
				db.exec(t, p.Fix) // ready to be copied
				made++
			}
		}
		if made != 2 {
			t.Fatalf("%d of our tables came with their statements, want 2", made)
		}
		db.exec(t, `ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "`+clerk+`"`)
		suite := suiteDatabase(t, db)
		suite.Connection.User = clerk
		return suite
	}
	applytest.Run(t, h, "write", "foreach", "reference", "position", "fence", "strategy", "index")
}

// PgBouncer in transaction mode, which gives every transaction another session: what writes, keeps positions and fences
// must not need the one before, and previews and the making of tables neither. Left out are the groups about conversions,
// which send the same statements with other values, and "outage", whose troubles are the server's.
func TestConformanceThroughAPooler(t *testing.T) {
	t.Parallel()
	pooler := devserver.PgBouncer(t, devserver.SharedPostgres(t).Addr, devserver.PgBouncerOptions{})
	h := harness()
	h.Open = func(t testing.TB) applytest.Database {
		suite := suiteDatabase(t, newDatabase(t))
		lead(t, suite.Connection, pooler.Addr)
		return suite
	}
	applytest.Run(t, h, "write", "foreach", "reject", "reference", "position", "fence", "trouble", "network", "lanes", "check",
		"strategy", "index", "create", "preview")
}

// lead leads a connection to another address.
func lead(t testing.TB, c *pipelinev1.Connection, addr string) {
	t.Helper()
	var err error
	if c.Host, c.Port, err = net.SplitHostPort(addr); err != nil {
		t.Fatal(err)
	}
}

// writeNumbered makes a write of one row.
func writeNumbered(t testing.TB, table *applier.Table, n uint64) *applier.Write {
	t.Helper()
	return write(table, applier.Upsert, values(t, table, []any{fmt.Sprint(n), "v"}))
}

// What validate and auto_create do goes through a pooler as well; a pooler that drops idle clients, idle sessions and
// itself costs a transaction at most.
func TestThroughAPooler(t *testing.T) {
	t.Parallel()
	pooler := devserver.PgBouncer(t, devserver.SharedPostgres(t).Addr, devserver.PgBouncerOptions{
		Settings: []string{"server_idle_timeout = 1", "client_idle_timeout = 1"},
	})
	db := newDatabase(t)
	target := db.connectWith(t, func(c *pipelinev1.Connection) {
		lead(t, c, pooler.Addr)
		c.Options = map[string]string{"statement_timeout": "7", "db_connection_pool_size": "3"}
	})
	w := output("made", "*id", "v")
	w.AutoCreate = true
	jobs := []*pipelinev1.Job{job(w)}
	if r := target.Check(t.Context(), jobs); len(r.Problems) != 0 || len(r.Plan) != 2 {
		t.Fatalf("check says %v", r)
	}
	if r := target.Prepare(t.Context(), jobs); len(r.Problems) != 0 || len(r.Created) == 0 {
		t.Fatalf("prepared %v", r)
	}
	db.exec(t, `ALTER TABLE made ADD COLUMN timeout text; CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		NEW.timeout := current_setting('statement_timeout'); RETURN NEW; END $$;
		CREATE TRIGGER note BEFORE INSERT OR UPDATE ON made FOR EACH ROW EXECUTE FUNCTION note()`)
	table := bind(t, target, w)
	s, _ := open(t, target, lane(0))
	for n := range uint64(3) {
		if n > 0 { // a second of idleness ends the clients of the pooler and its sessions
			db.waitFor(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`, "0")
		}
		// A lost connection is seen when it is used: then the engine opens the lane again, as here.
		err := attempt(t.Context(), s, n+1, writeNumbered(t, table, n))
		if err != nil {
			s, _ = open(t, target, lane(0))
			if err = attempt(t.Context(), s, n+1, writeNumbered(t, table, n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	db.want(t, `SELECT id, v, timeout FROM made ORDER BY id`, "0|v|7s", "1|v|7s", "2|v|7s")
	if err := pooler.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, opened := openWhenBack(t, target)
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if opened.Position.GetMain().GetMs() != 3 {
		t.Fatalf("after the pooler's restart: %v", opened)
	}
	commit(t, s, at(3), at(4))
	db.want(t, `SELECT count(*) FROM pg_prepared_statements`, "0")
}
