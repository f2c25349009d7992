package fault_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// TestWire sends each class over a status and finds it again (design D9).
func TestWire(t *testing.T) {
	for n, name := range flowv1.FaultClass_name {
		t.Run(name, func(t *testing.T) {
			in := fault.Errorf(flowv1.FaultClass(n), "table %q is missing", "emp").WithCode("42P01").WithFix("create it").WithStage("applier-postgres")
			wrapped := fmt.Errorf("applying batch 7: %w", in)
			out := fault.Of(status.Convert(wrapped).Err())
			if out.Class != in.Class || out.Code != "42P01" || out.Fix != "create it" || out.Stage != "applier-postgres" {
				t.Errorf("came back as %+v", out)
			}
			if got := fault.Class(wrapped); got != in.Class {
				t.Errorf("class of wrapped error is %v", got)
			}
			if fault.ClassName(in.Class) == "" {
				t.Error("class has no name")
			}
		})
	}
}

// TestOf classes errors that were not made here.
func TestOf(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want flowv1.FaultClass
	}{
		"unavailable":       {status.Error(codes.Unavailable, "gone"), flowv1.FaultClass_FAULT_CLASS_CONNECTION},
		"context deadline":  {context.DeadlineExceeded, flowv1.FaultClass_FAULT_CLASS_CONNECTION},
		"wrapped deadline":  {fmt.Errorf("reading: %w", context.DeadlineExceeded), flowv1.FaultClass_FAULT_CLASS_CONNECTION},
		"message too large": {status.Error(codes.ResourceExhausted, "too large"), flowv1.FaultClass_FAULT_CLASS_CAPACITY},
		"unauthenticated":   {status.Error(codes.Unauthenticated, "who"), flowv1.FaultClass_FAULT_CLASS_PERMISSION},
		"anything":          {errors.New("boom"), flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fault.Class(tc.err); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
			if !errors.Is(fault.Of(tc.err), tc.err) {
				t.Error("the cause is lost")
			}
		})
	}
	if fault.Of(nil) != nil || fault.Proto(nil) != nil || fault.FromProto(nil) != nil || fault.New(flowv1.FaultClass_FAULT_CLASS_DATA, nil) != nil {
		t.Error("nil did not stay nil")
	}
}

// TestWaits: only data, reference and a lost fence do not wait (G6).
func TestWaits(t *testing.T) {
	for n := range flowv1.FaultClass_name {
		c := flowv1.FaultClass(n)
		want := c != flowv1.FaultClass_FAULT_CLASS_DATA && c != flowv1.FaultClass_FAULT_CLASS_REFERENCE && c != flowv1.FaultClass_FAULT_CLASS_FENCED
		if fault.Waits(c) != want {
			t.Errorf("Waits(%v) = %v", c, !want)
		}
	}
}

func TestSleep(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := fault.Sleep(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := fault.Sleep(t.Context(), time.Nanosecond); err != nil {
		t.Errorf("got %v", err)
	}
}
