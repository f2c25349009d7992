package e2e_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"slipstream/deploy/dev/devserver"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const tankJob = `source:
  redis: {trigger: write-behind, key_pattern: "tank:*", initial_load: always}
  keys: {fields: {id: 1}}
output:
  - uses: relational.write
    with: {connection: hr, table: tank, keys: [id], mapping: [level]}
`

const tankTable = "CREATE TABLE tank (id bigint PRIMARY KEY, level integer)"

// spoiled is one thing that is wrong with a target, after it was right.
type spoiled struct {
	name  string
	spoil func()
	says  string // what validate and status say
	fix   string // what both print beside it
	mend  func(fix string)
}

// fixes is a pipeline whose target is spoiled and mended again and again.
type fixes struct {
	t     *testing.T
	line  line
	files map[string]string
	set   func(key int)
	has   func(key int) bool // in the target; false where that cannot be asked
	next  int
}

// waiting is the fault of a lane that waits, nil without one.
func (x *fixes) waiting() *flowv1.Fault {
	s, err := x.line.gateway().Status(x.t.Context(), &gatewayv1.StatusRequest{})
	if err != nil {
		return nil
	}
	for _, lane := range s.Status.GetLanes() {
		if lane.State == capturev1.LaneState_LANE_STATE_WAITING && lane.Fault.GetMessage() != "" {
			return lane.Fault
		}
	}
	return nil
}

// arrives waits for a row, doing what is printed meanwhile; each fix once: a lane may still print what another one had mended.
func (x *fixes) arrives(key int, mend func(fix string)) {
	x.t.Helper()
	done := map[string]bool{}
	await(x.t, 60*time.Second, fmt.Sprintf("the row of tank:%d", key), func() (bool, string) {
		if x.has(key) {
			return true, ""
		}
		f := x.waiting()
		if fix := f.GetFix(); fix != "" && !done[fix] {
			done[fix] = true
			x.t.Logf("doing what is printed: %s", fix)
			mend(fix)
		}
		return false, f.String()
	})
}

// run spoils, looks at both texts, and mends.
func (x *fixes) run(c spoiled) {
	top := x.t
	defer func() { x.t = top }()
	top.Run(c.name, func(t *testing.T) {
		x.t = t
		c.spoil()
		x.next++
		key := x.next
		x.set(key)
		var fault *flowv1.Fault
		await(t, 60*time.Second, "a lane that says "+c.says, func() (bool, string) {
			fault = x.waiting()
			return strings.Contains(fault.GetMessage(), c.says) && strings.Contains(fault.GetFix(), c.fix), fault.String()
		})
		r, err := x.line.gateway().Validate(t.Context(), &gatewayv1.ValidateRequest{Files: yamlFiles(x.files)})
		must(t, err)
		found := false
		for _, p := range r.Problems {
			found = found || p.Severity == pipelinev1.Severity_SEVERITY_ERROR && strings.Contains(p.Message, c.says) &&
				strings.Contains(p.Fix, fault.Fix)
		}
		if !found {
			t.Errorf("status says %q with the fix %q; validate says %v", fault.Message, fault.Fix, r.Problems)
		}
		d, err := x.line.gateway().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: yamlFiles(x.files)})
		must(t, err)
		if d.Generation != 0 {
			t.Errorf("it was deployed as generation %d", d.Generation)
		}
		if x.has(key) {
			t.Error("the row is there before the fix")
		}
		x.arrives(key, c.mend)
	})
}

