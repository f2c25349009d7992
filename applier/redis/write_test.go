package redis_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"slipstream/applier"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const (
	hash      = pipelinev1.RedisType_REDIS_TYPE_HASH
	set       = pipelinev1.RedisType_REDIS_TYPE_SET
	sortedSet = pipelinev1.RedisType_REDIS_TYPE_SORTED_SET
	stream    = pipelinev1.RedisType_REDIS_TYPE_STREAM
	text      = pipelinev1.RedisType_REDIS_TYPE_STRING
)

// fields are those of a hash, sorted, as name=value.
func (s *server) fields(t testing.TB, key string) string {
	t.Helper()
	m, err := s.HGetAll(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, name+"="+m[name])
	}
	return strings.Join(out, " ")
}

// TestTypes: what each type of spec 5.5 makes of rows, and of their removal.
func TestTypes(t *testing.T) {
	s := newServer(t)
	target := connect(t, connection(t, s.addr), settings())
	session, _ := open(t, target, 0)
	n := uint64(0)
	apply := func(o *pipelinev1.Output, verb applier.Verb, row ...any) {
		t.Helper()
		if err := commit(t, session, n, n+1, rows(t, target, o, verb, row)); err != nil {
			t.Fatal(err)
		}
		n++
	}
	h := output(hash, "*key value")
	apply(h, applier.Upsert, "h", `{"a":"1","b":"\u00e9\n","c":"`+"\xff\x00"+`"}`)
	if got := s.fields(t, "h"); got != "a=1 b=é\n c=\xff\x00" {
		t.Errorf("hash %q", got)
	}
	apply(h, applier.Upsert, "h", `{"a":"2"}`)
	if got := s.fields(t, "h"); got != "a=2" {
		t.Errorf("hash replaced (A13): %q", got)
	}
	m := output(hash, "*key value", merging, expiring(100))
	apply(m, applier.Upsert, "h", `{"b":"3"}`)
	if got := s.fields(t, "h"); got != "a=2 b=3" {
		t.Errorf("hash merged: %q", got)
	}
	if ttl := s.TTL(t.Context(), "h").Val().Seconds(); ttl < 95 || ttl > 100 {
		t.Errorf("the hash lives %v s", ttl)
	}
	apply(h, applier.Upsert, "h", `{"a":"2"}`)
	if ttl := s.TTL(t.Context(), "h").Val(); ttl != -1 {
		t.Errorf("a hash replaced without expire lives %v", ttl)
	}
	apply(h, applier.Upsert, "h", `{}`)
	if s.Exists(t.Context(), "h").Val() != 0 {
		t.Error("a hash without fields is there")
	}
	apply(h, applier.Upsert, "h", `{"a":"1"}`)
	apply(h, applier.Delete, "h")
	apply(h, applier.Delete, "h")
	if s.Exists(t.Context(), "h").Val() != 0 {
		t.Error("a deleted hash is there")
	}

	apply(output(set, "*key *member"), applier.Upsert, "s", "x\xff")
	apply(output(set, "*key *member"), applier.Upsert, "s", "")
	apply(output(set, "*key *member"), applier.Delete, "s", "x\xff")
	if got := s.SMembers(t.Context(), "s").Val(); len(got) != 1 || got[0] != "" {
		t.Errorf("set %q", got)
	}
	z := output(sortedSet, "*key *member score")
	apply(z, applier.Upsert, "z", "P-77", "41.50")
	apply(z, applier.Upsert, "z", "P-78", "-inf")
	apply(z, applier.Upsert, "z", "P-79", "1")
	apply(z, applier.Delete, "z", "P-79")
	if got := s.ZRangeWithScores(t.Context(), "z", 0, -1).Val(); len(got) != 2 || got[1].Score != 41.5 || got[1].Member != "P-77" || got[0].Member != "P-78" {
		t.Errorf("sorted set %v", got)
	}
	for _, wrong := range []any{nil, "NaN"} {
		err := commit(t, session, n, n+1, rows(t, target, z, applier.Upsert, []any{"z", "P-80", wrong}))
		if fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_DATA {
			t.Errorf("score %v: %v", wrong, err)
		}
	}

	x := output(text, "*key value expire")
	apply(x, applier.Upsert, "t", "v\x00", "2.5")
	if got, ttl := s.Get(t.Context(), "t").Val(), s.PTTL(t.Context(), "t").Val().Milliseconds(); got != "v\x00" || ttl < 2000 || ttl > 2500 {
		t.Errorf("string %q lives %d ms", got, ttl)
	}
	for _, never := range []any{nil, "0", "-5"} {
		apply(x, applier.Upsert, "t", "w", never)
		if ttl := s.TTL(t.Context(), "t").Val(); ttl != -1 {
			t.Errorf("expire %v: lives %v", never, ttl)
		}
	}
	if err := commit(t, session, n, n+1, rows(t, target, x, applier.Upsert, []any{"t", "w", "soon"})); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_DATA {
		t.Errorf("expire soon: %v", err)
	}
	apply(x, applier.Upsert, "t", nil, nil)
	if s.Exists(t.Context(), "t").Val() != 0 {
		t.Error("a string that is null is there")
	}

	st := output(stream, "*key value")
	if err := commit(t, session, n, n+1, rows(t, target, st, applier.Insert, []any{"x", `{"a":"1","op_code":"c"}`}, []any{"x", `{"op_code":"d"}`})); err != nil {
		t.Fatal(err)
	}
	got := s.XRange(t.Context(), "x", "-", "+").Val()
	if len(got) != 2 || got[0].Values["a"] != "1" || got[0].Values["op_code"] != "c" || got[1].Values["op_code"] != "d" {
		t.Errorf("stream %v", got)
	}
}

