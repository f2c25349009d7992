package host_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"slipstream/services/internal/host"
)

func TestDialAppliers(t *testing.T) {
	a, err := host.New("test", slog.New(slog.DiscardHandler)).DialAppliers("postgresql=127.0.0.1:1, mysql=127.0.0.1:2 ,")
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Types(); !slices.Equal(got, []string{"mariadb", "mysql", "postgresql"}) {
		t.Errorf("types %v", got)
	}
	if a["mysql"] != a["mariadb"] {
		t.Error("mariadb has a client of its own")
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	for list, says := range map[string]string{
		"127.0.0.1:1":       "write type=host:port",
		"=127.0.0.1:1":      "write type=host:port",
		"sqlite=":           "write type=host:port",
		"sqlite=a,sqlite=b": "names sqlite twice",
	} {
		if _, err := host.New("test", slog.New(slog.DiscardHandler)).DialAppliers(list); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", list, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	if got := host.Addresses(" a:1,, b:2"); !slices.Equal(got, []string{"a:1", "b:2"}) {
		t.Errorf("got %q", got)
	}
}
