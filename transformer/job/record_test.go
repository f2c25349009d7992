package job

import (
	"slices"
	"strings"
	"testing"

	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/transformer/finding"
)

// TestMalformed: a change that is not what the contract says costs itself, never the process (G5).
func TestMalformed(t *testing.T) {
	hash := func(change func(*changev1.Change)) *changev1.Change {
		c := &changev1.Change{Key: []byte("p:1"), Op: changev1.Op_OP_UPDATE, Type: changev1.ValueType_VALUE_TYPE_HASH, Values: []byte("ab"), Ends: []uint32{1, 2}}
		change(c)
		return c
	}
	tests := []struct {
		name   string
		change *changev1.Change
		reason string
	}{
		{"no such shape", hash(func(c *changev1.Change) { c.Shape = 9 }), "shape 9 of 1"},
		{"too few values", hash(func(c *changev1.Change) { c.Ends = c.Ends[:1] }), "1 values for 2 fields"},
		{"beyond the text", hash(func(c *changev1.Change) { c.Ends[1] = 3 }), "ends outside"},
		{"falling", hash(func(c *changev1.Change) { c.Ends[0], c.Ends[1] = 2, 1 }), "ends outside"},
		{"no value", hash(func(c *changev1.Change) { c.Type = 0 }), "no value"},
		{"no operation", hash(func(c *changev1.Change) { c.Op = 0 }), "unknown opcode ''"},
		{"bad image", hash(func(c *changev1.Change) { c.Before = []byte("{") }), "before the change"},
		{"bad document", &changev1.Change{Op: changev1.Op_OP_READ, Type: changev1.ValueType_VALUE_TYPE_JSON, Document: []byte{0xff}}, "reading the document"},
	}
	f := jobFile{Write: map[string]any{"keys": []any{"a"}, "mapping": []any{"b"}}}
	p, problems := Compile(f.compile(), "pg")
	if p == nil {
		t.Fatal(problems)
	}
	l := NewLane(p)
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := &changev1.Batch{Shapes: []*changev1.Shape{{Fields: [][]byte{[]byte("a"), []byte("b")}}}}
			b.Changes = []*changev1.Change{hash(func(*changev1.Change) {}), test.change, hash(func(*changev1.Change) {})}
			r := l.Run(b)
			if rows := rowsOf(p, r.Rows); len(rows) != 2 {
				t.Errorf("neighbours gave %q", rows)
			}
			if len(r.Rejects) != 1 || r.Rejects[0].Change != 1 || !strings.Contains(r.Rejects[0].Reason, test.reason) ||
				r.Rejects[0].ErrorClass != "validation" || len(r.Rejects[0].Record) == 0 {
				t.Errorf("rejects %v", r.Rejects)
			}
			r.Release()
		})
	}
}

func TestSourceID(t *testing.T) {
	c := &changev1.Change{Id: &changev1.StreamId{Ms: 17, Seq: 3}}
	if got := sourceID(c); got != "17-3" {
		t.Errorf("%q", got)
	}
	c.Side = true
	if got := sourceID(c); got != "17-3r" {
		t.Errorf("%q", got)
	}
	if got := sourceID(&changev1.Change{}); got != "0-0" {
		t.Errorf("%q", got)
	}
}