// TestTypeConflict: a key of another type is found before EXEC, so the neighbours commit and nothing is half written.
func TestTypeConflict(t *testing.T) {
	s := newServer(t)
	s.do(t, "LPUSH", "theirs", "1")
	target := connect(t, connection(t, s.addr), settings())
	session, _ := open(t, target, 0)
	outputs := map[string]*applier.Write{
		"hash":   rows(t, target, output(hash, "*key value"), applier.Upsert, []any{"theirs", `{"a":"1"}`}),
		"delete": rows(t, target, output(hash, "*key value"), applier.Delete, []any{"theirs"}),
		"set":    rows(t, target, output(set, "*key *member"), applier.Upsert, []any{"theirs", "m"}),
		"zset":   rows(t, target, output(sortedSet, "*key *member score"), applier.Upsert, []any{"theirs", "m", "1"}),
		"stream": rows(t, target, output(stream, "*key value"), applier.Insert, []any{"theirs", `{"a":"1"}`}),
		"string": rows(t, target, output(text, "*key value"), applier.Upsert, []any{"theirs", "v"}),
	}
	for name, bad := range outputs {
		txn, err := session.Begin(t.Context(), at(0), at(1), nil)
		if err != nil {
			t.Fatal(err)
		}
		err = txn.Try(t.Context(), func() error { return txn.Write(t.Context(), bad) })
		if fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_DATA || fault.Of(err).Code != "WRONGTYPE" {
			t.Errorf("%s: %v", name, err)
		}
		if err := txn.Rollback(); err != nil {
			t.Error(err)
		}
	}
	txn, err := session.Begin(t.Context(), at(0), at(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = txn.Try(t.Context(), func() error { return txn.Write(t.Context(), outputs["set"]) })
	if err := txn.Write(t.Context(), rows(t, target, output(set, "*key *member"), applier.Upsert, []any{"ours", "m"})); err != nil {
		t.Fatal(err)
	}
	if err := txn.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.SCard(t.Context(), "ours").Val() != 1 || s.LLen(t.Context(), "theirs").Val() != 1 {
		t.Error("the neighbour did not commit, or the list was touched")
	}
}

// TestKeyChangesUnderWatch: who changes a key between the look at it and EXEC makes EXEC do nothing; then it goes again.
func TestKeyChangesUnderWatch(t *testing.T) {
	s := newServer(t)
	target := connect(t, connection(t, s.addr), settings())
	session, _ := open(t, target, 0)
	w := rows(t, target, output(set, "*key *member"), applier.Upsert, []any{"k", "m"})
	txn, err := session.Begin(t.Context(), at(0), at(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := txn.Write(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	s.do(t, "LPUSH", "k", "theirs")
	if err := txn.Commit(t.Context()); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_CONFLICT {
		t.Errorf("commit: %v", err)
	}
	if err := txn.Rollback(); err != nil {
		t.Error(err)
	}
	if err := commit(t, session, 0, 1, w); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_DATA {
		t.Errorf("again: %v", err)
	}
	s.do(t, "DEL", "k")
	if err := commit(t, session, 0, 1, w); err != nil {
		t.Errorf("after the list was gone: %v", err)
	}
}
