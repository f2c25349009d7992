package block

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/transformer/expression"
	"slipstream/transformer/finding"
	"slipstream/transformer/record"
)

// shelf answers GET from a map and counts what it is asked.
type shelf struct {
	values map[string]any
	asked  []string
}

func (s *shelf) Look(_ context.Context, connection string, commands [][]string, size int) ([]Reply, error) {
	replies := make([]Reply, len(commands))
	for i, c := range commands {
		s.asked = append(s.asked, connection+" "+strings.Join(c, " "))
		value := s.values[strings.Join(c[1:], " ")]
		if err, is := value.(error); is {
			replies[i].Err = err
			continue
		}
		replies[i].Value = value
	}
	if size != 200 {
		return nil, fmt.Errorf("size %d", size)
	}
	return replies, nil
}

func inJMES(text string) *pipelinev1.Expression {
	return &pipelinev1.Expression{Language: pipelinev1.Language_LANGUAGE_JMESPATH, Text: text}
}

func depot(change func(*pipelinev1.RedisLookup)) *pipelinev1.Job {
	x := &pipelinev1.RedisLookup{
		Connection: "depots", Cmd: "HGET", Args: []*pipelinev1.Expression{inJMES("concat(['depot:', code])"), inJMES("`region`")}, Field: "depot.region",
	}
	if change != nil {
		change(x)
	}
	return &pipelinev1.Job{Name: "j", Transform: []*pipelinev1.Block{
		{Path: "transform[0]", Block: &pipelinev1.Block_RedisLookup{RedisLookup: x}},
		{Path: "transform[1]", Block: &pipelinev1.Block_Filter{Filter: &pipelinev1.Filter{Expression: inJMES("depot.region != 'south'")}}},
	}}
}

// together runs records, given as JSON, through the blocks of a job, a leading "d " for deletes.
func together(t *testing.T, chain Chain, run *expression.Runner, looker Looker, records ...string) (out []string) {
	t.Helper()
	var items []*Item
	for _, text := range records {
		text, deleted := strings.CutPrefix(text, "d ")
		root, err := record.Decode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, &Item{Record: &Record{Root: root.(map[string]any), Deleted: deleted, Seed: func() string { return "" }}})
	}
	if err := chain.Together(t.Context(), run, looker, items); err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		switch {
		case item.Err != nil:
			out = append(out, "error "+item.Err.Error())
		case !item.Kept:
			out = append(out, "filtered")
		default:
			out = append(out, string(record.Encode(item.Record.Root)))
		}
	}
	return out
}

func compiled(t *testing.T, job *pipelinev1.Job) Chain {
	t.Helper()
	found := finding.NewList("j")
	chain := Compile(job, found)
	if found.Failed() {
		t.Fatal(found.Problems())
	}
	return chain
}

// TestLookup: spec 4.8, a batch at a time.
func TestLookup(t *testing.T) {
	s := &shelf{values: map[string]any{
		"depot:a region": "north", "depot:b region": "south", "depot:bad region": errors.New("WRONGTYPE no hash"), "depot:raw region": "\xff",
	}}
	var run expression.Runner
	defer func() { _ = run.Close() }()
	chain := compiled(t, depot(nil))
	got := together(t, chain, &run, s,
		`{"code":"a"}`, `{"code":"b"}`, `{"code":"a","depot":{"x":1}}`, `{"code":"none"}`, `{"code":"bad"}`, `{"code":"raw"}`, `{"code":"a","depot":1}`, `d {}`)
	want := []string{
		`{"code":"a","depot":{"region":"north"}}`, "filtered", `{"code":"a","depot":{"region":"north","x":1}}`,
		`{"code":"none","depot":{"region":null}}`, "error HGET depot:bad region: WRONGTYPE no hash", `{"code":"raw","depot":{"region":"/w=="}}`,
		"error ", `{"depot":{"region":null}}`,
	}
	for i := range want {
		if got[i] != want[i] && !(want[i] == "error " && strings.HasPrefix(got[i], "error ")) {
			t.Errorf("record %d: %s, want %s", i, got[i], want[i])
		}
	}
	if len(s.asked) != 5 {
		t.Errorf("asked %q: the same question once", s.asked)
	}
}

func TestLookupWhen(t *testing.T) {
	s := &shelf{values: map[string]any{"depot:a region": "north"}}
	var run expression.Runner
	defer func() { _ = run.Close() }()
	chain := compiled(t, depot(func(x *pipelinev1.RedisLookup) { x.When = inJMES("abs(n) > `0`") }))
	got := together(t, chain, &run, s, `{"code":"a","n":1}`, `{"code":"a","n":0}`, `{"code":"a","n":"an error in when"}`)
	want := `{"code":"a","depot":{"region":"north"},"n":1} {"code":"a","n":0} {"code":"a","n":"an error in when"}`
	if strings.Join(got, " ") != want || len(s.asked) != 1 {
		t.Errorf("got %s, asked %q", got, s.asked)
	}
}

