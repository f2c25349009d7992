package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"slipstream/capture/engine"
	"slipstream/capture/follow"
	"slipstream/capture/server"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// administered answers the calls of an operator; err is the answer to all of them where it is set.
type administered struct {
	server.Engine
	board follow.Board
	err   error
}

func (a *administered) DeadLetterStreams(_ context.Context, pipeline string) ([]*capturev1.DeadLetterStream, error) {
	return []*capturev1.DeadLetterStream{{Name: "dlq of " + pipeline}}, a.err
}

func (a *administered) Resync(_ context.Context, r *capturev1.ResyncRequest) ([]*capturev1.RequestedSweep, error) {
	return []*capturev1.RequestedSweep{{Job: r.Jobs[0], Id: "resync"}}, a.err
}

func (a *administered) Reset(_ context.Context, r *capturev1.ResetRequest) ([]*capturev1.RequestedSweep, error) {
	return []*capturev1.RequestedSweep{{Job: r.Jobs[0], Id: "reset"}}, a.err
}

func (a *administered) Configure(_ context.Context, r *capturev1.ConfigureRequest) ([]*capturev1.Finding, error) {
	return []*capturev1.Finding{{Subject: fmt.Sprint(r.DryRun)}}, a.err
}

func (a *administered) Follow(r *capturev1.TraceRequest) (*follow.Follower, error) {
	if a.err != nil {
		return nil, a.err
	}
	return a.board.Follow(follow.Request{Pipeline: r.Pipeline, Most: int(r.MaxRecords)}), nil
}

func (a *administered) Instance() string { return "one" }

func TestAdministration(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want codes.Code
	}{
		{nil, codes.OK},
		{fmt.Errorf("job: %w", engine.ErrUnknownJob), codes.NotFound},
		{fmt.Errorf("%w: no source", engine.ErrRequest), codes.InvalidArgument},
		{errors.New("connection refused"), codes.Unavailable},
	} {
		t.Run(tt.want.String(), func(t *testing.T) {
			c := dial(t, &administered{err: tt.err})
			ctx := t.Context()
			check := func(call string, got, want string, err error) {
				t.Helper()
				if status.Code(err) != tt.want || err == nil && got != want {
					t.Errorf("%s: %q, %v", call, got, err)
				}
			}
			dead, err := c.ListDeadLetterStreams(ctx, &capturev1.ListDeadLetterStreamsRequest{Pipeline: "p"})
			check("ListDeadLetterStreams", name(dead.GetStreams()), "dlq of p", err)
			resync, err := c.Resync(ctx, &capturev1.ResyncRequest{Jobs: []string{"j"}})
			check("Resync", fmt.Sprint(resync.GetSweeps()), fmt.Sprint([]*capturev1.RequestedSweep{{Job: "j", Id: "resync"}}), err)
			reset, err := c.Reset(ctx, &capturev1.ResetRequest{Jobs: []string{"j"}})
			check("Reset", fmt.Sprint(reset.GetSweeps()), fmt.Sprint([]*capturev1.RequestedSweep{{Job: "j", Id: "reset"}}), err)
			found, err := c.Configure(ctx, &capturev1.ConfigureRequest{Pipeline: &pipelinev1.Pipeline{}, DryRun: true})
			check("Configure", fmt.Sprint(found.GetFindings()), fmt.Sprint([]*capturev1.Finding{{Subject: "true"}}), err)
			trace, err := c.Trace(ctx, &capturev1.TraceRequest{MaxRecords: 1})
			if err == nil && tt.err != nil {
				_, err = trace.Recv()
			}
			check("Trace", "", "", err)
		})
	}
	if _, err := dial(t, &administered{}).Configure(t.Context(), &capturev1.ConfigureRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("Configure of nothing: %v", err)
	}
}

func name(streams []*capturev1.DeadLetterStream) string {
	if len(streams) != 1 {
		return ""
	}
	return streams[0].Name
}

// TestTrace: the first answer says that changes are followed; the stream ends by itself when enough were, and nobody is
// followed for once the caller has left.
func TestTrace(t *testing.T) {
	a := &administered{}
	c := dial(t, a)
	trace, err := c.Trace(t.Context(), &capturev1.TraceRequest{Pipeline: "p", MaxRecords: 1})
	if err != nil {
		t.Fatal(err)
	}
	ready, err := trace.Recv()
	if err != nil || ready.GetReady().GetInstance() != "one" {
		t.Fatalf("first: %v, %v", ready, err)
	}
	lane := a.board.Lane(&flowv1.Lane{Pipeline: "p", Job: "j"}, "stream")
	lane.Sent(&changev1.Batch{Sequence: 1, Changes: []*changev1.Change{{Key: []byte("k")}}}, nil, time.UnixMilli(5))
	lane.Settled(&flowv1.Settled{Sequence: 1}, time.UnixMilli(9))
	change, err := trace.Recv()
	if err != nil || string(change.GetChange().GetBatch().GetChanges()[0].GetKey()) != "k" || change.GetChange().GetReadMs() != 5 {
		t.Errorf("change: %v, %v", change, err)
	}
	outcome, err := trace.Recv()
	if err != nil || !outcome.GetOutcome().GetSettled() || outcome.GetOutcome().GetAtMs() != 9 {
		t.Errorf("outcome: %v, %v", outcome, err)
	}
	if _, err := trace.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("end: %v", err)
	}
}
