package devserver

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// portsVariable makes the test binary a program that tries to take the named port and prints whether it could.
const portsVariable = "SLIPSTREAM_DEVSERVER_PORT"

func takeAndTell(port string) {
	var n int
	if _, err := fmt.Sscan(port, &n); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(takePort(n))
}

// TestPortsAreOurs: a port on which nobody listens yet is given once, in this process and in all others.
func TestPortsAreOurs(t *testing.T) {
	t.Parallel()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	if ours, err := takePort(port); ours || err != nil {
		t.Errorf("given a second time: %v, %v", ours, err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := func(port int) string {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", portsVariable, port))
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	if said := other(port); said != "false <nil>" {
		t.Errorf("another process is told %q", said)
	}
	free := 1<<20 + os.Getpid() // no port at all, and asked for by nobody else
	if said := other(free); said != "true <nil>" {
		t.Errorf("of a port that is nobody's another process is told %q", said)
	}
	if ours, err := takePort(free); !ours || err != nil {
		t.Errorf("the port of a process that ended: %v, %v", ours, err)
	}
}
