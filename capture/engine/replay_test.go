package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"slipstream/capture/engine"
	"slipstream/deploy/dev/devserver"
	"slipstream/deploy/dev/jsonserver"
	"slipstream/proto/keyspace"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// letters waits for so many dead letters of job emp and returns them, oldest first.
func (h *house) letters(e *engine.Engine, want int) []*capturev1.DeadLetter {
	h.t.Helper()
	var got []*capturev1.DeadLetter
	eventually(h.t, fmt.Sprintf("%d dead letters", want), func() bool {
		s, err := e.Rejected(h.t.Context(), &capturev1.ListRejectedRequest{Job: "emp", Oldest: true})
		if err != nil || len(s) != 1 {
			return false
		}
		got = s[0].Entries
		return len(got) == want
	})
	return got
}

func (h *house) replay(e *engine.Engine, r *capturev1.ReplayRequest) *capturev1.ReplayedStream {
	h.t.Helper()
	out, err := e.Replay(h.t.Context(), r)
	if err != nil {
		h.t.Fatal(err)
	}
	if len(out) != 1 {
		h.t.Fatalf("replayed %v, want one stream", out)
	}
	return out[0]
}

// changes are the changes of a key in batches that were committed, without the first so many batches, as "op value", with "@id" where it is a replay as recorded.
func (h *house) changes(after int, key string) []string {
	var all []string
	for _, b := range h.target.Batches()[after:] {
		for _, c := range b.Changes {
			if string(c.Key) != key {
				continue
			}
			s := strings.ToLower(strings.TrimPrefix(c.Op.String(), "OP_"))
			if c.Op != changev1.Op_OP_DELETE {
				from := uint32(0)
				for i := range c.Ends {
					s += " " + string(c.Values[from:c.Ends[i]])
					from = c.Ends[i]
				}
			}
			if c.AsOf != nil {
				s += fmt.Sprintf(" @%d-%d", c.AsOf.Ms, c.AsOf.Seq)
			}
			all = append(all, s)
		}
	}
	return all
}

