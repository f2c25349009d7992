package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/proto/keyspace"
)

// An instance that is gone, and whose clock was ahead, keeps no lanes for itself; nor do its leases, where the clock of the
// server has gone back.
func TestClocksThatDisagree(t *testing.T) {
	h := newHouse(t)
	h.spec.Settings.Partitions = 8
	ahead := time.Now().Add(time.Hour).UnixMilli()
	if err := h.rdb.ZAdd(t.Context(), keyspace.Instances("fleet"), redis.Z{Score: float64(ahead), Member: "gone"}).Err(); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		key := keyspace.Lease("fleet", fmt.Sprintf("lane:emp:target:%dof8", i))
		if err := h.rdb.Set(t.Context(), key, fmt.Sprintf("gone/x %d", ahead), 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	h.deploy(true)
	e, _ := h.engine("one")
	h.ready(e, 8)
}
