package devserver_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"slipstream/deploy/dev/devserver"
)

// TestChromium: the browser can be driven, and is gone with its folder after Close.
func TestChromium(t *testing.T) {
	b, err := devserver.StartChromium(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(b.URL, "ws://"), "/")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/json/version", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if res.StatusCode != http.StatusOK {
		t.Errorf("its DevTools answer %s", res.Status)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.Dir); !os.IsNotExist(err) {
		t.Errorf("its folder is left: %v", err)
	}
	if res, err := http.DefaultClient.Do(req); err == nil {
		_ = res.Body.Close()
		t.Error("it answers after its end")
	}
}
