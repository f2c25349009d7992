package redis_test

import (
	"encoding/json"
	"strings"
	"testing"

	"slipstream/applier"
	"slipstream/deploy/dev/devserver"
	"slipstream/deploy/dev/jsonserver"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const document = pipelinev1.RedisType_REDIS_TYPE_JSON

func nesting(o *pipelinev1.Output) {
	merging(o)
	o.Redis.NestPath = "$.parts"
}

// TestDocuments: replacing, merging and nesting (spec 5.5, 5.6), on a server that merges and on one that does not, and
// with nulls that stay (use_native_json_merge: false).
func TestDocuments(t *testing.T) {
	for name, c := range map[string]struct {
		module *jsonserver.Module
		native bool
		merged string
		made   string // by a merge into nothing
	}{
		"with JSON.MERGE":    {jsonserver.RedisJSON, true, `{"a":1,"deep":{"x":1,"z":3}}`, `{"a":1,"deep":{"big":12345678901234567890.5}}`},
		"without JSON.MERGE": {jsonserver.ValkeyJSON, true, `{"a":1,"deep":{"x":1,"z":3}}`, `{"a":1,"deep":{"big":12345678901234567890.5}}`},
		"nulls stay":         {jsonserver.RedisJSON, false, `{"a":1,"b":null,"deep":{"x":1,"y":null,"z":3}}`, `{"a":1,"b":null,"deep":{"c":null,"big":12345678901234567890.5}}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := clientOf(t, jsonserver.Redis(t, c.module, devserver.RedisOptions{}).Addr)
			set := settings()
			set.UseNativeJsonMerge = c.native
			target := connect(t, connection(t, s.addr), set)
			session, _ := open(t, target, 0)
			n := uint64(0)
			apply := func(o *pipelinev1.Output, verb applier.Verb, list ...[]any) {
				t.Helper()
				if err := commit(t, session, n, n+1, rows(t, target, o, verb, list...)); err != nil {
					t.Fatal(err)
				}
				n++
			}
			whole, merged, nested := output(document, "*key value"), output(document, "*key value", merging), output(document, "*key *entry value", nesting)
			holds := func(key, want string) {
				t.Helper()
				got, _ := s.do(t, "JSON.GET", key).(string)
				if canonical(t, got) != canonical(t, want) {
					t.Errorf("%s is %v, want %s", key, got, want)
				}
			}
			apply(whole, applier.Upsert, []any{"d", `{"old":1}`})
			apply(whole, applier.Upsert, []any{"d", `{"a":1,"b":null,"deep":{"x":1,"y":2}}`})
			holds("d", `{"a":1,"b":null,"deep":{"x":1,"y":2}}`)
			apply(merged, applier.Upsert, []any{"d", `{"b":null,"deep":{"y":null,"z":3}}`})
			holds("d", c.merged)
			apply(merged, applier.Upsert, []any{"new", `{"a":1,"b":null,"deep":{"c":null,"big":12345678901234567890.5}}`})
			holds("new", c.made)
			apply(whole, applier.Delete, []any{"d"})
			if s.Exists(t.Context(), "d").Val() != 0 {
				t.Error("a deleted document is there")
			}

			// Two entries of one parent in one batch; one of them goes in the next, with another that never was.
			apply(nested, applier.Upsert, []any{"ticket:9", "a\"b", `{"qty":1}`}, []any{"ticket:9", "c.d", `{"qty":2}`})
			holds("ticket:9", `{"parts":{"a\"b":{"qty":1},"c.d":{"qty":2}}}`)
			apply(nested, applier.Upsert, []any{"ticket:9", "c.d", `{"note":"x"}`})
			apply(nested, applier.Delete, []any{"ticket:9", "a\"b"}, []any{"ticket:9", "nothing"}, []any{"ticket:10", "c"})
			holds("ticket:9", `{"parts":{"c.d":{"note":"x","qty":2}}}`)
			if s.Exists(t.Context(), "ticket:10").Val() != 0 {
				t.Error("removing an entry made its parent")
			}

			s.do(t, "HSET", "theirs", "a", "1")
			deep := strings.Repeat("[", 129) + strings.Repeat("]", 129)
			for what, row := range map[string][]any{"a hash is there": {"theirs", `{}`}, "too deep": {"deep", deep}, "no JSON": {"no", `{`}} {
				if err := commit(t, session, n, n+1, rows(t, target, whole, applier.Upsert, row)); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_DATA {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// canonical is a document with its members in order.
func canonical(t testing.TB, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestNoDocuments: a server without JSON is a fault that says what to do, and validate says so.
func TestNoDocuments(t *testing.T) {
	s := newServer(t)
	target := connect(t, connection(t, s.addr), settings())
	o := output(document, "*key value")
	_, err := target.Table(t.Context(), o)
	if f := fault.Of(err); f.Class != flowv1.FaultClass_FAULT_CLASS_SCHEMA || !strings.Contains(f.Fix, "JSON module") {
		t.Errorf("%v, fix %q", err, f.Fix)
	}
	r := target.Check(t.Context(), []*pipelinev1.Job{{Name: "j", Outputs: []*pipelinev1.Output{o}}})
	if len(r.GetProblems()) != 1 || r.GetProblems()[0].GetPath() != "output[0]" || !strings.HasPrefix(r.GetServer(), "Redis 7.") {
		t.Errorf("check: %v", r)
	}
}
