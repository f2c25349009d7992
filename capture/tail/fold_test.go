package tail

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"slipstream/capture/stream"
	changev1 "slipstream/proto/slipstream/change/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// entriesOf writes entries in short: "c:k" is op c of key k; "R:k" the same in the side stream for op r; "c:k=1" carries
// the value 1. IDs count up from 1 in each stream.
func entriesOf(short string) []stream.Entry {
	var main, side []stream.Entry
	for i, word := range strings.Fields(short) {
		op, key, _ := strings.Cut(word, ":")
		key, after, carries := strings.Cut(key, "=")
		e := stream.Entry{Key: []byte(key), Op: stream.Op(op[0] | 0x20), Command: map[string]string{
			"c": "hset", "u": "hset", "d": "del", "m": "json.del", "x": "expired", "e": "evicted", "r": "",
		}[strings.ToLower(op)], Ms: int64(100 + i), Carries: carries}
		if carries {
			e.After = []byte(after)
		}
		if op[0] < 'a' {
			e.Side = true
			e.ID = stream.ID{Ms: uint64(len(side) + 1)}
			side = append(side, e)
			continue
		}
		e.ID = stream.ID{Ms: uint64(len(main) + 1)}
		main = append(main, e)
	}
	return append(main, side...)
}

func foldOf(short string, p policy) *fold {
	f := &fold{}
	f.gather(entriesOf(short), &p)
	f.order()
	return f
}

func TestFoldOneChangeAKey(t *testing.T) {
	tests := []struct {
		name, entries string
		want          string // runs in order: key@newest id×folded, r for side, ! for carried, ~ for superseded
	}{
		{"one", "u:a", "a@1x1"},
		{"same key", "u:a u:a u:a", "a@3x3"},
		{"ordered by the newest entry", "u:a u:b u:a", "b@2x1 a@3x2"},
		{"rename keeps its order", "u:a d:a c:b", "a@2x2 b@3x1"},
		{"sweep alone comes first", "u:a R:b", "b@1rx1 a@1x1"},
		{"sweep and change are one", "u:a R:a R:b", "b@2rx1 a@1x2"},
		{"carried values never fold", "u:a=1 u:a=2", "a@1x1! a@2x1!"},
		{"read after carried", "u:a=1 u:a u:a", "a@1x1! a@3x2"},
		{"read before carried is superseded", "u:a u:a u:a=1", "a@2x2~ a@3x1!"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, r := range foldOf(tt.entries, policy{}).runs {
				s := fmt.Sprintf("%s@%d", r.key, r.id.Ms)
				if !r.main {
					s += "r"
				}
				s += fmt.Sprintf("x%d", r.folded)
				if r.carried != nil {
					s += "!"
				}
				if r.superseded {
					s += "~"
				}
				got = append(got, s)
			}
			if g := strings.Join(got, " "); g != tt.want {
				t.Errorf("got %q, want %q", g, tt.want)
			}
		})
	}
}

func TestFoldKeepsTimesTraceAndBefore(t *testing.T) {
	entries := entriesOf("c:a u:a u:a")
	entries[0].Before, entries[1].Before = []byte(`{"v":0}`), []byte(`{"v":1}`)
	entries[0].Traceparent, entries[1].Traceparent = "t0", "t1"
	entries[1].Ms = 50 // clocks of two machines
	f := &fold{}
	f.gather(entries, &policy{})
	r := f.runs[0]
	if r.firstMs != 50 || r.ms != 102 || string(r.before) != `{"v":0}` || r.traceparent != "t1" || r.first != 0 {
		t.Errorf("run %+v", r)
	}
}

func TestFoldSetsFaultyEntriesAside(t *testing.T) {
	entries := entriesOf("u:a u:b")
	entries[0].Fault = "the entry has no field key"
	f := &fold{}
	f.gather(entries, &policy{})
	if len(f.faults) != 1 || len(f.runs) != 1 || string(f.runs[0].key) != "b" {
		t.Errorf("%d faults, %d runs", len(f.faults), len(f.runs))
	}
}

