package server

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/proto/fault"
	"slipstream/transformer/block"
)

// shelf is a Redis that is away for the first questions.
type shelf struct {
	away   atomic.Int32
	closed atomic.Int32
}

func (s *shelf) Look(_ context.Context, connection string, commands [][]string, _ int) ([]block.Reply, error) {
	if s.away.Add(-1) >= 0 {
		return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONNECTION, "connection %s: refused", connection)
	}
	replies := make([]block.Reply, len(commands))
	for i, c := range commands {
		replies[i] = block.Reply{Value: "at " + c[1]}
	}
	return replies, nil
}

func (s *shelf) Close() error { s.closed.Add(1); return nil }

// looking is a lane whose job looks up where a pump is.
func looking() *flowv1.Open {
	open := openFrame()
	open.Lookups = []*pipelinev1.Connection{{Name: "depots", Type: "redis"}}
	open.GetJob().Transform = []*pipelinev1.Block{{Path: "transform[0]", Block: &pipelinev1.Block_RedisLookup{RedisLookup: &pipelinev1.RedisLookup{
		Connection: "depots", Cmd: "GET", Field: "site",
		Args: []*pipelinev1.Expression{{Language: pipelinev1.Language_LANGUAGE_JMESPATH, Text: "serial"}},
	}}}}
	return open
}

// TestLookups: what a lane reads is waited for, and closed with the lane (spec 4.8, G6).
func TestLookups(t *testing.T) {
	batches := make(chan *applierv1.RowBatch, 4)
	x := start(t, settling(batches))
	s := &shelf{}
	s.away.Store(2)
	var asked []*pipelinev1.Connection
	x.lookups = func(connections []*pipelinev1.Connection) (Lookups, error) {
		asked = connections
		return s, nil
	}
	c, err := x.open(t, looking())
	if err != nil {
		t.Fatal(err)
	}
	if len(asked) != 1 || !proto.Equal(asked[0], looking().GetLookups()[0]) {
		t.Errorf("opened %v", asked)
	}
	if err := c.Send(t.Context(), batchOf(1, pump(updated, "1", "north", ""), pump(updated, "22", "south", ""))); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if w := hear(t, c.waiting).GetFault(); w.GetStage() != Stage || w.GetClass() != flowv1.FaultClass_FAULT_CLASS_CONNECTION {
			t.Errorf("waiting for %v", w)
		}
	}
	if w := hear(t, c.waiting); w.GetFault() != nil {
		t.Errorf("still waiting: %v", w)
	}
	if got := string(hear(t, batches).GetTables()[0].GetColumns()[1].GetText()); got != "at 1at 22" {
		t.Errorf("sites %q", got)
	}
	if err := c.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	if err := hear(t, x.applier.ended); err != nil || s.closed.Load() != 1 {
		t.Errorf("ended with %v, closed %d times", err, s.closed.Load())
	}
}

func TestLookupsOfPreviews(t *testing.T) {
	x := start(t, settling(nil))
	s := &shelf{}
	x.lookups = func([]*pipelinev1.Connection) (Lookups, error) { return s, nil }
	request := &transformerv1.PreviewRequest{Job: looking().GetJob(), Batch: batchOf(1, pump(updated, "1", "north", ""))}
	res, err := x.client.Preview(t.Context(), request)
	if err != nil || string(res.GetChanges()[0].GetBlocks()[0].GetRecord()) != `{"label":"","serial":"1","site":"at 1"}` || s.closed.Load() != 1 {
		t.Errorf("%v, %v", res, err)
	}
	s.away.Store(1)
	if _, err := x.client.Preview(t.Context(), request); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_CONNECTION {
		t.Errorf("away: %v", err)
	}
	x.lookups = func([]*pipelinev1.Connection) (Lookups, error) { return nil, errors.New("no secret of that name") }
	if _, err := x.client.Preview(t.Context(), request); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_PERMISSION {
		t.Errorf("cannot be opened: %v", err)
	}
	if _, err := x.open(t, looking()); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_PERMISSION {
		t.Errorf("a lane that cannot open it: %v", err)
	}
}
