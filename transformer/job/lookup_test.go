package job

import (
	"context"
	"strings"
	"testing"

	flowv1 "slipstream/proto/slipstream/flow/v1"

	"github.com/goccy/go-yaml"

	"slipstream/transformer/block"
)

type echo struct{ asked int }

func (e *echo) Look(_ context.Context, _ string, commands [][]string, _ int) ([]block.Reply, error) {
	e.asked += len(commands)
	replies := make([]block.Reply, len(commands))
	for i, c := range commands {
		replies[i].Value = strings.Join(c[1:], "+")
	}
	return replies, nil
}

// TestLookedUp: what was read for a record is on its row and in its dead letter, and is read once (spec 4.8, 9.4).
func TestLookedUp(t *testing.T) {
	var f jobFile
	err := yaml.UnmarshalWithOptions([]byte(`
keys: {fields: {id: 1}}
transform: [{uses: redis.lookup, with: {connection: d, cmd: GET, args: [id], language: jmespath, field: found}}]
write: {keys: [id], mapping: [found]}`), &f, yaml.Strict())
	if err != nil {
		t.Fatal(err)
	}
	program, problems := Compile(f.compile(), "pg")
	if program == nil || !program.Looks() {
		t.Fatal(problems)
	}
	l := NewLane(program)
	defer func() { _ = l.Close() }()
	e := &echo{}
	for range 2 { // results are used again
		b, err := batchOf([]string{`u p:1 {"x":"1"}`, `u p:2 {"x":"1"}`, `d p:3`, `u p:4 json [`})
		if err != nil {
			t.Fatal(err)
		}
		e.asked = 0
		if err := l.Look(t.Context(), b, e); err != nil {
			t.Fatal(err)
		}
		r := l.Run(b)
		if got := strings.Join(rowsOf(program, r.Rows), " "); got != `upsert {"found":"1","id":"1"} upsert {"found":"2","id":"2"} delete {"id":"3"}` {
			t.Errorf("rows %s", got)
		}
		rejects := r.Merge([]*flowv1.Reject{{Change: 1, Output: 0, Reason: "no"}})
		if len(rejects) != 2 || rejects[0].GetChange() != 3 || string(rejects[1].GetTransformed()) != `{"found":"2","id":"2","x":"1"}` || e.asked != 3 {
			t.Errorf("asked %d, rejects %v", e.asked, rejects)
		}
		r.Release()
	}
}