// TestDrawsAreStable: two keys, two fields and two elements draw apart; a retry draws the same (design D5).
func TestDrawsAreStable(t *testing.T) {
	f := jobFile{
		Transform: []usesWith{
			{"add_field", map[string]any{"fields": []any{
				map[string]any{"field": "a", "language": "jmespath", "expression": "uuid()"},
				map[string]any{"field": "b", "language": "sql", "expression": "hex(randomblob(16))"},
			}}},
		},
		Write: map[string]any{
			"foreach_sync": false, "foreach": "e: `[1,2]`", "keys": []any{"serial", map[string]any{"e": "e"}},
			"mapping": []any{"a", "b", map[string]any{"c": map[string]any{"language": "jmespath", "expression": "uuid()"}}},
		},
	}
	p, problems := Compile(f.compile(), "pg")
	if p == nil {
		t.Fatal(problems)
	}
	b, err := batchOf([]string{`u p:1 {"serial":"1"}`, `u p:2 {"serial":"2"}`})
	if err != nil {
		t.Fatal(err)
	}
	b.Changes[1].Id = b.Changes[0].Id // as in two partitions
	var attempts [2][]string
	for i := range attempts {
		l := NewLane(p)
		r := l.Run(b)
		attempts[i] = rowsOf(p, r.Rows)
		drawn := map[string]bool{}
		for _, c := range r.Rows.Tables[0].Columns[2:] {
			for n := range c.Ends {
				value, _ := cellValue(c, n)
				drawn[value.(string)] = true
			}
		}
		if len(drawn) != 2+2+4 {
			t.Errorf("%d different draws in %q", len(drawn), attempts[i])
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(attempts[0], attempts[1]) {
		t.Errorf("attempts differ: %q", attempts)
	}
}

func TestKeyFields(t *testing.T) {
	tests := []struct {
		name, delimiter, expression string
		part                        uint32
		key                         string
		want                        []byte
	}{
		{"token", "", "", 1, "a:b:c", []byte("b")},
		{"last token", "", "", 2, "a:b:c", []byte("c")},
		{"no such token", "", "", 3, "a:b:c", nil},
		{"empty token", "", "", 1, "a::c", []byte{}},
		{"empty key", "", "", 0, "", []byte{}},
		{"delimiter", "--", "", 1, "a--b-c", []byte("b-c")},
		{"group", "", `(\d+)$`, 1, "a:17", []byte("17")},
		{"whole match", "", `\d+`, 0, "a:17", []byte("17")},
		{"no match", "", `(\d+)$`, 1, "a", nil},
		{"group without part", "", `a(b)?`, 1, "a", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			found := finding.NewList("j")
			k := compileKeys(&pipelinev1.KeyFields{Delimiter: test.delimiter, Expression: test.expression, Fields: map[string]uint32{"x": test.part}}, found)
			got := k.cut(nil, []byte(test.key))
			if found.Failed() || len(got) != 1 || string(got[0]) != string(test.want) || (got[0] == nil) != (test.want == nil) {
				t.Errorf("%q, problems %v", got, found.Problems())
			}
		})
	}
}

func TestCheck(t *testing.T) {
	if problems, _ := Check(&pipelinev1.Job{Name: "j"}); len(problems) != 1 || problems[0].Path != "output" {
		t.Errorf("a job without outputs: %v", problems)
	}
	f := jobFile{Output: []usesWith{
		{writerName, map[string]any{"keys": []any{map[string]any{"id": map[string]any{"value": 1}}}}},
		{writerName, map[string]any{"connection": "other", "table": "", "keys": []any{map[string]any{"id": map[string]any{"value": 1}}}}},
	}}
	if problems, _ := Check(f.compile()); len(problems) != 1 || problems[0].Path != "output[1].with.table" {
		t.Errorf("outputs of all connections are checked: %v", problems)
	}
}

// TestMergeKeepsToItsBatch: a reject for a change or output that is not there breaks nothing.
func TestMergeKeepsToItsBatch(t *testing.T) {
	f := jobFile{Write: map[string]any{"keys": []any{"serial"}}}
	p, problems := Compile(f.compile(), "pg")
	if p == nil {
		t.Fatal(problems)
	}
	b, err := batchOf([]string{`u p:1 {"serial":"1"}`})
	if err != nil {
		t.Fatal(err)
	}
	l := NewLane(p)
	r := l.Run(b)
	got := r.Merge([]*flowv1.Reject{{Change: 7}, {Change: 0, Output: 5, Reason: "odd"}, {Change: 0, Reason: "real", Opcode: "u"}})
	if len(got) != 2 || got[0].Writer != "" || string(got[0].Key) != "p:1" || got[1].Writer != writerName || got[1].Table != "t" ||
		string(got[1].Transformed) != `{"serial":"1"}` {
		t.Errorf("merged %v", got)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
