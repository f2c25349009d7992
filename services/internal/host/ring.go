package host

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// kept is how many log lines a process remembers, for support.
const kept = 5000

// ring remembers the last lines written to it. It is safe for concurrent use.
type ring struct {
	mu    sync.Mutex
	lines []line
	next  int
}

type line struct {
	at   time.Time
	text string
}

// Write takes whole lines, as slog's handlers write them.
func (r *ring) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := line{time.Now(), strings.TrimSuffix(string(b), "\n")}
	if len(r.lines) < kept {
		r.lines = append(r.lines, one)
	} else {
		r.lines[r.next] = one
	}
	r.next = (r.next + 1) % kept
	return len(b), nil
}

// last returns the newest n lines, oldest first, none of them from before a time.
func (r *ring) last(n int, since time.Time) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(r.lines)
	if len(all) == kept {
		all = append(all[r.next:], all[:r.next]...)
	}
	var out []string
	for _, one := range all[max(0, len(all)-n):] {
		if !one.at.Before(since) {
			out = append(out, one.text)
		}
	}
	return out
}

// tee is a handler that hands records to two others.
type tee struct{ a, b slog.Handler }

// Enabled implements slog.Handler.
func (t tee) Enabled(ctx context.Context, l slog.Level) bool {
	return t.a.Enabled(ctx, l) || t.b.Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (t tee) Handle(ctx context.Context, r slog.Record) error {
	var errs []error
	for _, h := range []slog.Handler{t.a, t.b} {
		if h.Enabled(ctx, r.Level) {
			errs = append(errs, h.Handle(ctx, r.Clone()))
		}
	}
	return errors.Join(errs...)
}

// WithAttrs implements slog.Handler.
func (t tee) WithAttrs(attrs []slog.Attr) slog.Handler {
	return tee{t.a.WithAttrs(attrs), t.b.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (t tee) WithGroup(name string) slog.Handler {
	return tee{t.a.WithGroup(name), t.b.WithGroup(name)}
}
