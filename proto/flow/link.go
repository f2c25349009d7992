package flow

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"
)

// TransformDownlink is the client's end of TransformerService.Transform.
func TransformDownlink(s grpc.BidiStreamingClient[transformerv1.TransformRequest, transformerv1.TransformResponse]) Downlink[*changev1.Batch] {
	return transformDown{s}
}

// TransformUplink is the server's end of TransformerService.Transform.
func TransformUplink(s grpc.BidiStreamingServer[transformerv1.TransformRequest, transformerv1.TransformResponse]) Uplink[*changev1.Batch] {
	return transformUp{s}
}

// ApplyDownlink is the client's end of ApplierService.Apply.
func ApplyDownlink(s grpc.BidiStreamingClient[applierv1.ApplyRequest, applierv1.ApplyResponse]) Downlink[*applierv1.RowBatch] {
	return applyDown{s}
}

// ApplyUplink is the server's end of ApplierService.Apply.
func ApplyUplink(s grpc.BidiStreamingServer[applierv1.ApplyRequest, applierv1.ApplyResponse]) Uplink[*applierv1.RowBatch] {
	return applyUp{s}
}

type transformDown struct {
	s grpc.BidiStreamingClient[transformerv1.TransformRequest, transformerv1.TransformResponse]
}

func (l transformDown) CloseSend() error { return l.s.CloseSend() }

func (l transformDown) Send(d Down[*changev1.Batch]) error {
	var m transformerv1.TransformRequest
	switch {
	case d.Batch != nil:
		m.Frame = &transformerv1.TransformRequest_Batch{Batch: d.Batch}
	case d.Open != nil:
		m.Frame = &transformerv1.TransformRequest_Open{Open: d.Open}
	case d.Stored != nil:
		m.Frame = &transformerv1.TransformRequest_Stored{Stored: d.Stored}
	case d.Drain != nil:
		m.Frame = &transformerv1.TransformRequest_Drain{Drain: d.Drain}
	default:
		return fmt.Errorf("%w: this hop has no such frame", ErrProtocol)
	}
	return l.s.Send(&m)
}

func (l transformDown) Recv() (Up, error) {
	m, err := l.s.Recv()
	if err != nil {
		return Up{}, err
	}
	return Up{
		Opened: m.GetOpened(), Settled: m.GetSettled(), Rejects: m.GetRejects(),
		Waiting: m.GetWaiting(), Drained: m.GetDrained(),
	}, nil
}

type transformUp struct {
	s grpc.BidiStreamingServer[transformerv1.TransformRequest, transformerv1.TransformResponse]
}

func (l transformUp) Context() context.Context { return l.s.Context() }

func (l transformUp) Recv() (Down[*changev1.Batch], error) {
	m, err := l.s.Recv()
	if err != nil {
		return Down[*changev1.Batch]{}, err
	}
	return Down[*changev1.Batch]{Open: m.GetOpen(), Batch: m.GetBatch(), Stored: m.GetStored(), Drain: m.GetDrain()}, nil
}

func (l transformUp) Send(u Up) error {
	var m transformerv1.TransformResponse
	switch {
	case u.Settled != nil:
		m.Frame = &transformerv1.TransformResponse_Settled{Settled: u.Settled}
	case u.Opened != nil:
		m.Frame = &transformerv1.TransformResponse_Opened{Opened: u.Opened}
	case u.Rejects != nil:
		m.Frame = &transformerv1.TransformResponse_Rejects{Rejects: u.Rejects}
	case u.Waiting != nil:
		m.Frame = &transformerv1.TransformResponse_Waiting{Waiting: u.Waiting}
	case u.Drained != nil:
		m.Frame = &transformerv1.TransformResponse_Drained{Drained: u.Drained}
	default:
		return fmt.Errorf("%w: this hop has no such frame", ErrProtocol)
	}
	return l.s.Send(&m)
}

type applyDown struct {
	s grpc.BidiStreamingClient[applierv1.ApplyRequest, applierv1.ApplyResponse]
}

func (l applyDown) CloseSend() error { return l.s.CloseSend() }

func (l applyDown) Send(d Down[*applierv1.RowBatch]) error {
	var m applierv1.ApplyRequest
	switch {
	case d.Batch != nil:
		m.Frame = &applierv1.ApplyRequest_Batch{Batch: d.Batch}
	case d.Open != nil:
		m.Frame = &applierv1.ApplyRequest_Open{Open: d.Open}
	case d.Stored != nil:
		m.Frame = &applierv1.ApplyRequest_Stored{Stored: d.Stored}
	case d.Drain != nil:
		m.Frame = &applierv1.ApplyRequest_Drain{Drain: d.Drain}
	case d.Before != nil:
		m.Frame = &applierv1.ApplyRequest_Before{Before: d.Before}
	default:
		return fmt.Errorf("%w: this hop has no such frame", ErrProtocol)
	}
	return l.s.Send(&m)
}

func (l applyDown) Recv() (Up, error) {
	m, err := l.s.Recv()
	if err != nil {
		return Up{}, err
	}
	return Up{
		Opened: m.GetOpened(), Settled: m.GetSettled(), Rejects: m.GetRejects(),
		Waiting: m.GetWaiting(), Drained: m.GetDrained(), Before: m.GetBefore(),
	}, nil
}

type applyUp struct {
	s grpc.BidiStreamingServer[applierv1.ApplyRequest, applierv1.ApplyResponse]
}

func (l applyUp) Context() context.Context { return l.s.Context() }

func (l applyUp) Recv() (Down[*applierv1.RowBatch], error) {
	m, err := l.s.Recv()
	if err != nil {
		return Down[*applierv1.RowBatch]{}, err
	}
	return Down[*applierv1.RowBatch]{
		Open: m.GetOpen(), Batch: m.GetBatch(), Stored: m.GetStored(),
		Drain: m.GetDrain(), Before: m.GetBefore(),
	}, nil
}

func (l applyUp) Send(u Up) error {
	var m applierv1.ApplyResponse
	switch {
	case u.Settled != nil:
		m.Frame = &applierv1.ApplyResponse_Settled{Settled: u.Settled}
	case u.Opened != nil:
		m.Frame = &applierv1.ApplyResponse_Opened{Opened: u.Opened}
	case u.Rejects != nil:
		m.Frame = &applierv1.ApplyResponse_Rejects{Rejects: u.Rejects}
	case u.Waiting != nil:
		m.Frame = &applierv1.ApplyResponse_Waiting{Waiting: u.Waiting}
	case u.Drained != nil:
		m.Frame = &applierv1.ApplyResponse_Drained{Drained: u.Drained}
	case u.Before != nil:
		m.Frame = &applierv1.ApplyResponse_Before{Before: u.Before}
	default:
		return fmt.Errorf("%w: this hop has no such frame", ErrProtocol)
	}
	return l.s.Send(&m)
}
