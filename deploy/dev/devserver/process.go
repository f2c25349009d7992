package devserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = time.Minute      // for a start or a recovery, on a busy machine
	stopTimeout  = 20 * time.Second // for an orderly end; then the server is killed
	goneTimeout  = 20 * time.Second // for forked processes to follow their parent
	pollEvery    = 10 * time.Millisecond
)

// process is one server over all its runs: it starts it, watches it, ends it, and owns its folder.
type process struct {
	name    string
	dir     string
	port    int
	command func(port int) *exec.Cmd                       // a fresh command for each run
	ready   func(ctx context.Context, port, pid int) error // nil when the server that answers is ours
	quit    syscall.Signal                                 // orderly end
	abort   syscall.Signal                                 // quickest end that leaves nothing in the system
	sweep   func()                                         // removes what a killed server left outside its folder

	mu     sync.Mutex
	reaper *reaper
	cmd    *exec.Cmd // nil between runs
	// lifeline is the reading end of a pipe whose other end every process of the server inherits: it reads EOF when the
	// last of them is gone, which no process id can tell for processes that are not our children.
	lifeline *os.File
	closed   bool
}

// launch starts the server for the first time, on a free port. Another process can take the port between the choice and
// the bind; then it tries the next one.
func (p *process) launch(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.reaper, err = newReaper(p.dir, p.abort); err != nil {
		return errors.Join(err, os.RemoveAll(p.dir))
	}
	for range 5 {
		if p.port, err = freePort(); err != nil {
			break
		}
		if err = p.start(ctx); err == nil {
			return nil
		}
		if ctx.Err() != nil || portIsFree(p.port) {
			break
		}
	}
	return errors.Join(err, p.discard())
}

// start runs the server and returns when it answers, or ends it and returns why it does not.
func (p *process) start(ctx context.Context) error {
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making the lifeline of %s: %w", p.name, err)
	}
	log, err := os.OpenFile(p.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return errors.Join(fmt.Errorf("opening the log of %s: %w", p.name, err), read.Close(), write.Close())
	}
	cmd := p.command(p.port)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{write}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// A group of its own: an interrupt typed at the terminal is for the caller, who then ends its servers in order.
	cmd.SysProcAttr.Setpgid = true
	err = cmd.Start()
	_ = write.Close() // ours only; the server has its own
	_ = log.Close()
	if err != nil {
		_ = read.Close()
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	p.cmd, p.lifeline = cmd, read
	p.reaper.watch(cmd.Process.Pid)
	if err := p.awaitReady(ctx); err != nil {
		return errors.Join(fmt.Errorf("%w; its last lines:\n%s", err, p.lastWords()), p.end(syscall.SIGKILL))
	}
	return nil
}

// awaitReady polls the server until it answers, ends, or the time is over.
func (p *process) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := p.ready(ctx, p.port, p.cmd.Process.Pid)
		if err == nil {
			return nil
		}
		if p.gone(time.Millisecond) {
			return fmt.Errorf("%s ended before it was ready", p.name)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w, last answer: %w", p.name, ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// gone tells whether no process of the server is left, waiting for that for a while.
func (p *process) gone(within time.Duration) bool {
	if err := p.lifeline.SetReadDeadline(time.Now().Add(within)); err != nil {
		return false
	}
	_, err := p.lifeline.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// end signals the running server and returns when it and all it forked are gone. A server that does not follow an
// orderly signal in time is killed.
func (p *process) end(signal syscall.Signal) error {
	if p.cmd == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %v to %s: %w", signal, p.name, err)
	}
	var late error
	if signal != syscall.SIGKILL && !p.gone(stopTimeout) {
		late = fmt.Errorf("%s did not end within %v of %v", p.name, stopTimeout, signal)
		_ = p.cmd.Process.Kill() // the only error is that it ended meanwhile
	}
	_ = p.cmd.Wait() // how it ended is known: we ended it
	if !p.gone(goneTimeout) {
		late = errors.Join(late, fmt.Errorf("%s left processes running %v after its end", p.name, goneTimeout))
	}
	p.reaper.watch(0)
	_ = p.lifeline.Close()
	p.cmd, p.lifeline = nil, nil
	return late
}

func (p *process) kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end(syscall.SIGKILL)
}

func (p *process) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end(p.quit)
}

func (p *process) restart(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("restarting %s: it is closed", p.name)
	}
	if err := p.end(p.quit); err != nil {
		return err
	}
	return p.start(ctx)
}

func (p *process) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	return errors.Join(p.end(p.abort), p.discard())
}

// discard removes the folder and dismisses the reaper.
func (p *process) discard() error {
	p.closed = true
	if p.sweep != nil {
		p.sweep()
	}
	return errors.Join(os.RemoveAll(p.dir), p.reaper.dismiss())
}

// pid returns the process id of the running server, 0 when it is not running.
func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

func (p *process) logPath() string { return filepath.Join(p.dir, "server.log") }

// lastWords returns the end of the server's log.
func (p *process) lastWords() string {
	text, err := os.ReadFile(p.logPath())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
