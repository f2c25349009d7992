package devserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// endVariable makes the test binary a program that starts both servers, prints what it started, and ends in the named
// way when its input ends.
const endVariable = "SLIPSTREAM_DEVSERVER_END"

func TestMain(m *testing.M) {
	if how := os.Getenv(endVariable); how != "" {
		startAndEnd(how)
	}
	if port := os.Getenv(portsVariable); port != "" {
		takeAndTell(port)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func startAndEnd(how string) {
	redis, err := StartRedis(context.Background(), RedisOptions{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	postgres, err := StartPostgres(context.Background(), PostgresOptions{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(redis.Pid(), redis.Dir)
	fmt.Println(postgres.Pid(), postgres.Dir)
	if how == "panic" {
		panic("as asked")
	}
	if how == "exit" {
		os.Exit(0)
	}
	select {} // until killed
}

func TestNothingOutlivesTheCaller(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"exit", "panic", "kill"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), endVariable+"="+how)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			var pids []int
			var dirs []string
			for len(pids) < 2 && lines.Scan() {
				first, dir, _ := strings.Cut(lines.Text(), " ")
				pid, err := strconv.Atoi(first)
				if err != nil {
					t.Fatalf("the program says: %s", lines.Text())
				}
				pids, dirs = append(pids, pid), append(dirs, dir)
			}
			if how == "kill" {
				if err := cmd.Process.Kill(); err != nil {
					t.Errorf("killing the caller: %v", err)
				}
			}
			err = cmd.Wait()
			if (err == nil) != (how == "exit") {
				t.Errorf("the caller ended with %v", err)
			}
			if len(pids) != 2 {
				t.Fatalf("the caller started %d servers, want 2", len(pids))
			}
			for i := range pids {
				poll(t, "the end of "+dirs[i], func() bool {
					_, err := os.Stat(dirs[i])
					return !alive(pids[i]) && errors.Is(err, os.ErrNotExist)
				})
			}
		})
	}
}

// alive tells whether a process runs. One that ended and that nobody waited for, as happens to orphans in a container
// whose first process does not, is not alive.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist) || !proc()
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

// proc tells whether this system shows its processes as files.
func proc() bool {
	_, err := os.Stat("/proc/self/stat")
	return err == nil
}

func poll(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited 30 s for %s", what)
		}
	}
}