// TestFixesPostgres: each bad input is found by validate and deploy, with the statement that mends it; a lane that meets it
// later waits and says the same in status; what is printed is done as printed, and the lane goes on (G6).
func TestFixesPostgres(t *testing.T) {
	const password = "it's secret"
	pg := devserver.Postgres(t, devserver.PostgresOptions{})
	hba := filepath.Join(pg.Dir, "data", "pg_hba.conf")
	admin := func(database, statement string) error {
		c, err := pgx.Connect(t.Context(), pg.DSN(database))
		if err != nil {
			return err
		}
		_, err = c.PgConn().Exec(t.Context(), statement).ReadAll()
		return errors.Join(err, c.Close(t.Context()))
	}
	letIn := func(kind string) {
		text := "host all postgres 127.0.0.1/32 trust\n" + kind + " all clerk 127.0.0.1/32 scram-sha-256\n"
		must(t, os.WriteFile(hba, []byte(text), 0o600), admin("postgres", "SELECT pg_reload_conf()"))
	}
	const cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'clerk'"
	must(t, admin("postgres", "CREATE ROLE clerk LOGIN PASSWORD '"+strings.ReplaceAll(password, "'", "''")+"'"),
		admin("postgres", "CREATE DATABASE plant"))
	must(t, admin("plant", "GRANT CREATE ON SCHEMA public TO clerk; "+tankTable+"; GRANT SELECT, INSERT, UPDATE, DELETE ON tank TO clerk"))
	letIn("host")

	server := devserver.Redis(t, devserver.RedisOptions{})
	c := client(t, server.Addr)
	host, port, err := net.SplitHostPort(pg.Addr)
	must(t, err)
	tg := &target{connection: fmt.Sprintf("  hr: {type: postgresql, host: %s, port: %s, database: plant, user: clerk, password: \"%s\", query_args: {sslmode: disable}}\n",
		host, port, password)}
	x := &fixes{
		t: t, line: startEmbedded(t, server.Addr),
		files: map[string]string{"config.yaml": config(server.Addr, tg, "applier: {on_failed_retry_interval: 1}\n"), "jobs/tank.yaml": tankJob},
		set:   func(key int) { must(t, c.HSet(t.Context(), fmt.Sprintf("tank:%d", key), "level", key).Err()) },
		has: func(key int) bool {
			return admin("plant", fmt.Sprintf("SELECT 1/count(*) FROM tank WHERE CAST(id AS text) = '%d'", key)) == nil
		},
	}
	deploy(t, x.line, x.files)
	running(t, x.line)
	x.next++
	x.set(x.next)
	x.arrives(x.next, func(fix string) { t.Errorf("nothing is wrong yet, but: %s", fix) })

	inPlant := func(statement string) func() { return func() { must(x.t, admin("plant", statement)) } }
	asPrinted := func(fix string) { must(x.t, admin("plant", fix)) }
	for _, one := range []spoiled{
		{
			"wrong password", inPlant("ALTER ROLE clerk PASSWORD 'another'; " + cut), "password authentication failed for user \"clerk\"",
			"ALTER ROLE \"clerk\" PASSWORD '…';",
			func(fix string) {
				_, statement, _ := strings.Cut(fix, "in the database: ")
				asPrinted(strings.Replace(statement, "…", strings.ReplaceAll(password, "'", "''"), 1))
			},
		},
		{
			"missing grant", inPlant("REVOKE INSERT, UPDATE ON tank FROM clerk"), "user clerk has no INSERT, UPDATE on table tank",
			`GRANT SELECT, INSERT, UPDATE, DELETE ON "public"."tank" TO "clerk";`, asPrinted,
		},
		{
			"missing grant on a schema", inPlant("REVOKE USAGE ON SCHEMA public FROM PUBLIC; REVOKE CREATE, USAGE ON SCHEMA public FROM clerk; " + cut),
			"user clerk may not use schema public, in which table slipstream_position is", `GRANT USAGE ON SCHEMA "public" TO "clerk";`, asPrinted,
		},
		{
			"a server that wants TLS", func() { letIn("hostssl"); inPlant(cut)() }, "no pg_hba.conf entry", "a line in pg_hba.conf for user clerk and database plant",
			func(string) { letIn("host") },
		},
		{
			"no such table", inPlant("DROP TABLE tank"), "table tank does not exist in database plant", `CREATE TABLE "tank" (`,
			asPrinted, // and then the grant
		},
		{
			"keys without a unique index", inPlant("DROP TABLE tank; CREATE TABLE tank (id bigint, level integer); GRANT ALL ON tank TO clerk"),
			"table tank has no unique index on exactly id", `CREATE UNIQUE INDEX ON "public"."tank" ("id");`, asPrinted,
		},
		{
			"no such column", inPlant("ALTER TABLE tank DROP COLUMN level"), "level column does not exist in tank table",
			`ALTER TABLE "public"."tank" ADD COLUMN "level"`, asPrinted,
		},
		{
			"a view instead of a table", inPlant("ALTER TABLE tank RENAME TO tank_base; CREATE VIEW tank AS SELECT * FROM tank_base; GRANT ALL ON tank TO clerk; " + cut),
			"tank is a view; rows can only be written to a table", "name the table behind it",
			func(string) {
				files := map[string]string{
					"config.yaml":    x.files["config.yaml"],
					"jobs/tank.yaml": strings.Replace(tankJob, "table: tank", "table: tank_base", 1),
				}
				deploy(x.t, x.line, files)
			},
		},
		{
			"no such database", func() {
				must(x.t, admin("plant", "DROP VIEW tank; ALTER TABLE tank_base RENAME TO tank"))
				deploy(x.t, x.line, x.files)
				running(x.t, x.line)
				must(x.t, admin("postgres", "DROP DATABASE plant WITH (FORCE)"))
			}, `database "plant" does not exist`, `CREATE DATABASE "plant";`,
			func(fix string) { // and then our table, the job's, and the grant
				database := "plant"
				if strings.HasPrefix(fix, "CREATE DATABASE") {
					database = "postgres"
				}
				must(x.t, admin(database, fix))
			},
		},
	} {
		x.run(one)
	}
	noDeadLetters(t, x.line)
}

