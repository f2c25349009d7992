package devserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// MariaDBOptions say how to run a MariaDB. The zero value is a server for tests: utf8mb4, up to 200 connections, and a log
// that is written but not synced at each commit, which survives the death of the server but not that of the machine.
type MariaDBOptions struct {
	// Binary is the server to run. Default: mariadbd, wherever it is installed.
	Binary string
	// Args are appended to the command line: "--max-allowed-packet=4M". They win over our own. Default: none.
	Args []string
}

// MariaDBServer is a private MariaDB with the user root, who needs no password.
type MariaDBServer struct {
	Addr string // host:port
	Dir  string // the folder with its data and log; readable for the account of the server

	process *process
}

// where MariaDB's programs are, on systems where a plain account has no sbin in its PATH.
var mariadbFolders = []string{
	"/usr/sbin", "/usr/local/sbin", "/opt/homebrew/opt/mariadb*/bin", "/usr/local/opt/mariadb*/bin", "/usr/bin", "/usr/libexec",
}

// StartMariaDB makes a data folder, starts a server on it and returns when it takes connections. The caller must Close it.
// As root, which MariaDB refuses, it runs as the user mysql or, without one, as nobody.
func StartMariaDB(ctx context.Context, options MariaDBOptions) (*MariaDBServer, error) {
	missing := &MissingError{Server: "MariaDB", Debian: "mariadb-server", Brew: "mariadb"}
	binary := options.Binary
	if binary == "" {
		var found bool
		if binary, found = program([]string{"mariadbd"}, mariadbFolders); !found {
			return nil, missing
		}
	}
	install, found := program([]string{"mariadb-install-db"}, mariadbFolders)
	if !found {
		return nil, missing
	}
	account, err := databaseAccount()
	if err != nil {
		return nil, err
	}
	dir, err := temporary("mariadb")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	scratch := filepath.Join(dir, "tmp") // not the machine's, where servers that start at once take each other's files
	if err := installTables(ctx, install, dir, data, scratch, account); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p := &process{
		name: "MariaDB",
		dir:  dir,
		command: func(port int) *exec.Cmd {
			cmd := exec.Command(binary, mariadbArgs(data, scratch, port, account, options)...)
			cmd.Dir = dir
			return cmd
		},
		ready: func(ctx context.Context, port, _ int) error { return mariadbReady(ctx, port, data) },
		quit:  syscall.SIGTERM,
		abort: syscall.SIGKILL,
	}
	if err := p.launch(ctx); err != nil {
		return nil, err
	}
	return &MariaDBServer{Addr: address(p.port), Dir: dir, process: p}, nil
}

// databaseAccount is the account for a server that refuses to run as root; nil when the caller's own will do.
func databaseAccount() (*user.User, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"mysql", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			return u, nil
		}
	}
	return nil, errors.New("MariaDB refuses to run as root, and there is neither a user mysql nor a user nobody")
}

func installTables(ctx context.Context, install, dir, data, scratch string, account *user.User) error {
	if err := os.Mkdir(scratch, 0o700); err != nil {
		return fmt.Errorf("making the folders of MariaDB: %w", err)
	}
	args := []string{
		"--no-defaults", "--datadir=" + data, "--tmpdir=" + scratch, "--auth-root-authentication-method=normal", "--skip-test-db",
		"--innodb-flush-log-at-trx-commit=0",
	}
	if account != nil {
		args = append(args, "--user="+account.Username)
		uid, err1 := strconv.Atoi(account.Uid)
		gid, err2 := strconv.Atoi(account.Gid)
		if err := errors.Join(err1, err2, os.Chown(dir, uid, gid), os.Chown(scratch, uid, gid)); err != nil {
			return fmt.Errorf("giving the folder of MariaDB to its user: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, install, args...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making the system tables of MariaDB: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

func mariadbArgs(data, scratch string, port int, account *user.User, options MariaDBOptions) []string {
	args := []string{
		"--no-defaults", "--datadir=" + data, "--tmpdir=" + scratch, "--bind-address=127.0.0.1", "--port=" + strconv.Itoa(port),
		"--socket=server.sock", // in the data folder: a whole path can be too long for a socket's name
		"--pid-file=server.pid",
		"--skip-name-resolve",
		"--character-set-server=utf8mb4",
		"--default-time-zone=+00:00",
		"--max-connections=200",
		"--innodb-flush-log-at-trx-commit=2",
		"--innodb-buffer-pool-size=64M",
	}
	if account != nil {
		args = append(args, "--user="+account.Username)
	}
	return append(args, options.Args...)
}

// mariadbReady connects, and asks whose data the server serves: see redisReady.
func mariadbReady(ctx context.Context, port int, data string) error {
	served, err := queryMariaDB(ctx, address(port), "SELECT @@datadir")
	if err != nil {
		return err
	}
	if filepath.Clean(served) != data {
		return fmt.Errorf("the server on port %d serves %q", port, served)
	}
	return nil
}

// MariaDB starts a private MariaDB for one test and closes it when the test ends. It takes some seconds: a test that does
// not stop, kill or configure the server takes a database of the shared one instead.
func MariaDB(t TB, options MariaDBOptions) *MariaDBServer {
	t.Helper()
	s, err := StartMariaDB(t.Context(), options)
	if err != nil {
		t.Fatalf("starting MariaDB: %v", err)
	}
	attach(t, s.process)
	return s
}

var sharedMariaDB = sync.OnceValues(func() (*MariaDBServer, error) {
	return StartMariaDB(context.Background(), MariaDBOptions{})
})

// SharedMariaDB returns the one MariaDB of this test process, starting it if need be; it ends with the process. Tests that
// share it take a Database each and do not Kill, Stop or Close it.
func SharedMariaDB(t TB) *MariaDBServer {
	t.Helper()
	s, err := sharedMariaDB()
	if err != nil {
		t.Fatalf("starting the shared MariaDB: %v", err)
	}
	return s
}

// Database creates an empty database for one test and returns its name. It is dropped when the test ends.
func (s *MariaDBServer) Database(t TB) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	if _, err := queryMariaDB(t.Context(), s.Addr, "CREATE DATABASE "+backquoted(name)); err != nil {
		t.Fatalf("creating a database: %v", err)
	}
	t.Cleanup(func() {
		if s.Pid() == 0 {
			return // the test ended the server, and with it the database
		}
		if _, err := queryMariaDB(context.Background(), s.Addr, "DROP DATABASE IF EXISTS "+backquoted(name)); err != nil {
			t.Errorf("dropping a database: %v", err)
		}
	})
	return name
}

// Kill ends the server as a crash does, and returns when it is gone. Killing a server that is not running does nothing.
func (s *MariaDBServer) Kill() error { return s.process.kill() }

// Stop ends all sessions and the server in order and keeps its data. Stopping a server that is not running does nothing.
func (s *MariaDBServer) Stop() error { return s.process.stop() }

// Restart starts the server again, stopping it first if it runs, on the same port and data. After Kill it recovers from
// its log, and returns when it takes connections again.
func (s *MariaDBServer) Restart(ctx context.Context) error { return s.process.restart(ctx) }

// Close ends the server and removes its folder. It may be called twice.
func (s *MariaDBServer) Close() error { return s.process.close() }

// Pid returns the process id of the server, 0 when it is not running.
func (s *MariaDBServer) Pid() int { return s.process.pid() }

// Log returns the end of the server's log.
func (s *MariaDBServer) Log() string { return s.process.lastWords() }
