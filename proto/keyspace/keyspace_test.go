package keyspace_test

import (
	"strconv"
	"strings"
	"testing"

	"slipstream/proto/keyspace"
)

// TestPartition checks the CRC against the check value of CRC-16/XMODEM and against spread.
func TestPartition(t *testing.T) {
	if got := keyspace.Partition([]byte("123456789"), 1<<16); got != 0x31C3 {
		t.Errorf("crc16(123456789) = %#x, want 0x31c3", got)
	}
	counts := make([]int, 4)
	for i := range 10000 {
		counts[keyspace.Partition([]byte("emp:"+strconv.Itoa(i)), 4)]++
	}
	for p, n := range counts {
		if n < 2000 || n > 3000 {
			t.Errorf("partition %d has %d of 10000 keys", p, n)
		}
	}
	if keyspace.Partition([]byte("any"), 1) != 0 {
		t.Error("one partition takes every key")
	}
}

// TestInternal: no key named here is ever captured, whatever the pipeline and job are called (spec 3.5).
func TestInternal(t *testing.T) {
	stream := keyspace.Stream("default", 1, 4, "emp")
	for _, key := range []string{
		keyspace.Pipelines(), keyspace.Source(), keyspace.Pipeline("p"), keyspace.Generation("p", 3), stream,
		keyspace.Side(stream), keyspace.Header(stream), keyspace.DeadLetters("p", "emp"), keyspace.Lease("p", "recorder"),
		keyspace.Instances("p"), keyspace.Counts("p", "emp"), keyspace.Gaps("p"), keyspace.Sweeps("p"), keyspace.Recorder("p"),
	} {
		if !keyspace.Internal([]byte(key)) {
			t.Errorf("%s would be captured", key)
		}
	}
	for _, key := range []string{"emp:1", "slipstreams:1", "dlq:other", "", "Slipstream:x"} {
		if keyspace.Internal([]byte(key)) {
			t.Errorf("%q is a user's key", key)
		}
	}
}

// TestStreamTags: the streams of a partition share one cluster slot, and a new layout has new names (design D2).
func TestStreamTags(t *testing.T) {
	s := keyspace.Stream("default", 1, 4, "emp")
	if s != "slipstream:{default:1of4}:emp" {
		t.Errorf("stream is named %s", s)
	}
	for _, k := range []string{keyspace.Side(s), keyspace.Header(s), keyspace.Stream("default", 1, 4, "dept")} {
		if !strings.Contains(k, "{default:1of4}") {
			t.Errorf("%s has another hash tag", k)
		}
	}
	if keyspace.Stream("default", 1, 8, "emp") == s {
		t.Error("another layout has the same stream")
	}
	if got := keyspace.DeadLetters("default", "emp"); got != "dlq:slipstream:{default}:emp" {
		t.Errorf("dead letters are in %s", got)
	}
}
