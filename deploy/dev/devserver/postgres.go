package devserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// PostgresOptions say how to run a PostgreSQL. The zero value is a server for tests: UTF-8, locale C, time zone UTC, up
// to 200 connections, and no fsync, which survives the death of the server but not that of the machine.
type PostgresOptions struct {
	// BinDir holds initdb and postgres. Default: PATH, then the newest version in the folders where Debian and Homebrew
	// put them.
	BinDir string
	// Settings are appended as -c options: "fsync=on". They win over our own. Default: none.
	Settings []string
}

// PostgresServer is a private PostgreSQL with the superuser "postgres", who needs no password.
type PostgresServer struct {
	Addr string // host:port
	Dir  string // the folder with its data and log

	process *process
}

// StartPostgres creates a cluster, starts its server and returns when it takes connections. The caller must Close it.
// As root, which PostgreSQL refuses, it runs as the user postgres or, without one, as nobody.
func StartPostgres(ctx context.Context, options PostgresOptions) (*PostgresServer, error) {
	bin := options.BinDir
	if bin == "" {
		initdb, found := program([]string{"initdb"}, []string{
			"/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin", "/usr/pgsql-*/bin",
		})
		if !found {
			return nil, &MissingError{Server: "PostgreSQL", Debian: "postgresql", Brew: "postgresql"}
		}
		bin = filepath.Dir(initdb)
	}
	account, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := temporary("postgres")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	if err := createCluster(ctx, bin, dir, data, account); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p := &process{
		name: "PostgreSQL",
		dir:  dir,
		command: func(port int) *exec.Cmd {
			cmd := exec.Command(filepath.Join(bin, "postgres"), postgresArgs(data, port, options)...)
			cmd.Dir = dir
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account}
			return cmd
		},
		ready: func(ctx context.Context, port, _ int) error { return postgresReady(ctx, port, data) },
		quit:  syscall.SIGINT,  // "fast": ends sessions, writes a checkpoint
		abort: syscall.SIGQUIT, // "immediate": no checkpoint, but gives shared memory back
		sweep: func() { removeSharedMemory(data) },
	}
	if err := p.launch(ctx); err != nil {
		return nil, err
	}
	return &PostgresServer{Addr: address(p.port), Dir: dir, process: p}, nil
}

// unprivileged returns the account for the server, nil when the caller's own will do.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("reading the user id of %q: %w", name, err)
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("reading the group id of %q: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor a user nobody")
}

func createCluster(ctx context.Context, bin, dir, data string, account *syscall.Credential) error {
	if account != nil {
		if err := os.Chown(dir, int(account.Uid), int(account.Gid)); err != nil {
			return fmt.Errorf("giving the folder of PostgreSQL to its user: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"),
		"-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account, Setpgid: true}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("creating a PostgreSQL cluster: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

func postgresArgs(data string, port int, options PostgresOptions) []string {
	settings := append([]string{
		"listen_addresses=127.0.0.1",
		"unix_socket_directories=",        // a temporary folder can be too long for a socket's name
		"dynamic_shared_memory_type=mmap", // inside the folder, so that a crash leaves nothing in /dev/shm
		"fsync=off",
		"timezone=UTC",
		"max_connections=200",
	}, options.Settings...)
	args := []string{"-D", data, "-p", strconv.Itoa(port)}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	return args
}

// postgresReady connects, and asks whose data the server serves: see redisReady.
func postgresReady(ctx context.Context, port int, data string) error {
	served, err := query(ctx, address(port), "postgres", "SHOW data_directory")
	if err != nil {
		return err
	}
	if served != data {
		return fmt.Errorf("the server on port %d serves %q", port, served)
	}
	return nil
}

// removeSharedMemory gives back the System V segment of a killed server that was never restarted. Its id is in the
// seventh line of postmaster.pid, which only an orderly end removes.
func removeSharedMemory(data string) {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 7 {
		return
	}
	if ids := strings.Fields(lines[6]); len(ids) == 2 {
		// Without ipcrm some bytes of kernel memory stay; that is no reason to fail a test.
		_ = exec.Command("ipcrm", "-m", ids[1]).Run()
	}
}

// Postgres starts a private PostgreSQL for one test and closes it when the test ends. It takes a second or two: a test
// that does not stop, kill or configure the server takes a database of the shared one instead.
func Postgres(t TB, options PostgresOptions) *PostgresServer {
	t.Helper()
	s, err := StartPostgres(t.Context(), options)
	if err != nil {
		t.Fatalf("starting PostgreSQL: %v", err)
	}
	attach(t, s.process)
	return s
}

var sharedPostgres = sync.OnceValues(func() (*PostgresServer, error) {
	return StartPostgres(context.Background(), PostgresOptions{})
})

// SharedPostgres returns the one PostgreSQL of this test process, starting it if need be; it ends with the process.
// Tests that share it take a Database each and do not Kill, Stop or Close it.
func SharedPostgres(t TB) *PostgresServer {
	t.Helper()
	s, err := sharedPostgres()
	if err != nil {
		t.Fatalf("starting the shared PostgreSQL: %v", err)
	}
	return s
}

// DSN returns the connection URL of a database; "postgres" exists from the start.
func (s *PostgresServer) DSN(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: s.Addr, Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// CreateDatabase creates an empty database and returns its connection URL.
func (s *PostgresServer) CreateDatabase(ctx context.Context, name string) (string, error) {
	if _, err := query(ctx, s.Addr, "postgres", "CREATE DATABASE "+quoted(name)); err != nil {
		return "", fmt.Errorf("creating the database %q: %w", name, err)
	}
	return s.DSN(name), nil
}

// DropDatabase ends the sessions of a database and removes it. A database that is not there is no error.
func (s *PostgresServer) DropDatabase(ctx context.Context, name string) error {
	if _, err := query(ctx, s.Addr, "postgres", "DROP DATABASE IF EXISTS "+quoted(name)+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("dropping the database %q: %w", name, err)
	}
	return nil
}

// Database creates an empty database for one test and returns its connection URL. It is dropped when the test ends, with
// the sessions that are still open.
func (s *PostgresServer) Database(t TB) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	dsn, err := s.CreateDatabase(t.Context(), name)
	if err != nil {
		t.Fatalf("creating a database: %v", err)
	}
	t.Cleanup(func() {
		if s.Pid() == 0 {
			return // the test ended the server, and with it the database
		}
		if err := s.DropDatabase(context.Background(), name); err != nil {
			t.Errorf("dropping a database: %v", err)
		}
	})
	return dsn
}

// Kill ends the postmaster as a crash does, and returns when it and every session are gone. Killing a server that is not
// running does nothing.
func (s *PostgresServer) Kill() error { return s.process.kill() }

// Stop ends all sessions and the server in order and keeps its data. Stopping a server that is not running does nothing.
func (s *PostgresServer) Stop() error { return s.process.stop() }

// Restart starts the server again, stopping it first if it runs, on the same port and data. After Kill it recovers from
// its log, and returns when it takes connections again.
func (s *PostgresServer) Restart(ctx context.Context) error { return s.process.restart(ctx) }

// Close ends the server and removes its folder. It may be called twice.
func (s *PostgresServer) Close() error { return s.process.close() }

// Pid returns the process id of the postmaster, 0 when it is not running.
func (s *PostgresServer) Pid() int { return s.process.pid() }

// Log returns the end of the server's log.
func (s *PostgresServer) Log() string { return s.process.lastWords() }
