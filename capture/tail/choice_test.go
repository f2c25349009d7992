package tail

import (
	"testing"

	"slipstream/capture/stream"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// TestChoice: of a stream that an application writes, a job takes what its pattern matches and its exclusions leave
// (spec 1.4, 3.5); of a recorded stream it takes all.
func TestChoice(t *testing.T) {
	source := &pipelinev1.Source{Stream: "app:outbox", KeyPattern: "emp:*", ExcludeCommands: []string{"hdel"}}
	for _, tc := range []struct {
		key, command string
		want         bool
	}{
		{"emp:1", "hset", true},
		{"emp:1", "", true},
		{"emp:1", "hdel", false},
		{"emp:1", "HDEL", false},
		{"dept:1", "hset", false},
	} {
		if got := choiceOf(source).takes(&stream.Entry{Key: []byte(tc.key), Command: tc.command}); got != tc.want {
			t.Errorf("%s of %s: %v", tc.command, tc.key, got)
		}
	}
	source.KeyPattern = "*"
	if choiceOf(source).takes(&stream.Entry{Key: []byte("slipstream:{p}:pipeline")}) {
		t.Error("our own key was taken")
	}
	source.Stream = ""
	if c := choiceOf(source); c != nil || !c.takes(&stream.Entry{Key: []byte("anything"), Command: "hdel"}) {
		t.Error("the job chose among entries that the recorder had chosen")
	}
	var f fold
	f.gather([]stream.Entry{{Key: []byte("dept:1")}, {Key: []byte("emp:1")}}, &policy{choice: &choice{pattern: []byte("emp:*")}})
	if len(f.runs) != 1 || string(f.runs[0].key) != "emp:1" {
		t.Errorf("folded to %d runs", len(f.runs))
	}
}
