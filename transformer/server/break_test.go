package server

import (
	"errors"
	"strings"
	"testing"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/proto/fault"
	"slipstream/proto/flow"
)

// TestOpenFails: why a lane does not open, in classes capture acts on (G6, design D9).
func TestOpenFails(t *testing.T) {
	refusing := func(err error) script {
		return func(*flow.Receiver[*applierv1.RowBatch], *flowv1.Open) error { return err }
	}
	broken := func(open *flowv1.Open) {
		open.Job.Transform[0].GetFilter().Expression.Text = "upperr(site)"
		open.Job.Outputs[0].GetRelational().Table = ""
	}
	tests := []struct {
		name    string
		script  script
		change  func(*flowv1.Open)
		class   flowv1.FaultClass
		message string
		fix     bool
	}{
		{"job does not compile", nil, broken, flowv1.FaultClass_FAULT_CLASS_SCHEMA, "job pumps does not compile: transform[0].with.expression:", true},
		{"no output to the connection", nil, func(o *flowv1.Open) { o.Connection.Name = "other" }, flowv1.FaultClass_FAULT_CLASS_SCHEMA, `"other"`, true},
		{"no applier of the type", nil, func(o *flowv1.Open) { o.Connection.Type = "db2" }, flowv1.FaultClass_FAULT_CLASS_CONNECTION, `finding the applier for "db2"`, false},
		{"applier refuses", refusing(fault.Errorf(flowv1.FaultClass_FAULT_CLASS_PERMISSION, "no grant").WithFix("GRANT").WithStage("applier-postgres")), nil, flowv1.FaultClass_FAULT_CLASS_PERMISSION, "no grant", true},
		{"applier breaks", refusing(errors.New("broken")), nil, flowv1.FaultClass_FAULT_CLASS_CONNECTION, "broken", false},
		{"applier ends", refusing(nil), nil, flowv1.FaultClass_FAULT_CLASS_CONNECTION, "closed the lane", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			open := openFrame()
			if test.change != nil {
				test.change(open)
			}
			_, err := start(t, test.script).open(t, open)
			f := fault.Of(err)
			if f == nil || f.Class != test.class || !strings.Contains(f.Error(), test.message) || (f.Fix != "") != test.fix || f.Stage == "" {
				t.Errorf("opening: %v, %+v", err, f)
			}
		})
	}
}

// TestApplierBreaks: a lane under way ends with the applier's class, or as a broken connection, and capture is told.
func TestApplierBreaks(t *testing.T) {
	for _, class := range []flowv1.FaultClass{flowv1.FaultClass_FAULT_CLASS_FENCED, flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED} {
		t.Run(fault.ClassName(class), func(t *testing.T) {
			x := start(t, func(r *flow.Receiver[*applierv1.RowBatch], _ *flowv1.Open) error {
				if err := r.Opened(&flowv1.Opened{Epoch: 1}); err != nil {
					return err
				}
				if _, err := r.Next(); err != nil {
					return err
				}
				return fault.Errorf(class, "epoch 2 took over")
			})
			c, err := x.open(t, openFrame())
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Send(t.Context(), batchOf(1, pump(updated, "1", "a", "{}"))); err != nil {
				t.Fatal(err)
			}
			hear(t, c.Done())
			want := class
			if want == flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED {
				want = flowv1.FaultClass_FAULT_CLASS_CONNECTION
			}
			if f := fault.Of(c.Err()); f.Class != want || !strings.Contains(f.Error(), "epoch 2 took over") {
				t.Errorf("ended with %v, %v", f.Class, f)
			}
		})
	}
}

// TestCaptureBreaks: when capture goes, the applier's stream ends too, and nothing is left behind.
func TestCaptureBreaks(t *testing.T) {
	x := start(t, settling(nil))
	c, err := x.open(t, openFrame())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(t.Context(), batchOf(1, pump(updated, "1", "a", "{}"))); err != nil {
		t.Fatal(err)
	}
	hear(t, c.settled)
	c.cancel()
	if err := hear(t, x.applier.ended); err == nil {
		t.Error("the applier was told of a good end")
	}
	hear(t, c.Done())
}

// TestWrongOrder: a batch out of order breaks the lane (G4).
func TestWrongOrder(t *testing.T) {
	x := start(t, settling(nil))
	stream, err := x.client.Transform(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	send := func(m *transformerv1.TransformRequest) {
		t.Helper()
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	send(&transformerv1.TransformRequest{Frame: &transformerv1.TransformRequest_Open{Open: openFrame()}})
	if m, err := stream.Recv(); err != nil || m.GetOpened() == nil {
		t.Fatalf("received %v, %v", m, err)
	}
	send(&transformerv1.TransformRequest{Frame: &transformerv1.TransformRequest_Batch{Batch: batchOf(2)}})
	if m, err := stream.Recv(); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_CONNECTION || !strings.Contains(err.Error(), "batch 2 follows batch 0") {
		t.Errorf("received %v, %v", m, err)
	}
	hear(t, x.applier.ended)
}
