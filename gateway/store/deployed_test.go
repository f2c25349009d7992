package store_test

import (
	"slices"
	"strings"
	"testing"

	"slipstream/proto/keyspace"

	"slipstream/gateway/store"
)

// TestDeployed: every pipeline with what is stored of it now, by name; a name without a pipeline is none.
func TestDeployed(t *testing.T) {
	s, client := open(t)
	list := func() []store.Deployed {
		t.Helper()
		all, err := s.Deployed(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if all := list(); len(all) != 0 {
		t.Errorf("nothing is deployed: %v", all)
	}
	for _, one := range []struct {
		name string
		base uint64
	}{{"shop", 0}, {"default", 0}, {"shop", 1}} {
		if _, err := s.Save(t.Context(), pipeline(one.name, "a"), one.base); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.SAdd(t.Context(), keyspace.Pipelines(), "lost").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetRunning(t.Context(), "default", false); err != nil {
		t.Fatal(err)
	}
	if all, want := list(), []store.Deployed{{"default", 1, false}, {"shop", 2, true}}; !slices.Equal(all, want) {
		t.Errorf("%v, want %v", all, want)
	}
	client.HSet(t.Context(), keyspace.Pipeline("shop"), keyspace.FieldGeneration, "two")
	if _, err := s.Deployed(t.Context()); err == nil || !strings.Contains(err.Error(), `pipeline "shop": generation "two"`) {
		t.Errorf("a generation that is no number: %v", err)
	}
}