func TestLookupArguments(t *testing.T) {
	s := &shelf{}
	var run expression.Runner
	defer func() { _ = run.Close() }()
	chain := compiled(t, depot(func(x *pipelinev1.RedisLookup) { x.Cmd, x.Args = "MGET", []*pipelinev1.Expression{inJMES("codes")} }))
	got := together(t, chain, &run, s, `{"codes":["a",7,true]}`, `{"codes":"b"}`, `{"codes":[null]}`, `{}`)
	if strings.Join(s.asked, "|") != "depots MGET a 7 true|depots MGET b" {
		t.Errorf("asked %q", s.asked)
	}
	for i, want := range []string{"", "", "error argument 1 of MGET: it is null", "error argument 1 of MGET: it is null"} {
		if want != "" && got[i] != want {
			t.Errorf("record %d: %s", i, got[i])
		}
	}
}

// TestCaches: results and replies are kept by what they depend on, as many and as long as the job says (spec 4.9).
func TestCaches(t *testing.T) {
	s := &shelf{values: map[string]any{"depot:a region": "north"}}
	now := time.Unix(0, 0)
	run := expression.Runner{Now: func() time.Time { return now }}
	defer func() { _ = run.Close() }()
	chain := compiled(t, depot(func(x *pipelinev1.RedisLookup) {
		x.LookupCache = &pipelinev1.Cache{MaxSize: 1, TtlSeconds: 10}
		x.Cache = &pipelinev1.Cache{MaxSize: 10, TtlSeconds: 10}
	}))
	ask := func(want int, code string) {
		t.Helper()
		s.asked = nil
		together(t, chain, &run, s, `{"code":"`+code+`"}`)
		if len(s.asked) != want {
			t.Errorf("asked %q, want %d questions", s.asked, want)
		}
	}
	ask(1, "a")
	ask(0, "a")
	now = now.Add(11 * time.Second)
	ask(1, "a") // too old
	ask(1, "b")
	ask(1, "a") // there is room for one
}

func TestLookupProblems(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*pipelinev1.RedisLookup)
		want   string
	}{
		"a command that writes": {func(x *pipelinev1.RedisLookup) { x.Cmd = "ZPOPMIN" }, "ZPOPMIN is no command that only reads"},
		"nearly a command":      {func(x *pipelinev1.RedisLookup) { x.Cmd = "HGETAL" }, "HGETAL is no command"},
		"no arguments":          {func(x *pipelinev1.RedisLookup) { x.Args = nil }, "HGET has no arguments"},
		"an argument":           {func(x *pipelinev1.RedisLookup) { x.Args[0] = inJMES("concat(") }, "transform[0].with.args[0]"},
		"a cache of chance": {func(x *pipelinev1.RedisLookup) {
			x.Args[0], x.Cache = inJMES("uuid()"), &pipelinev1.Cache{MaxSize: 1, TtlSeconds: 1}
		}, "another result each time"},
	} {
		found := finding.NewList("j")
		Compile(depot(c.change), found)
		if text := fmt.Sprint(found.Problems()); !strings.Contains(text, c.want) {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// TestCachedExpressions: a cache changes nothing but the work.
func TestCachedExpressions(t *testing.T) {
	cache := &pipelinev1.Cache{MaxSize: 2, TtlSeconds: 60}
	make := func(c *pipelinev1.Cache) *pipelinev1.Job {
		return &pipelinev1.Job{Name: "j", Transform: []*pipelinev1.Block{
			{Block: &pipelinev1.Block_Filter{Filter: &pipelinev1.Filter{Expression: inJMES("a != `3`"), Cache: c}}},
			{Block: &pipelinev1.Block_AddField{AddField: &pipelinev1.AddField{Fields: []*pipelinev1.FieldExpression{
				{Field: "b.c", Expression: inJMES("[after.a, d]"), Cache: c},
				{Field: "e", Expression: &pipelinev1.Expression{Language: pipelinev1.Language_LANGUAGE_SQL, Text: "`b.c` || d"}, Cache: c},
			}}}},
			{Block: &pipelinev1.Block_Map{Map: &pipelinev1.Map{
				Language: pipelinev1.Language_LANGUAGE_JMESPATH, Cache: c,
				Members: []*pipelinev1.MapMember{{Name: "a", Expression: "a"}, {Name: "list", Expression: "b.c"}, {Name: "e", Expression: "e"}},
			}}},
		}}
	}
	var records []string
	for i := range 20 {
		records = append(records, fmt.Sprintf(`{"a":%d,"d":"%d"}`, i%4, i%3), fmt.Sprintf(`{"a":%d}`, i%4), fmt.Sprintf(`{"a":%d,"d":null}`, i%4))
	}
	var plain, cached expression.Runner
	defer func() { _, _ = plain.Close(), cached.Close() }()
	want := together(t, compiled(t, make(nil)), &plain, nil, records...)
	got := together(t, compiled(t, make(cache)), &cached, nil, records...)
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s gave %s, and without caches %s", records[i], got[i], want[i])
		}
	}
}