// TestFixesSQLite is the same for a file.
func TestFixesSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plant.db")
	admin := func(statement string) error { // each on a connection of its own: the file may be another one
		db, err := sql.Open("sqlite", "file:"+path+"?mode=rw&_pragma=busy_timeout(10000)")
		if err != nil {
			return err
		}
		_, err = db.ExecContext(t.Context(), statement)
		return errors.Join(err, db.Close())
	}
	must(t, os.WriteFile(path, nil, 0o600), admin(tankTable))
	server := devserver.Redis(t, devserver.RedisOptions{})
	c := client(t, server.Addr)
	x := &fixes{
		t: t, line: startEmbedded(t, server.Addr),
		files: map[string]string{
			"config.yaml":    config(server.Addr, &target{connection: "  hr: {type: sqlite, database: " + path + "}\n"}, "applier: {on_failed_retry_interval: 1}\n"),
			"jobs/tank.yaml": tankJob,
		},
		set: func(key int) { must(t, c.HSet(t.Context(), fmt.Sprintf("tank:%d", key), "level", key).Err()) },
		has: func(key int) bool {
			db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&_pragma=busy_timeout(10000)")
			must(t, err)
			defer func() { _ = db.Close() }()
			found := 0
			err = db.QueryRowContext(t.Context(), "SELECT count(*) FROM tank WHERE CAST(id AS TEXT) = ?", fmt.Sprint(key)).Scan(&found)
			return err == nil && found == 1
		},
	}
	deploy(t, x.line, x.files)
	running(t, x.line)
	x.next++
	x.set(x.next)
	x.arrives(x.next, func(fix string) { t.Errorf("nothing is wrong yet, but: %s", fix) })

	as := func(statement string) func() { return func() { must(x.t, admin(statement)) } }
	asPrinted := func(fix string) { must(x.t, admin(fix)) }
	for _, one := range []spoiled{
		{"no such table", as("DROP TABLE tank"), "tank", "CREATE TABLE ", asPrinted},
		{
			"keys without a unique index", as("DROP TABLE tank; CREATE TABLE tank (id bigint, level integer)"), "unique", "CREATE UNIQUE INDEX ", asPrinted,
		},
		{"no such column", as("ALTER TABLE tank DROP COLUMN level"), "level column does not exist in tank table", "ALTER TABLE ", asPrinted},
		{
			"a view instead of a table", as("ALTER TABLE tank RENAME TO tank_base; CREATE VIEW tank AS SELECT * FROM tank_base"), "tank is a view", "",
			func(string) {
				deploy(x.t, x.line, map[string]string{
					"config.yaml":    x.files["config.yaml"],
					"jobs/tank.yaml": strings.Replace(tankJob, "table: tank", "table: tank_base", 1),
				})
			},
		},
		{
			"no such file", func() {
				must(x.t, admin("DROP VIEW tank; ALTER TABLE tank_base RENAME TO tank"))
				deploy(x.t, x.line, x.files)
				running(x.t, x.line)
				for _, end := range []string{"", "-wal", "-shm"} {
					if err := os.Rename(path+end, path+end+".away"); err != nil && !errors.Is(err, os.ErrNotExist) {
						x.t.Fatal(err)
					}
				}
			}, "the database file " + path + " does not exist", "sqlite3 '" + path + "'",
			func(fix string) { // and then the table
				if strings.HasPrefix(fix, "create it") {
					must(x.t, os.WriteFile(path, nil, 0o600))
					return
				}
				asPrinted(fix)
			},
		},
	} {
		x.run(one)
	}
	noDeadLetters(t, x.line)
}
