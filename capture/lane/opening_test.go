package lane

import (
	"testing"

	"slipstream/capture/stream"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Where a lane starts (design D4): one line for each way in which target and stream can agree or not.
func TestDecide(t *testing.T) {
	header := stream.Header{
		Exists: true, Incarnation: "now", Since: stream.ID{Ms: 10}, TrimmedTo: stream.ID{Ms: 20}, Last: stream.ID{Ms: 90},
		SideTrimmedTo: stream.ID{Ms: 5}, SideLast: stream.ID{Ms: 50},
	}
	fresh := header.Start()
	at := func(main, side uint64) *changev1.Position {
		return &changev1.Position{Main: &changev1.StreamId{Ms: main}, Side: &changev1.StreamId{Ms: side}}
	}
	known := func(incarnation, phase string) *changev1.LaneState {
		return &changev1.LaneState{Incarnation: incarnation, Phase: phase}
	}
	const (
		none    = pipelinev1.InitialLoad_INITIAL_LOAD_NONE
		always  = pipelinev1.InitialLoad_INITIAL_LOAD_ALWAYS
		ifEmpty = pipelinev1.InitialLoad_INITIAL_LOAD_IF_EMPTY
	)
	tests := []struct {
		name   string
		opened *flowv1.Opened
		load   pipelinev1.InitialLoad
		at     stream.Position
		gap    string
		sweeps bool
		adopt  bool
		phase  string
	}{
		{"new row", &flowv1.Opened{}, none, fresh, "", false, true, "live"},
		{"new row, load always", &flowv1.Opened{}, always, fresh, "", true, true, "live"},
		{"new row, load if empty", &flowv1.Opened{Empty: true}, ifEmpty, fresh, "", true, true, "live"},
		{"new row, load if empty, and it is not", &flowv1.Opened{}, ifEmpty, fresh, "", false, true, "live"},
		{
			"continues", &flowv1.Opened{Position: at(30, 20), State: known("now", "live")}, always,
			stream.Position{Main: stream.ID{Ms: 30}, Side: stream.ID{Ms: 20}},
			"", false, false, "live",
		},
		{
			"continues a load after a crash", &flowv1.Opened{Position: at(30, 20), State: known("now", "loading:x")}, always,
			stream.Position{Main: stream.ID{Ms: 30}, Side: stream.ID{Ms: 20}},
			"", false, false, "loading:x",
		},
		{"at both borders", &flowv1.Opened{Position: at(20, 5), State: known("now", "live")}, none, stream.Position{Main: stream.ID{Ms: 20}, Side: stream.ID{Ms: 5}}, "", false, false, "live"},
		{"at the end", &flowv1.Opened{Position: at(90, 50), State: known("now", "live")}, none, stream.Position{Main: stream.ID{Ms: 90}, Side: stream.ID{Ms: 50}}, "", false, false, "live"},
		{"other incarnation", &flowv1.Opened{Position: at(30, 20), State: known("old", "live")}, always, fresh, "incarnation", false, true, "live"},
		{"entries trimmed", &flowv1.Opened{Position: at(19, 20), State: known("now", "live")}, none, fresh, "trimmed", false, true, "live"},
		{"side entries trimmed", &flowv1.Opened{Position: at(30, 4), State: known("now", "live")}, none, fresh, "trimmed", false, true, "live"},
		{"beyond the end", &flowv1.Opened{Position: at(91, 20), State: known("now", "live")}, none, fresh, "position", false, true, "live"},
		{"a position without a state", &flowv1.Opened{Position: at(30, 20)}, none, fresh, "incarnation", false, true, "live"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := decide(tt.opened, header, tt.load)
			cause := ""
			if o.gap != nil {
				cause = *o.gap
				if o.detail == "" {
					t.Error("a gap without words")
				}
			}
			if o.at != tt.at || cause != tt.gap || o.load != tt.sweeps || o.adopt != tt.adopt || o.phase != tt.phase {
				t.Errorf("got %+v (gap %q)", o, cause)
			}
		})
	}
}