// The rules of design D1 and G7, one line each: what the entries of one key and what is found at it come to.
func TestFate(t *testing.T) {
	both := policy{hash: true, json: true}
	expire := policy{hash: true, json: true, expireDeletes: true}
	evict := policy{hash: true, json: true, evictDeletes: true}
	keys := policy{hash: true, json: true, derivable: true}
	onlyJSON := policy{json: true}
	tests := []struct {
		name    string
		entries string
		found   kind
		policy  policy
		unread  bool // an earlier batch found the key missing
		want    fate
		op      changev1.Op
	}{
		{"created", "c:k", kindHash, both, false, fateUpsert, changev1.Op_OP_CREATE},
		{"created and written", "c:k u:k", kindJSON, both, false, fateUpsert, changev1.Op_OP_CREATE},
		{"updated", "u:k", kindHash, both, false, fateUpsert, changev1.Op_OP_UPDATE},
		{"deleted and recreated", "d:k c:k", kindHash, both, false, fateUpsert, changev1.Op_OP_UPDATE},
		{"created, deleted, recreated", "c:k d:k c:k", kindHash, both, false, fateUpsert, changev1.Op_OP_CREATE},
		{"swept", "R:k", kindHash, both, false, fateUpsert, changev1.Op_OP_READ},
		{"swept and created", "c:k R:k", kindHash, both, false, fateUpsert, changev1.Op_OP_CREATE},
		{"removed, but there again: its entry may be excluded", "d:k", kindHash, both, false, fateUpsert, changev1.Op_OP_UPDATE},

		{"deleted", "d:k", kindMissing, both, false, fateDelete, 0},
		{"written and deleted", "u:k d:k", kindMissing, both, false, fateDelete, 0},
		{"deleted, recreated, removal to come", "d:k c:k", kindMissing, both, false, fateDelete, 0},
		{"deleted, then expired", "d:k c:k x:k", kindMissing, both, false, fateDelete, 0},
		{"json.del took the key", "m:k", kindMissing, both, false, fateDelete, 0},
		{"json.del took a part, then it expired", "m:k x:k", kindMissing, both, true, fateUnread, 0},
		{"json.del, written after", "m:k u:k", kindMissing, both, false, fatePending, 0},
		{"missing, removal to come", "u:k", kindMissing, both, false, fatePending, 0},
		{"swept, then missing: never a delete", "R:k", kindMissing, both, false, fateNothing, 0},

		{"expired after it was read: the row stays", "x:k", kindMissing, both, false, fateNothing, 0},
		{"expired before it was read, in one batch", "u:k x:k", kindMissing, both, false, fateUnread, 0},
		{"expired before it was read, in two batches", "x:k", kindMissing, both, true, fateUnread, 0},
		{"evicted before it was read", "u:k e:k", kindMissing, both, false, fateUnread, 0},
		{"expired, job deletes", "u:k x:k", kindMissing, expire, false, fateDelete, 0},
		{"evicted, job deletes expired only", "e:k", kindMissing, expire, false, fateNothing, 0},
		{"evicted, job deletes", "e:k", kindMissing, evict, false, fateDelete, 0},
		{"expired and there again", "x:k", kindHash, both, false, fateUpsert, changev1.Op_OP_UPDATE},

		{"other type", "u:k", kindOther, both, false, fateSkipped, 0},
		{"other type, key columns from the key", "u:k", kindOther, keys, false, fateDelete, 0},
		{"other type after a removal", "d:k u:k", kindOther, both, false, fateDelete, 0},
		{"other type found by a sweep: never a delete", "R:k", kindOther, keys, false, fateSkipped, 0},
		{"a hash where the job takes JSON", "u:k", kindHash, onlyJSON, false, fateSkipped, 0},
		{"JSON where the job takes JSON", "u:k", kindJSON, onlyJSON, false, fateUpsert, changev1.Op_OP_UPDATE},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := foldOf(tt.entries, tt.policy)
			if len(f.runs) != 1 {
				t.Fatalf("%d runs, want 1", len(f.runs))
			}
			r := &f.runs[0]
			if got := r.decide(tt.found, &tt.policy, tt.unread); got != tt.want {
				t.Errorf("fate %d, want %d", got, tt.want)
			}
			if tt.want == fateUpsert && r.op() != tt.op {
				t.Errorf("op %v, want %v", r.op(), tt.op)
			}
		})
	}
}

func TestFateOfCarriedValues(t *testing.T) {
	tests := []struct {
		entries string
		want    fate
		op      changev1.Op
	}{
		{`c:k={}`, fateUpsert, changev1.Op_OP_CREATE},
		{`u:k={}`, fateUpsert, changev1.Op_OP_UPDATE},
		{`R:k={}`, fateUpsert, changev1.Op_OP_READ},
		{`m:k={}`, fateUpsert, changev1.Op_OP_UPDATE},
		{`d:k={}`, fateDelete, 0},
		{`x:k={}`, fateNothing, 0},
		{`u:k=`, fateUpsert, changev1.Op_OP_UPDATE}, // the transformer rejects it
	}
	for _, tt := range tests {
		t.Run(tt.entries, func(t *testing.T) {
			r := &foldOf(tt.entries, policy{hash: true, json: true}).runs[0]
			if got := r.carry(); got != tt.want {
				t.Errorf("fate %d, want %d", got, tt.want)
			}
			if tt.want == fateUpsert && r.op() != tt.op {
				t.Errorf("op %v, want %v", r.op(), tt.op)
			}
		})
	}
}

func TestPolicyOfAJob(t *testing.T) {
	del := pipelinev1.RemovalPolicy_REMOVAL_POLICY_DELETE
	got := policyOf(&pipelinev1.Source{
		OnExpire: del, Types: []string{"json"},
		Keys: &pipelinev1.KeyFields{Delimiter: ":", Fields: map[string]uint32{"id": 1}},
	}, 3, "target", false)
	if want := (policy{expireDeletes: true, derivable: true, json: true, db: 3, connection: "target"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := policyOf(&pipelinev1.Source{OnEvict: del}, 0, "", true), (policy{evictDeletes: true, derivable: true, hash: true, json: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
