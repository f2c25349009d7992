// Package flow drives one hop of a lane: the bidirectional stream between capture and transformer, or between
// transformer and applier (the protocol itself is the comment of slipstream.flow.v1).
//
// The client end of a hop is a Sender, the server end a Receiver; both hops use the same two. A link is what carries the
// frames: a gRPC stream (TransformDownlink, ApplyUplink and so on), or Pipe, a hop without a network.
//
// What is true of a hop: batches are numbered from 1 and arrive in that order; Settled is never higher than what was
// sent and never falls; the bytes sent and not yet settled stay within the window, except that one batch may always be
// under way; when a link breaks nothing is known of the batches under way, and the lane is opened again (G2, G4).
package flow

import (
	"context"
	"errors"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// ErrProtocol is wrapped by every error that says a peer broke the protocol of the hop.
var ErrProtocol = errors.New("flow protocol violated")

// ErrClosed is what a Sender ends with when the other end closed the stream without an error.
var ErrClosed = errors.New("the other end closed the lane")

// Batch is what travels downstream: *change.v1.Batch or *applier.v1.RowBatch.
type Batch interface {
	comparable
	// GetSequence is the number of the batch in its stream, from 1.
	GetSequence() uint64
	// GetPosition is the position reached when it is settled.
	GetPosition() *changev1.Position
	// SizeVT is its size on the wire in bytes, which counts against the window.
	SizeVT() int
}

// Down is a frame downstream; exactly one member is set.
type Down[B Batch] struct {
	Open   *flowv1.Open
	Batch  B
	Stored *flowv1.Stored
	Drain  *flowv1.Drain
	Before *applierv1.BeforeRequest
}

// Up is a frame upstream; exactly one member is set.
type Up struct {
	Opened  *flowv1.Opened
	Settled *flowv1.Settled
	Rejects *flowv1.Rejects
	Waiting *flowv1.Waiting
	Drained *flowv1.Drained
	Before  *applierv1.BeforeResponse
}

// Downlink is the client's end of a link. One goroutine may send while another receives.
type Downlink[B Batch] interface {
	// Send hands a frame to the link; it may block until the link has room.
	Send(Down[B]) error
	// Recv waits for a frame; io.EOF when the server ended the stream without an error.
	Recv() (Up, error)
	// CloseSend says that nothing more will be sent.
	CloseSend() error
}

// Uplink is the server's end of a link. One goroutine may send while another receives.
type Uplink[B Batch] interface {
	// Recv waits for a frame; io.EOF when the client will send nothing more.
	Recv() (Down[B], error)
	// Send hands a frame to the link.
	Send(Up) error
	// Context ends when the stream ends.
	Context() context.Context
}
