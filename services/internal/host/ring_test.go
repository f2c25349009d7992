package host

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestRing: a process remembers so many lines, and tells the newest, none from before the time that is asked for.
func TestRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &ring{}
		write := func(text string) {
			if _, err := fmt.Fprintln(r, text); err != nil {
				t.Fatal(err)
			}
		}
		for i := range kept + 2 {
			write(fmt.Sprint(i))
		}
		if all := r.last(kept, time.Time{}); len(all) != kept || all[0] != "2" || all[kept-1] != fmt.Sprint(kept+1) {
			t.Errorf("%d lines, from %s", len(all), all[0])
		}
		time.Sleep(48 * time.Hour) // of the bubble's clock
		write("today")
		write("now")
		for since, want := range map[time.Duration][]string{
			time.Hour: {"today", "now"}, 0: {"today", "now"}, 49 * time.Hour: {fmt.Sprint(kept + 1), "today", "now"},
		} {
			if got := r.last(3, time.Now().Add(-since)); !slices.Equal(got, want) {
				t.Errorf("the last %v: %q, want %q", since, got, want)
			}
		}
		if got := r.last(1, time.UnixMilli(0)); !slices.Equal(got, []string{"now"}) {
			t.Errorf("the last line: %q", got)
		}
	})
}
