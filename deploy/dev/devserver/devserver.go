// Package devserver runs private database servers for tests, the demo and the benchmarks.
//
// A server listens on a free port of the loopback interface, keeps everything it writes in one temporary folder, and is
// a direct child of the calling process. The words:
//
//   - Start: install nothing, start the server, return when it answers on its port.
//   - Kill: SIGKILL, as a crash; returns when the server and every process it forked are gone. The data stays.
//   - Stop: an orderly end. The data stays.
//   - Restart: the same port and the same data; after Kill the server recovers as it would from a crash.
//   - Close: the end; the folder is removed.
//
// Promises: a server is only ever signalled by its process id. Nothing is left behind when the calling process ends, in
// whatever way: a small shell, holding the other end of a pipe, sees the end of the process, ends the server and removes
// its folder. No goroutine runs between two calls, so a leak check in the caller's tests sees none of ours.
//
// Start variants (StartRedis, StartPostgres, StartMariaDB) serve programs and return errors. The variants that take a TB
// (Redis, Postgres, MariaDB) end the server with the test, and the shared ones (SharedPostgres, SharedMariaDB …) live as
// long as the test process, so that a package starts a server once.
//
// A server that is not installed is an error which says how to install it: see the script install-servers beside this
// package. Unix only.
package devserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// TB is the part of testing.TB that this package needs; *testing.T, *testing.B and *testing.F have it. Naming it here
// keeps package testing out of the programs that start servers.
type TB interface {
	Helper()
	Cleanup(func())
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Logf(format string, args ...any)
}

// MissingError says that the programs of a server are not installed, and how to install them.
type MissingError struct {
	Server string // what is missing: "Redis", "PostgreSQL", "MariaDB"
	Debian string // its package on Debian and Ubuntu
	Brew   string // its formula in Homebrew
}

// Error names the command that installs the server.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is not installed: run `make install-servers` (Debian, Ubuntu: apt-get install %s; macOS: brew install %s)",
		e.Server, e.Debian, e.Brew)
}

// program returns the first of the named programs found in PATH or in the folders that match the patterns, where the
// last match of a pattern wins, as it has the highest version.
func program(names, patterns []string) (string, bool) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, true
		}
		for _, pattern := range patterns {
			found, err := filepath.Glob(filepath.Join(pattern, name))
			if err == nil && len(found) > 0 {
				return found[len(found)-1], true
			}
		}
	}
	return "", false
}

// temporary makes the folder of one server, with a path without symbolic links.
func temporary(server string) (string, error) {
	dir, err := os.MkdirTemp("", "slipstream-"+server+"-")
	if err != nil {
		return "", fmt.Errorf("making the folder of a %s server: %w", server, err)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", fmt.Errorf("resolving the folder %q: %w", dir, err)
	}
	return real, nil
}

// attach ends a server with the test that started it, and shows the server's last words when the test failed.
func attach(t TB, p *process) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("last lines of the log of %s:\n%s", p.name, p.lastWords())
		}
		if err := p.close(); err != nil {
			t.Errorf("closing %s: %v", p.name, err)
		}
	})
}
