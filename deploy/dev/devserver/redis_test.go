package devserver

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// ask sends one inline command and returns the first line of the answer.
func ask(t *testing.T, addr, command string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		t.Fatalf("connecting to Redis: %v", err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		t.Fatalf("sending %q: %v", command, err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatalf("reading the answer to %q: %v", command, err)
	}
	return strings.TrimSpace(line)
}

func TestRedisRestart(t *testing.T) {
	tests := []struct {
		name    string
		options RedisOptions
		end     func(*RedisServer) error
		want    string // the answer to EXISTS after the restart
	}{
		{"killed, persistent", RedisOptions{Persist: true}, (*RedisServer).Kill, ":1"},
		{"stopped, persistent", RedisOptions{Persist: true}, (*RedisServer).Stop, ":1"},
		{"running, persistent", RedisOptions{Persist: true}, func(*RedisServer) error { return nil }, ":1"},
		{"killed, in memory", RedisOptions{}, (*RedisServer).Kill, ":0"},
		{"stopped, in memory", RedisOptions{}, (*RedisServer).Stop, ":0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := Redis(t, test.options)
			if got := ask(t, s.Addr, "SET k v"); got != "+OK" {
				t.Fatalf("SET answered %q", got)
			}
			before := s.Pid()
			if err := test.end(s); err != nil {
				t.Fatalf("ending the server: %v", err)
			}
			if err := s.Restart(t.Context()); err != nil {
				t.Fatalf("restarting: %v", err)
			}
			if got := ask(t, s.Addr, "EXISTS k"); got != test.want {
				t.Errorf("EXISTS after the restart answered %q, want %q", got, test.want)
			}
			if after := s.Pid(); after == before || after == 0 {
				t.Errorf("pid after the restart is %d, before it was %d", after, before)
			}
		})
	}
}

func TestRedisEndedRefusesConnections(t *testing.T) {
	t.Parallel()
	s := Redis(t, RedisOptions{})
	if err := s.Kill(); err != nil {
		t.Fatalf("killing: %v", err)
	}
	if s.Pid() != 0 {
		t.Errorf("pid of a killed server is %d, want 0", s.Pid())
	}
	if conn, err := net.DialTimeout("tcp", s.Addr, time.Second); err == nil {
		_ = conn.Close()
		t.Error("a killed server takes connections")
	}
	if err := errors.Join(s.Kill(), s.Stop()); err != nil {
		t.Errorf("ending an ended server: %v", err)
	}
}

func TestRedisArgs(t *testing.T) {
	t.Parallel()
	s := Redis(t, RedisOptions{Args: []string{"--requirepass", "secret"}})
	if got := ask(t, s.Addr, "GET k"); !strings.HasPrefix(got, "-NOAUTH") {
		t.Errorf("a server with a password answered %q", got)
	}
}

func TestRedisCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	s, err := StartRedis(t.Context(), RedisOptions{Persist: true})
	if err != nil {
		t.Fatal(err)
	}
	pid := s.Pid()
	if err := s.Close(); err != nil {
		t.Fatalf("closing: %v", err)
	}
	if alive(pid) {
		t.Errorf("process %d still runs", pid)
	}
	if _, err := os.Stat(s.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there (%v)", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if err := s.Restart(t.Context()); err == nil {
		t.Error("a closed server can be restarted")
	}
}

func TestRedisRefusedOption(t *testing.T) {
	t.Parallel()
	_, err := StartRedis(t.Context(), RedisOptions{Args: []string{"--no-such-option", "1"}})
	if err == nil {
		t.Fatal("no error for an option that Redis does not know")
	}
	for _, part := range []string{"ended before it was ready", "no-such-option"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q does not say %q", err, part)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := exec.LookPath("sh"); err == nil {
		t.Fatal("PATH is not empty")
	}
	if path, found := program([]string{"redis-server"}, []string{t.TempDir()}); found {
		t.Errorf("found %q in empty folders", path)
	}
	err := &MissingError{Server: "Redis", Debian: "redis-server", Brew: "redis"}
	for _, part := range []string{"make install-servers", "apt-get install redis-server", "brew install redis"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q does not say %q", err, part)
		}
	}
}
