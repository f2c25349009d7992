package e2e_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // to read rows back

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// line is a running pipeline, whatever the harness.
type line interface {
	gateway() gatewayv1.GatewayServiceClient
}

// harnesses are the ways to run the line; start deploys nothing yet.
var harnesses = map[string]func(t *testing.T, redisAddr string) line{
	"in one process":     func(t *testing.T, a string) line { return startEmbedded(t, a) },
	"separate processes": func(t *testing.T, a string) line { return startProcesses(t, a) },
}

// target is a database to write to and to read back.
type target struct {
	name       string
	connection string // its YAML in config.yaml, below connections:
	exec       func(t *testing.T, sql string)
	rows       func(t *testing.T, query string) [][]string
	open       func(t *testing.T) *pgx.Conn // a connection to PostgreSQL, the caller's to close; else nil
}

// sqliteTarget is a fresh SQLite file.
func sqliteTarget(t *testing.T) *target {
	t.Helper()
	path := filepath.Join(t.TempDir(), "target.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &target{
		name:       "sqlite",
		connection: fmt.Sprintf("  hr:\n    type: sqlite\n    database: %s\n", path),
		exec: func(t *testing.T, stmt string) {
			t.Helper()
			if _, err := db.ExecContext(t.Context(), stmt); err != nil {
				t.Fatalf("%s: %v", stmt, err)
			}
		},
		rows: func(t *testing.T, query string) [][]string {
			t.Helper()
			out, err := queried(t.Context(), db, query)
			if err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			return out
		},
	}
}

// queried gives the rows of a query, every value as the database prints it.
func queried(ctx context.Context, db *sql.DB, query string) (out [][]string, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		values := make([]sql.NullString, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		one := make([]string, len(names))
		for i, v := range values {
			one[i] = v.String
			if !v.Valid {
				one[i] = null
			}
		}
		out = append(out, one)
	}
	return out, rows.Err()
}

// null is how NULL shows in rows read back.
const null = "<null>"

// postgresTarget is a fresh database on a server.
func postgresTarget(t *testing.T, server *devserver.PostgresServer) *target {
	t.Helper()
	return postgresAt(t, server, server.Database(t))
}

// postgresAt is a database that is there.
func postgresAt(t *testing.T, server *devserver.PostgresServer, dsn string) *target {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	connect := func(t *testing.T) *pgx.Conn {
		t.Helper()
		c, err := pgx.ConnectConfig(t.Context(), config.Copy())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	host, port, err := net.SplitHostPort(server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return &target{
		name: "postgresql", open: connect,
		connection: fmt.Sprintf("  hr:\n    type: postgresql\n    host: %s\n    port: %s\n    database: %s\n    user: postgres\n    query_args: {sslmode: disable}\n",
			host, port, config.Database),
		exec: func(t *testing.T, stmt string) {
			t.Helper()
			c := connect(t)
			defer func() { _ = c.Close(context.WithoutCancel(t.Context())) }()
			if _, err := c.Exec(t.Context(), stmt); err != nil {
				t.Fatalf("%s: %v", stmt, err)
			}
		},
		rows: func(t *testing.T, query string) [][]string {
			t.Helper()
			c := connect(t)
			defer func() { _ = c.Close(context.WithoutCancel(t.Context())) }()
			rows, err := c.Query(t.Context(), query, pgx.QueryExecModeSimpleProtocol)
			if err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			defer rows.Close()
			var out [][]string
			for rows.Next() {
				one := make([]string, 0, len(rows.RawValues()))
				for _, v := range rows.RawValues() {
					if v == nil {
						one = append(one, null)
						continue
					}
					one = append(one, string(v))
				}
				out = append(out, one)
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			return out
		},
	}
}

// config is a config.yaml with the source and the target.
func config(redisAddr string, tg *target, applier string) string {
	host, port, _ := net.SplitHostPort(redisAddr)
	return fmt.Sprintf("connections:\n  source:\n    type: redis\n    host: %s\n    port: %s\n%s%s", host, port, tg.connection, applier)
}

// deploy deploys files and fails the test on any error among the problems.
func deploy(t *testing.T, l line, files map[string]string) *gatewayv1.DeployResponse {
	t.Helper()
	r, err := l.gateway().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: yamlFiles(files)})
	if err != nil {
		t.Fatalf("deploying: %v", err)
	}
	for _, p := range r.Problems {
		if p.Severity == pipelinev1.Severity_SEVERITY_ERROR {
			t.Fatalf("deploying: %v", r.Problems)
		}
	}
	return r
}

func yamlFiles(files map[string]string) (out []*pipelinev1.File) {
	for _, path := range slices.Sorted(maps.Keys(files)) {
		out = append(out, &pipelinev1.File{Path: path, Text: []byte(files[path])})
	}
	return out
}

// await polls until ok says true; what it says instead is the failure.
func await(t *testing.T, within time.Duration, what string, ok func() (bool, string)) {
	t.Helper()
	for end := time.Now().Add(within); ; {
		done, why := ok()
		if done {
			return
		}
		if time.Now().After(end) || t.Context().Err() != nil {
			t.Fatalf("%s did not happen within %v: %s", what, within, why)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// running waits until the recorder records and every lane runs.
func running(t *testing.T, l line) {
	t.Helper()
	await(t, 60*time.Second, "the pipeline running", func() (bool, string) {
		s, err := l.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
		if err != nil {
			return false, err.Error()
		}
		if !s.Status.GetRecorder().GetConnected() || len(s.Status.GetLanes()) == 0 {
			return false, s.Status.String()
		}
		for _, lane := range s.Status.Lanes {
			if lane.State.String() != "LANE_STATE_RUNNING" {
				return false, lane.String()
			}
		}
		return true, ""
	})
}

// rowsAre waits until the query gives these rows, each written as its columns joined by "|".
func rowsAre(t *testing.T, tg *target, query string, want ...string) {
	t.Helper()
	await(t, 30*time.Second, "rows "+strings.Join(want, ", "), func() (bool, string) {
		var got []string
		for _, r := range tg.rows(t, query) {
			got = append(got, strings.Join(r, "|"))
		}
		return slices.Equal(got, want), fmt.Sprintf("rows are %q", got)
	})
}

// client is the application's connection.
func client(t *testing.T, addr string) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
