package gap_test

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"slipstream/capture/gap"
	"slipstream/deploy/dev/devserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestBook: gaps of one job and cause share a repair until it begins; repaired ones are forgotten, the oldest first, and
// open ones never.
func TestBook(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: devserver.SharedRedis(t).Addr})
	defer func() { _ = rdb.Close() }()
	book := gap.NewBook(rdb, t.Name()+rand.Text())
	base := time.Now().Truncate(time.Millisecond)
	open := func(g gap.Gap) string {
		t.Helper()
		id, err := book.Open(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	list := func() []gap.Gap {
		t.Helper()
		gaps, err := book.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return gaps
	}
	first := open(gap.Gap{Job: "a", Cause: gap.Position, Began: base, Ended: base.Add(time.Second), Detail: "why"})
	if again := open(gap.Gap{Job: "a", Cause: gap.Position}); again != first {
		t.Error("the lanes of one target do not share a repair")
	}
	if other := open(gap.Gap{Job: "b", Cause: gap.Position}); other == first {
		t.Error("two jobs share a repair")
	}
	if other := open(gap.Gap{Job: "a", Cause: gap.Trimmed}); other == first {
		t.Error("two causes share a gap")
	}
	gaps := list()
	if len(gaps) != 3 || gaps[0].ID != first || !gaps[0].Open() || gaps[0].Detail != "why" || !gaps[0].Began.Equal(base) {
		t.Fatalf("%+v", gaps)
	}
	if p := gaps[0].Proto(); p.GetId() != first || p.GetBeganMs() != base.UnixMilli() || p.GetRepairedMs() != 0 || p.GetJob() != "a" || p.GetCause() != "position" {
		t.Errorf("%v", p)
	}
	if err := book.Take(t.Context(), gaps[0]); err != nil {
		t.Fatal(err)
	}
	second := open(gap.Gap{Job: "a", Cause: gap.Position, Ended: base})
	if second == first {
		t.Error("a gap joins a repair that has begun")
	}
	if err := book.Take(t.Context(), gaps[0]); err != nil {
		t.Fatal(err)
	}
	if again := open(gap.Gap{Job: "a", Cause: gap.Position}); again != second {
		t.Error("taking a gap again took another")
	}
	for i := range 30 {
		g := gap.Gap{Job: fmt.Sprint("j", i), Cause: gap.Connect, Ended: base.Add(time.Duration(i) * time.Minute)}
		g.ID = open(g)
		g.Repaired = base
		if err := book.Take(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		if err := book.Store(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	gaps = list()
	still := 0
	for _, g := range gaps {
		if g.Open() {
			still++
		}
	}
	if still != 4 || len(gaps) != 24 || gaps[0].Job != "j29" {
		t.Errorf("%d gaps, %d open, the newest of %s", len(gaps), still, gaps[0].Job)
	}
}
