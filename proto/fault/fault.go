// Package fault classes errors once, where the driver is known, so that the whole line can act on the class (design D9).
//
// An *Error carries its class, a driver code and, where one is known, what the operator can do. It knows its own gRPC
// status: the class crosses the wire as a flow.v1.Fault detail, and Of finds it again on the far side. Only DATA rejects
// records; REFERENCE is retried and then rejects; FENCED ends the lane; everything else waits (G6).
package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// Error is an error with its class.
type Error struct {
	// Class decides what the line does about it.
	Class flowv1.FaultClass
	// Code is the SQLSTATE or the driver's own code; may be empty.
	Code string
	// Fix is what the operator can do; may be empty.
	Fix string
	// Stage is the service it happened in; may be empty.
	Stage string
	// Err is the cause. It must not hold secrets (G10).
	Err error
}

// New gives err a class. A nil err stays nil.
func New(class flowv1.FaultClass, err error) *Error {
	if err == nil {
		return nil
	}
	return &Error{Class: class, Err: err}
}

// Errorf makes an error of a class; %w wraps as in fmt.Errorf.
func Errorf(class flowv1.FaultClass, format string, args ...any) *Error {
	return &Error{Class: class, Err: fmt.Errorf(format, args...)}
}

// WithCode returns a copy with the driver's code.
func (e *Error) WithCode(code string) *Error { c := *e; c.Code = code; return &c }

// WithFix returns a copy with what the operator can do.
func (e *Error) WithFix(fix string) *Error { c := *e; c.Fix = fix; return &c }

// WithStage returns a copy with the service it happened in.
func (e *Error) WithStage(stage string) *Error { c := *e; c.Stage = stage; return &c }

// Error implements error.
func (e *Error) Error() string {
	if e.Err == nil {
		return ClassName(e.Class)
	}
	return e.Err.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Proto is the error as it crosses the wire.
func (e *Error) Proto() *flowv1.Fault {
	return &flowv1.Fault{Class: e.Class, Message: e.Error(), Code: e.Code, Fix: e.Fix, Stage: e.Stage}
}

// grpcCode is the nearest gRPC code, for callers that do not read details.
var grpcCode = map[flowv1.FaultClass]codes.Code{
	flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED: codes.Unknown,
	flowv1.FaultClass_FAULT_CLASS_CONNECTION:  codes.Unavailable,
	flowv1.FaultClass_FAULT_CLASS_CONFLICT:    codes.Aborted,
	flowv1.FaultClass_FAULT_CLASS_CAPACITY:    codes.ResourceExhausted,
	flowv1.FaultClass_FAULT_CLASS_PERMISSION:  codes.PermissionDenied,
	flowv1.FaultClass_FAULT_CLASS_SCHEMA:      codes.FailedPrecondition,
	flowv1.FaultClass_FAULT_CLASS_REFERENCE:   codes.FailedPrecondition,
	flowv1.FaultClass_FAULT_CLASS_DATA:        codes.InvalidArgument,
	flowv1.FaultClass_FAULT_CLASS_FENCED:      codes.Aborted,
}

// GRPCStatus lets grpc send the class along (https://pkg.go.dev/google.golang.org/grpc/status#FromError).
func (e *Error) GRPCStatus() *status.Status {
	s := status.New(grpcCode[e.Class], e.Error())
	if d, err := s.WithDetails(e.Proto()); err == nil {
		return d
	}
	return s
}

// Of finds the *Error in err, or rebuilds it from a gRPC status. A bare status says CONNECTION where the peer was away,
// and so do deadlines; anything else comes back with class UNSPECIFIED. Nil gives nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	s, ok := status.FromError(err)
	if !ok {
		s = status.FromContextError(err)
	}
	for _, d := range s.Details() {
		if f, ok := d.(*flowv1.Fault); ok {
			return &Error{Class: f.Class, Code: f.Code, Fix: f.Fix, Stage: f.Stage, Err: errors.New(f.Message)}
		}
	}
	switch s.Code() {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return New(flowv1.FaultClass_FAULT_CLASS_CONNECTION, err)
	case codes.ResourceExhausted:
		return New(flowv1.FaultClass_FAULT_CLASS_CAPACITY, err)
	case codes.PermissionDenied, codes.Unauthenticated:
		return New(flowv1.FaultClass_FAULT_CLASS_PERMISSION, err)
	}
	return New(flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED, err)
}

// FromProto rebuilds an error from a Fault frame. Nil gives nil.
func FromProto(f *flowv1.Fault) *Error {
	if f == nil {
		return nil
	}
	return &Error{Class: f.Class, Code: f.Code, Fix: f.Fix, Stage: f.Stage, Err: errors.New(f.Message)}
}

// Class is the class of err; UNSPECIFIED where it has none.
func Class(err error) flowv1.FaultClass {
	if e := Of(err); e != nil {
		return e.Class
	}
	return flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED
}

// Proto is err as it crosses the wire. Nil gives nil.
func Proto(err error) *flowv1.Fault {
	if e := Of(err); e != nil {
		return e.Proto()
	}
	return nil
}

// Waits says whether the line waits for an error of this class to go away (G6): all but those that reject records
// or end the lane.
func Waits(class flowv1.FaultClass) bool {
	switch class {
	case flowv1.FaultClass_FAULT_CLASS_DATA, flowv1.FaultClass_FAULT_CLASS_REFERENCE, flowv1.FaultClass_FAULT_CLASS_FENCED:
		return false
	}
	return true
}

// ClassName is the class as operators read it: "connection", "data".
func ClassName(class flowv1.FaultClass) string {
	switch class {
	case flowv1.FaultClass_FAULT_CLASS_CONNECTION:
		return "connection"
	case flowv1.FaultClass_FAULT_CLASS_CONFLICT:
		return "conflict"
	case flowv1.FaultClass_FAULT_CLASS_CAPACITY:
		return "capacity"
	case flowv1.FaultClass_FAULT_CLASS_PERMISSION:
		return "permission"
	case flowv1.FaultClass_FAULT_CLASS_SCHEMA:
		return "schema"
	case flowv1.FaultClass_FAULT_CLASS_REFERENCE:
		return "reference"
	case flowv1.FaultClass_FAULT_CLASS_DATA:
		return "data"
	case flowv1.FaultClass_FAULT_CLASS_FENCED:
		return "fenced"
	}
	return "unclassed"
}

// Sleep waits for d or until ctx ends, and says which: nil, or the context's error.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
