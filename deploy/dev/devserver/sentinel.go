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

// SentinelOptions say what a sentinel watches.
type SentinelOptions struct {
	// Binary is the server to run. Default: as for a Redis.
	Binary string
	// Master is the name that clients ask for. Default: "main".
	Master string
	// Addr is the primary, host:port.
	Addr string
	// Quorum is how many sentinels must agree that it is away. Default: 1.
	Quorum int
}

// Sentinel starts a Redis Sentinel for one test. It takes its primary for away after a second, and then promotes a replica.
func Sentinel(t TB, options SentinelOptions) *RedisServer {
	t.Helper()
	s, err := StartSentinel(t.Context(), options)
	if err != nil {
		t.Fatalf("starting a sentinel: %v", err)
	}
	attach(t, s.process)
	return s
}

// StartSentinel starts a Redis Sentinel and returns when it answers. The caller must Close it.
func StartSentinel(ctx context.Context, options SentinelOptions) (*RedisServer, error) {
	binary := options.Binary
	if binary == "" {
		var found bool
		if binary, found = program([]string{"redis-server", "valkey-server"}, []string{"/opt/homebrew/bin", "/usr/local/bin"}); !found {
			return nil, &MissingError{Server: "Redis", Debian: "redis-server", Brew: "redis"}
		}
	}
	host, port, err := net.SplitHostPort(options.Addr)
	if err != nil {
		return nil, fmt.Errorf("address of the primary: %w", err)
	}
	dir, err := temporary("sentinel")
	if err != nil {
		return nil, err
	}
	master, quorum := options.Master, max(options.Quorum, 1)
	if master == "" {
		master = "main"
	}
	var written error
	at := 0 // the port that the file says; later runs there go on from what the sentinel has written
	config := filepath.Join(dir, "sentinel.conf")
	p := &process{
		name: "Sentinel",
		dir:  dir,
		command: func(own int) *exec.Cmd {
			if at != own {
				at = own
				lines := []string{
					"bind 127.0.0.1", "port " + strconv.Itoa(own), "dir " + dir, "daemonize no",
					fmt.Sprintf("sentinel monitor %s %s %s %d", master, host, port, quorum),
					"sentinel down-after-milliseconds " + master + " 1000",
					"sentinel failover-timeout " + master + " 5000",
				}
				written = os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
			}
			cmd := exec.Command(binary, config, "--sentinel")
			cmd.Dir = dir
			return cmd
		},
		ready: redisReady,
		quit:  syscall.SIGTERM,
		abort: syscall.SIGKILL,
	}
	if err := p.launch(ctx); err != nil {
		return nil, errors.Join(err, written)
	}
	return &RedisServer{Addr: address(p.port), Dir: dir, process: p}, nil
}
