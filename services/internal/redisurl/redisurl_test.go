package redisurl_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipstream/services/internal/redisurl"
)

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
