package lane

import (
	"errors"
	"strings"

	"slipstream/capture/resp"
	"slipstream/capture/stream"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// stage is where faults happen that no other stage has named.
const stage = "capture"

// faultOf classes an error of Redis or of the hop. What another stage classed keeps its class.
func faultOf(err error) *fault.Error {
	var gone *stream.Discontinuity
	if errors.As(err, &gone) {
		return fault.New(flowv1.FaultClass_FAULT_CLASS_CONNECTION, err).WithStage(stage)
	}
	if class, ok := classOf(refusal(err)); ok {
		return fault.New(class, err).WithStage(stage)
	}
	f := fault.Of(err)
	if f.Class == flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED {
		f = fault.New(flowv1.FaultClass_FAULT_CLASS_CONNECTION, err)
	}
	if f.Stage == "" {
		f = f.WithStage(stage)
	}
	return f
}

// refusal is the code by which a Redis refused a command; empty when err is something else.
func refusal(err error) string {
	if code := resp.Refused(err); code != "" {
		return code
	}
	var r interface {
		error
		RedisError()
	}
	if errors.As(err, &r) {
		code, _, _ := strings.Cut(r.Error(), " ")
		return code
	}
	return ""
}

func classOf(code string) (flowv1.FaultClass, bool) {
	switch code {
	case "":
		return 0, false
	case "NOAUTH", "WRONGPASS", "NOPERM":
		return flowv1.FaultClass_FAULT_CLASS_PERMISSION, true
	case "OOM", "MISCONF", "READONLY", "NOREPLICAS":
		return flowv1.FaultClass_FAULT_CLASS_CAPACITY, true
	case "WRONGTYPE":
		return flowv1.FaultClass_FAULT_CLASS_SCHEMA, true
	}
	return flowv1.FaultClass_FAULT_CLASS_CONNECTION, true
}
