package devserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// RedisOptions say how to run a Redis. The zero value is a server that keeps everything in memory.
type RedisOptions struct {
	// Binary is the server to run. Default: redis-server, else valkey-server, wherever it is installed.
	Binary string
	// Persist turns on the append-only file, so that Restart finds the data again, also after Kill. Default: false.
	Persist bool
	// Args are appended to the command line: "--notify-keyspace-events", "Kgh". They win over our own. Default: none.
	Args []string
}

// RedisServer is a private Redis (or Valkey).
type RedisServer struct {
	Addr string // host:port
	Dir  string // the folder with its data and log

	process *process
}

// StartRedis starts a private Redis and returns when it answers. The caller must Close it.
func StartRedis(ctx context.Context, options RedisOptions) (*RedisServer, error) {
	binary := options.Binary
	if binary == "" {
		var found bool
		binary, found = program([]string{"redis-server", "valkey-server"}, []string{"/opt/homebrew/bin", "/usr/local/bin"})
		if !found {
			return nil, &MissingError{Server: "Redis", Debian: "redis-server", Brew: "redis"}
		}
	}
	dir, err := temporary("redis")
	if err != nil {
		return nil, err
	}
	args, err := withBus(options.Args)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	options.Args = args
	p := &process{
		name: "Redis",
		dir:  dir,
		command: func(port int) *exec.Cmd {
			cmd := exec.Command(binary, redisArgs(dir, port, options)...)
			cmd.Dir = dir
			return cmd
		},
		ready: redisReady,
		quit:  syscall.SIGTERM,
		abort: syscall.SIGKILL,
	}
	if err := p.launch(ctx); err != nil {
		return nil, err
	}
	return &RedisServer{Addr: address(p.port), Dir: dir, process: p}, nil
}

func redisArgs(dir string, port int, options RedisOptions) []string {
	appendOnly := "no"
	if options.Persist {
		appendOnly = "yes"
	}
	args := []string{
		"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--daemonize", "no",
		"--save", "", "--appendonly", appendOnly,
	}
	return append(args, options.Args...)
}

// withBus gives a node of a cluster whose bus has no port yet one of its own. Redis would take the one 10,000 above its
// port, which is among those of outgoing connections.
func withBus(args []string) ([]string, error) {
	if !slices.Contains(args, "--cluster-enabled") || slices.Contains(args, "--cluster-port") {
		return args, nil
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return append(slices.Clip(args), "--cluster-port", strconv.Itoa(port)), nil
}

// Redis starts a private Redis for one test and closes it when the test ends.
func Redis(t TB, options RedisOptions) *RedisServer {
	t.Helper()
	s, err := StartRedis(t.Context(), options)
	if err != nil {
		t.Fatalf("starting Redis: %v", err)
	}
	attach(t, s.process)
	return s
}

var sharedRedis = sync.OnceValues(func() (*RedisServer, error) {
	return StartRedis(context.Background(), RedisOptions{})
})

// SharedRedis returns the one Redis of this test process, starting it if need be; it ends with the process. Tests that
// share it keep to keys of their own and do not Kill, Stop or Close it.
func SharedRedis(t TB) *RedisServer {
	t.Helper()
	s, err := sharedRedis()
	if err != nil {
		t.Fatalf("starting the shared Redis: %v", err)
	}
	return s
}

// Kill ends the server as a crash does, and returns when it is gone. Killing a server that is not running does nothing.
func (s *RedisServer) Kill() error { return s.process.kill() }

// Stop ends the server in order and keeps its folder. Stopping a server that is not running does nothing.
func (s *RedisServer) Stop() error { return s.process.stop() }

// Restart starts the server again, stopping it first if it runs, on the same port and folder. Without
// RedisOptions.Persist it comes back empty.
func (s *RedisServer) Restart(ctx context.Context) error { return s.process.restart(ctx) }

// Close ends the server and removes its folder. It may be called twice.
func (s *RedisServer) Close() error { return s.process.close() }

// Pid returns the process id of the running server, 0 when it is not running.
func (s *RedisServer) Pid() int { return s.process.pid() }

// Log returns the end of the server's log.
func (s *RedisServer) Log() string { return s.process.lastWords() }

// redisReady asks the server on a port whether it takes commands, and whether it is the process that we started: when
// two processes race for a port, the loser must not take the winner for its own server.
func redisReady(ctx context.Context, port, pid int) error {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", address(port))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "PING\r\nINFO server\r\n"); err != nil {
		return err
	}
	r := bufio.NewReader(conn)
	answer, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	if strings.HasPrefix(answer, "-NOAUTH") {
		return nil // up, and configured to tell strangers no more
	}
	if !strings.HasPrefix(answer, "+PONG") {
		return errors.New(strings.TrimSpace(answer))
	}
	ours := fmt.Sprintf("process_id:%d", pid)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) {
				return fmt.Errorf("the server on port %d is another one", port)
			}
			return err
		}
		if strings.TrimSpace(line) == ours {
			return nil
		}
	}
}
