package engine

import (
	"errors"
	"strings"
	"testing"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// TestQuiet: where dead letters do not keep payloads in clear, what a target says of rows goes nowhere else; what it says
// of itself does, since an operator needs it (G6).
func TestQuiet(t *testing.T) {
	said := errors.New(`Key (dept)=(MARKER) is not present`)
	for _, c := range []struct {
		payload pipelinev1.DeadLetterPayload
		class   flowv1.FaultClass
		told    bool
	}{
		{pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_UNSPECIFIED, flowv1.FaultClass_FAULT_CLASS_REFERENCE, true},
		{pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_KEEP, flowv1.FaultClass_FAULT_CLASS_DATA, true},
		{pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_OMIT, flowv1.FaultClass_FAULT_CLASS_REFERENCE, false},
		{pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_ENCRYPT, flowv1.FaultClass_FAULT_CLASS_DATA, false},
		{pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_ENCRYPT, flowv1.FaultClass_FAULT_CLASS_CAPACITY, true},
		{9, flowv1.FaultClass_FAULT_CLASS_DATA, false}, // of a newer version
	} {
		l := &lane{open: &flowv1.Open{Settings: &pipelinev1.Settings{DlqPayload: c.payload}}}
		f := l.quiet(fault.New(c.class, said).WithCode("23503"))
		if got := strings.Contains(f.Error(), "MARKER"); got != c.told || f.Class != c.class || f.Code != "23503" {
			t.Errorf("%s, %s: %v (code %s)", c.payload, c.class, f, f.Code)
		}
		if !c.told && !strings.Contains(f.Error(), "23503") {
			t.Errorf("the code is not told: %v", f)
		}
	}
}
