package redisurl_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"slipstream/services/internal/redisurl"
)

// TestQuiet: what go-redis says goes to the log, and only when somebody wants to read that much.
func TestQuiet(t *testing.T) {
	for level, heard := range map[slog.Level]bool{slog.LevelDebug: true, slog.LevelInfo: false} {
		var out strings.Builder
		redisurl.Quiet(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level})))
		c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
		if err := c.Ping(t.Context()).Err(); err == nil {
			t.Fatal("port 1 answers")
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if strings.Contains(out.String(), "failed to dial") != heard {
			t.Errorf("at level %v the log says %q", level, out.String())
		}
	}
}

func TestParse(t *testing.T) {
	pw := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(pw, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for written, want := range map[string]struct {
		addr, user, password string
		db                   int
		tls                  bool
	}{
		"127.0.0.1:6379":                            {addr: "127.0.0.1:6379"},
		"redis://host:6380/3":                       {addr: "host:6380", db: 3},
		"rediss://u:${file:" + pw + "}@host:6380/0": {addr: "host:6380", user: "u", password: "s3cret", tls: true},
	} {
		t.Run(written, func(t *testing.T) {
			o, err := redisurl.Parse(written)
			if err != nil {
				t.Fatal(err)
			}
			if o.Addr != want.addr || o.Username != want.user || o.Password != want.password || o.DB != want.db || (o.TLSConfig != nil) != want.tls {
				t.Errorf("read as %+v", o)
			}
		})
	}
	for _, bad := range []string{"http://u:s3cret@host", "redis://u:s3cret@host:x/y", "${env:NOT_SET_AT_ALL}"} {
		if _, err := redisurl.Parse(bad); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
