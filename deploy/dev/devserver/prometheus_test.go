package devserver_test

import (
	"testing"
	"time"

	"slipstream/deploy/dev/devserver"
)

// TestPrometheus: the server scrapes, here itself, and answers queries.
func TestPrometheus(t *testing.T) {
	s := devserver.Prometheus(t, "127.0.0.1:1")
	deadline := time.Now().Add(time.Minute)
	for {
		values, err := s.Query(t.Context(), "up")
		if err != nil {
			t.Fatal(err)
		}
		if len(values) == 1 && values[0] == "0" { // nobody is there to be scraped, and it knows
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("up is %v", values)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if _, err := s.Query(t.Context(), "sum("); err == nil {
		t.Error("a query that is none was answered")
	}
}
