package engine

import (
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// quiet is an error as it may stand in logs, traces and status. What a target says about rows often quotes their values: in a
// pipeline that does not keep these in clear in its dead letters, class and code are told, and the text is left to them.
func (l *lane) quiet(err error) *fault.Error {
	f := fault.Of(err)
	switch l.open.GetSettings().GetDlqPayload() {
	case pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_UNSPECIFIED, pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_KEEP:
		return f
	}
	switch f.Class {
	case flowv1.FaultClass_FAULT_CLASS_REFERENCE:
		return fault.Errorf(f.Class, "a row refers to another that is not there, or clashes with one that is (code %s)", f.Code).WithCode(f.Code)
	case flowv1.FaultClass_FAULT_CLASS_DATA:
		return fault.Errorf(f.Class, "a value does not fit (code %s)", f.Code).WithCode(f.Code)
	}
	return f
}
