package devserver

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// reaperScript reads process ids, one a line, 0 for none. The end of its input is the end of the process that started
// the server, by whatever cause: then it ends the last process it was told of, first with the gentler signal, and
// removes the folder.
const reaperScript = `
pid=0
while read -r line; do pid=$line; done
if [ "$pid" -gt 0 ]; then
	kill -s "$2" "$pid" 2>/dev/null
	n=0
	while [ $n -lt 50 ] && kill -0 "$pid" 2>/dev/null; do sleep 0.1; n=$((n + 1)); done
	kill -s KILL "$pid" 2>/dev/null
fi
n=0
until rm -rf "$1" 2>/dev/null || [ $n -ge 20 ]; do sleep 0.1; n=$((n + 1)); done
`

// reaper outlives the calling process, if only to clean up after it. It works the same for a return from main, a panic,
// os.Exit and SIGKILL, and on every Unix.
type reaper struct {
	cmd   *exec.Cmd
	input *os.File
}

func newReaper(dir string, abort syscall.Signal) (*reaper, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making the pipe of the reaper: %w", err)
	}
	defer func() { _ = read.Close() }()
	name := "KILL"
	if abort == syscall.SIGQUIT {
		name = "QUIT"
	}
	cmd := exec.Command("/bin/sh", "-c", reaperScript, "slipstream-reaper", dir, name)
	cmd.Stdin = read
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal must not end it first
	if err := cmd.Start(); err != nil {
		_ = write.Close()
		return nil, fmt.Errorf("starting the reaper: %w", err)
	}
	return &reaper{cmd: cmd, input: write}, nil
}

// watch names the process to end; 0 for none.
func (r *reaper) watch(pid int) {
	// A failed write means that somebody ended the reaper; dismiss reports it.
	_, _ = r.input.WriteString(strconv.Itoa(pid) + "\n")
}

// dismiss ends the reaper when there is nothing left for it to do.
func (r *reaper) dismiss() error {
	_ = r.input.Close()
	if err := r.cmd.Wait(); err != nil {
		return fmt.Errorf("waiting for the reaper: %w", err)
	}
	return nil
}