// TestReplay: a replayed dead letter is the key's current value, read in its turn; it leaves the stream, what fails again
// comes back, and only the lanes that had rejected it see it (spec 9.4).
func TestReplay(t *testing.T) {
	h := newHouse(t)
	h.spec.Jobs = []*pipelinev1.Job{job("emp", "target", "copy")}
	var strict atomic.Bool
	strict.Store(true)
	h.target.Reject = func(c *changev1.Change) string {
		if strict.Load() && (strings.HasSuffix(string(c.Key), ":bad") || strings.HasSuffix(string(c.Key), ":gone")) {
			return "does not fit"
		}
		return ""
	}
	e, _ := h.engine("one")
	h.deploy(true)
	h.ready(e, 4)
	h.set("emp:good", "1")
	h.set("emp:bad", "1")
	h.set("emp:gone", "1")
	h.letters(e, 4)
	h.del("emp:gone")
	letters := h.letters(e, 6) // the delete is rejected as well, by both

	// Nothing has changed: what is replayed fails again, under another ID.
	var bad []string
	for _, l := range letters {
		if string(l.Reject.Key) == "emp:bad" && l.Reject.Connection == "target" {
			bad = append(bad, l.Id)
		}
	}
	out := h.replay(e, &capturev1.ReplayRequest{Job: "emp", Ids: append(bad, "1-1")})
	if out.Replayed != 1 || len(out.Kept) != 1 || out.Kept[0].Id != "1-1" || !strings.Contains(out.Kept[0].Reason, "no such") {
		t.Errorf("replayed %v", out)
	}
	eventually(t, "the dead letter is back", func() bool {
		again := h.letters(e, 6)
		last := again[5].Reject
		return string(last.Key) == "emp:bad" && last.Connection == "target" && last.Command == "" || strings.HasSuffix(last.SourceId, "r")
	})

	strict.Store(false)
	before := len(h.target.Batches())
	h.set("emp:bad", "2") // written while its first value waits
	for _, connection := range []string{"target", "copy"} {
		h.equal("emp", connection, map[string]string{"emp:good": "1", "emp:bad": "2"})
	}
	out = h.replay(e, &capturev1.ReplayRequest{DlqName: keyspace.DeadLetters("fleet", "emp")})
	if out.Replayed != 4 || len(out.Kept) != 2 {
		t.Fatalf("replayed %v", out)
	}
	for _, k := range out.Kept { // its key is gone, and the delete follows
		if !strings.Contains(k.Reason, "does not exist") {
			t.Errorf("kept %v", k)
		}
	}
	for _, connection := range []string{"target", "copy"} {
		h.equal("emp", connection, map[string]string{"emp:good": "1", "emp:bad": "2"})
	}
	eventually(t, "both lanes delete", func() bool {
		got := h.changes(before, "emp:gone")
		return len(got) == 2 && strings.HasPrefix(got[0], "delete @") && strings.HasPrefix(got[1], "delete @")
	})
	eventually(t, "both lanes have read the value again", func() bool {
		got := h.changes(before, "emp:bad")
		got = slices.DeleteFunc(got, func(s string) bool { return s == "read 1" }) // of the batch that was rejected last
		return slices.Equal(sorted(got), []string{"read 2", "read 2", "update 2", "update 2"})
	})
	if n := h.rdb.HGet(t.Context(), keyspace.Counts("fleet", "emp"), "dead_letters_replayed").Val(); n != "5" {
		t.Errorf("%s replays are counted, want 5", n)
	}
	if left := h.letters(e, 2); string(left[0].Reject.Key) != "emp:gone" {
		t.Errorf("left over: %v", left)
	}
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

// TestReplayAsRecorded: the value that was rejected travels with the ID of its change, from where it is guarded by the row
// index (G4); without one it is refused, and of a key that is gone it is not written.
func TestReplayAsRecorded(t *testing.T) {
	h := newHouse(t)
	h.spec.Settings.Partitions = 1
	var strict atomic.Bool
	strict.Store(true)
	h.target.Reject = func(*changev1.Change) string {
		if strict.Load() {
			return "does not fit"
		}
		return ""
	}
	e, _ := h.engine("one")
	h.deploy(true)
	h.ready(e, 1)
	h.set("emp:1", "old\xff")
	first := h.letters(e, 1)[0]
	h.set("emp:2", "one")
	h.letters(e, 2)
	strict.Store(false)
	before := len(h.target.Batches())
	all := &capturev1.ReplayRequest{Job: "emp", AsRecorded: true}
	if out := h.replay(e, all); out.Replayed != 0 || len(out.Kept) != 2 || !strings.Contains(out.Kept[0].Reason, "row index") {
		t.Fatalf("without a row index: %v", out)
	}
	h.spec.Jobs[0].Outputs[0].Writer = &pipelinev1.Output_Relational{Relational: &pipelinev1.RelationalWrite{RowIndex: true}}
	h.deploy(true)
	h.ready(e, 1)
	h.set("emp:1", "new")
	h.del("emp:2")
	h.equal("emp", "target", map[string]string{"emp:1": "new"})
	out := h.replay(e, all)
	if out.Replayed != 1 || len(out.Kept) != 1 || !strings.Contains(out.Kept[0].Reason, "does not exist") {
		t.Fatalf("with a row index: %v", out)
	}
	want := "read old\xef\xbf\xbd @" + first.Reject.SourceId // the double's record is JSON, which has no such byte
	eventually(t, "the value as it was recorded, and since when", func() bool {
		got := h.changes(before, "emp:1")
		return len(got) == 2 && got[0] == "update new" && got[1] == want
	})
}

// TestReplayRequests: what cannot be meant is refused.
func TestReplayRequests(t *testing.T) {
	h := newHouse(t)
	h.spec.Jobs = append(h.spec.Jobs, job("dept", "target"))
	e, _ := h.engine("one")
	h.deploy(true)
	h.ready(e, 4)
	for name, tc := range map[string]struct {
		r    *capturev1.ReplayRequest
		want error
	}{
		"pipeline":        {&capturev1.ReplayRequest{Pipeline: "none"}, engine.ErrUnknownPipeline},
		"job":             {&capturev1.ReplayRequest{Job: "none"}, engine.ErrUnknownJob},
		"stream":          {&capturev1.ReplayRequest{DlqName: "none"}, engine.ErrUnknownStream},
		"stream and job":  {&capturev1.ReplayRequest{DlqName: keyspace.DeadLetters("fleet", "emp"), Job: "dept"}, engine.ErrRequest},
		"ID of what":      {&capturev1.ReplayRequest{Ids: []string{"1-1"}}, engine.ErrRequest},
		"ID that is none": {&capturev1.ReplayRequest{Job: "emp", Ids: []string{"first"}}, engine.ErrRequest},
	} {
		if _, err := e.Replay(t.Context(), tc.r); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if out, err := e.Replay(t.Context(), &capturev1.ReplayRequest{}); err != nil || len(out) != 0 {
		t.Errorf("no dead letters: %v, %v", out, err)
	}
}

// TestReadKeys: live keys of a job as changes, narrowed by a pattern, and nothing is recorded or needs to be deployed.
func TestReadKeys(t *testing.T) {
	h := newHouse(t)
	e, _ := h.engine("one")
	for i := range 50 {
		h.set(fmt.Sprintf("emp:%d", i), fmt.Sprint(i))
	}
	h.set("dept:1", "other")
	if err := h.rdb.Set(t.Context(), "emp:text", "no hash", 0).Err(); err != nil {
		t.Fatal(err)
	}
	read := func(pattern string, most uint32) (map[string]bool, uint64) {
		t.Helper()
		r, err := e.ReadKeys(t.Context(), &capturev1.ReadKeysRequest{Pipeline: h.spec, Job: "emp", Pattern: pattern, MaxKeys: most})
		if err != nil {
			t.Fatal(err)
		}
		keys := map[string]bool{}
		for _, c := range r.Batch.Changes {
			if c.Op != changev1.Op_OP_READ || c.Type != changev1.ValueType_VALUE_TYPE_HASH || len(r.Batch.Shapes) != 1 {
				t.Errorf("change %v", c)
			}
			if v := string(c.Values); "emp:"+v != string(c.Key) {
				t.Errorf("key %s has value %s", c.Key, v)
			}
			keys[string(c.Key)] = true
		}
		return keys, r.Scanned
	}
	if keys, scanned := read("", 0); len(keys) != 20 || scanned == 0 {
		t.Errorf("by default %d keys of %d", len(keys), scanned)
	}
	if keys, _ := read("", 100); len(keys) != 50 {
		t.Errorf("%d keys of all", len(keys))
	}
	if keys, _ := read("*:1?", 100); len(keys) != 10 || !keys["emp:12"] {
		t.Errorf("narrowed: %v", keys)
	}
	if keys, scanned := read("emp:7", 5); len(keys) != 1 || !keys["emp:7"] || scanned != 1 {
		t.Errorf("one key: %v, %d scanned", keys, scanned)
	}
	if keys, _ := read("dept:*", 5); len(keys) != 0 {
		t.Errorf("keys of another job: %v", keys)
	}
	if n := len(h.rdb.Keys(t.Context(), "slipstream:{*").Val()); n != 0 {
		t.Errorf("%d keys were written", n)
	}
	if _, err := e.ReadKeys(t.Context(), &capturev1.ReadKeysRequest{Pipeline: h.spec, Job: "none"}); !errors.Is(err, engine.ErrUnknownJob) {
		t.Errorf("a job that is none: %v", err)
	}
}

// TestReadDocuments: keys of a job on documents are read as such, and hashes beside them are left out.
func TestReadDocuments(t *testing.T) {
	h := houseAt(t, jsonserver.Redis(t, jsonserver.RedisJSON, devserver.RedisOptions{}).Addr)
	h.spec.Jobs[0].Source.Types = []string{"json"}
	e, _ := h.engine("one")
	h.set("emp:hash", "1")
	if err := h.rdb.Do(t.Context(), "JSON.SET", "emp:1", ".", `{"a":[1,null]}`).Err(); err != nil {
		t.Fatal(err)
	}
	r, err := e.ReadKeys(t.Context(), &capturev1.ReadKeysRequest{Pipeline: h.spec, Job: "emp"})
	if err != nil {
		t.Fatal(err)
	}
	if c := r.Batch.Changes; len(c) != 1 || string(c[0].Document) != `{"a":[1,null]}` || c[0].Type != changev1.ValueType_VALUE_TYPE_JSON {
		t.Errorf("read %v", c)
	}
}
