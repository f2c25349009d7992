package devserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// PgBouncerOptions say how to run a PgBouncer. The zero value pools by transaction, gives each transaction another
// connection to the server than the one before, and believes every user's name.
type PgBouncerOptions struct {
	// Binary is the pooler to run. Default: pgbouncer, wherever it is installed.
	Binary string
	// Users are the names it lets in, beside "postgres". Default: none.
	Users []string
	// Settings are lines of its configuration: "server_idle_timeout = 1". They win over our own. Default: none.
	Settings []string
}

// PgBouncerServer is a private PgBouncer in front of a PostgreSQL.
type PgBouncerServer struct {
	Addr string // host:port
	Dir  string // the folder with its configuration and log

	process *process
}

// StartPgBouncer starts a pooler in front of the PostgreSQL at backend and returns when it takes connections. The caller
// must Close it, before the server behind it. As root, which PgBouncer refuses, it runs as the account of PostgreSQL.
func StartPgBouncer(ctx context.Context, backend string, options PgBouncerOptions) (*PgBouncerServer, error) {
	binary := options.Binary
	if binary == "" {
		var found bool
		binary, found = program([]string{"pgbouncer"}, []string{"/usr/sbin", "/opt/homebrew/bin", "/usr/local/bin"})
		if !found {
			return nil, &MissingError{Server: "PgBouncer", Debian: "pgbouncer", Brew: "pgbouncer"}
		}
	}
	account, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := temporary("pgbouncer")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "pgbouncer.ini")
	p := &process{
		name: "PgBouncer",
		dir:  dir,
		command: func(port int) *exec.Cmd {
			// A configuration that cannot be written is one that the pooler cannot read: it says so.
			_ = writePgBouncer(dir, config, backend, port, account, options)
			cmd := exec.Command(binary, config)
			cmd.Dir = dir
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account}
			return cmd
		},
		ready: func(ctx context.Context, port, _ int) error {
			_, err := query(ctx, address(port), "postgres", "SELECT 1")
			return err
		},
		quit:  syscall.SIGINT, // waits for the transactions under way
		abort: syscall.SIGKILL,
	}
	if err := p.launch(ctx); err != nil {
		return nil, err
	}
	return &PgBouncerServer{Addr: address(p.port), Dir: dir, process: p}, nil
}

// writePgBouncer writes the configuration and the list of users.
func writePgBouncer(dir, config, backend string, port int, account *syscall.Credential, options PgBouncerOptions) error {
	host, backendPort, err := net.SplitHostPort(backend)
	if err != nil {
		return fmt.Errorf("reading the address of the PostgreSQL behind PgBouncer: %w", err)
	}
	var users strings.Builder
	for _, name := range append([]string{"postgres"}, options.Users...) {
		fmt.Fprintf(&users, "\"%s\" \"\"\n", strings.ReplaceAll(name, `"`, `""`))
	}
	list := filepath.Join(dir, "users.txt")
	lines := append([]string{
		"[databases]",
		"* = host=" + host + " port=" + backendPort,
		"[pgbouncer]",
		"listen_addr = 127.0.0.1", "listen_port = " + strconv.Itoa(port),
		"unix_socket_dir =",
		"auth_type = trust", "auth_file = " + list, "admin_users = postgres",
		"pool_mode = transaction", "server_round_robin = 1", // what is left in a session is missed by the next transaction
		"default_pool_size = 20", "max_client_conn = 500",
		"server_tls_sslmode = disable",
	}, options.Settings...)
	err = errors.Join(
		os.WriteFile(list, []byte(users.String()), 0o600),
		os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600),
	)
	if account != nil {
		for _, path := range []string{dir, list, config} {
			err = errors.Join(err, os.Chown(path, int(account.Uid), int(account.Gid)))
		}
	}
	return err
}

// PgBouncer starts a private pooler for one test and closes it when the test ends.
func PgBouncer(t TB, backend string, options PgBouncerOptions) *PgBouncerServer {
	t.Helper()
	s, err := StartPgBouncer(t.Context(), backend, options)
	if err != nil {
		t.Fatalf("starting PgBouncer: %v", err)
	}
	attach(t, s.process)
	return s
}

// Kill ends the pooler as a crash does, and with it every connection through it.
func (s *PgBouncerServer) Kill() error { return s.process.kill() }

// Restart starts the pooler again, stopping it first if it runs, on the same port.
func (s *PgBouncerServer) Restart(ctx context.Context) error { return s.process.restart(ctx) }

// Close ends the pooler and removes its folder. It may be called twice.
func (s *PgBouncerServer) Close() error { return s.process.close() }

// Admin runs a command of its console: "KILL db". It returns the first cell of the answer.
func (s *PgBouncerServer) Admin(ctx context.Context, command string) (string, error) {
	return query(ctx, s.Addr, "pgbouncer", command)
}
