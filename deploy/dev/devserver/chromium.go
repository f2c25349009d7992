package devserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Browser is a private Chromium without a window, driven by the DevTools protocol. It has a profile of its own and fetches
// nothing by itself.
type Browser struct {
	URL string // of its DevTools, ws://…
	Dir string // the folder with its profile and log

	process *process
}

// StartChromium starts a browser and returns when it can be driven. The caller must Close it.
func StartChromium(ctx context.Context) (*Browser, error) {
	// The program itself rather than a script of the distribution around it, which would outlive a signal.
	binary, found := program([]string{"chromium"}, []string{"/usr/lib/chromium", "/usr/lib64/chromium-browser"})
	if inner := "/usr/lib/chromium/chromium"; found && binary != inner {
		if _, err := os.Stat(inner); err == nil {
			binary = inner
		}
	}
	if !found {
		binary, found = program([]string{"chromium-browser", "google-chrome", "Google Chrome", "Chromium"},
			[]string{"/Applications/Google Chrome.app/Contents/MacOS", "/Applications/Chromium.app/Contents/MacOS"})
	}
	if !found {
		return nil, &MissingError{Server: "Chromium", Debian: "chromium", Brew: "--cask chromium"}
	}
	dir, err := temporary("chromium")
	if err != nil {
		return nil, err
	}
	var drive string
	p := &process{
		name: "Chromium",
		dir:  dir,
		command: func(port int) *exec.Cmd {
			args := []string{
				"--headless", "--remote-debugging-port=" + strconv.Itoa(port), "--user-data-dir=" + filepath.Join(dir, "profile"),
				"--no-first-run", "--no-default-browser-check", "--no-proxy-server", "--password-store=basic", "--use-mock-keychain",
				"--disable-background-networking", "--disable-breakpad", "--disable-component-update", "--disable-crash-reporter",
				"--disable-default-apps", "--disable-dev-shm-usage", "--disable-extensions", "--disable-gpu", "--disable-sync",
				"--force-color-profile=srgb", "--hide-scrollbars", "--lang=en", "--metrics-recording-only", "--mute-audio", "about:blank",
			}
			if os.Getuid() == 0 {
				args = append([]string{"--no-sandbox"}, args...) // root has no sandbox there
			}
			cmd := exec.Command(binary, args...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir, "TZ=UTC")
			return cmd
		},
		ready: func(_ context.Context, port, _ int) error {
			// Its own log says where it is driven: at the port, under a path that only it knows.
			log, err := os.ReadFile(filepath.Join(dir, "server.log"))
			if err != nil {
				return err
			}
			_, after, said := strings.Cut(string(log), "DevTools listening on ")
			url, _, whole := strings.Cut(after, "\n")
			if !said || !whole || !strings.HasPrefix(url, "ws://"+address(port)+"/") {
				return fmt.Errorf("it does not say that it is driven at port %d", port)
			}
			drive = url
			return nil
		},
		sweep: func() { // its children end after it, and write until then
			for end := time.Now().Add(goneTimeout); os.RemoveAll(dir) != nil && time.Now().Before(end); {
				time.Sleep(pollEvery)
			}
		},
		quit:  syscall.SIGTERM,
		abort: syscall.SIGKILL,
	}
	if err := p.launch(ctx); err != nil {
		return nil, err
	}
	return &Browser{URL: drive, Dir: dir, process: p}, nil
}

// Chromium starts a private browser for one test and closes it when the test ends.
func Chromium(t TB) *Browser {
	t.Helper()
	b, err := StartChromium(t.Context())
	if err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("last lines of the log of Chromium:\n%s", b.process.lastWords())
		}
		if err := b.Close(); err != nil {
			t.Errorf("closing Chromium: %v", err)
		}
	})
	return b
}

// Close ends the browser, in order so that its children go first, and removes its folder.
func (b *Browser) Close() error { return errors.Join(b.process.stop(), b.process.close()) }
