package flow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"go.opentelemetry.io/otel/trace"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/proto/fault"
	"slipstream/proto/flow"
)

// relay is a transformer that hands every frame to an applier over a second hop.
type relay struct {
	transformerv1.UnimplementedTransformerServiceServer
	applier applierv1.ApplierServiceClient
}

// echo is an applier that settles what it gets.
type echo struct {
	applierv1.UnimplementedApplierServiceServer
}

func (x *relay) Transform(stream grpc.BidiStreamingServer[transformerv1.TransformRequest, transformerv1.TransformResponse]) error {
	up, open, err := flow.Accept(flow.TransformUplink(stream))
	if err != nil {
		return err
	}
	s, err := x.applier.Apply(stream.Context())
	if err != nil {
		return err
	}
	down, opened, err := flow.Open(stream.Context(), flow.ApplyDownlink(s), open, upEvents{up})
	if err != nil {
		return err
	}
	if err := up.Opened(opened); err != nil {
		return err
	}
	for {
		d, err := up.Next()
		switch {
		case errors.Is(err, io.EOF):
			return down.Close()
		case err != nil:
			return err
		case d.Batch != nil:
			err = down.Send(stream.Context(), &applierv1.RowBatch{Sequence: d.Batch.Sequence, Position: d.Batch.Position, Changes: uint32(len(d.Batch.Changes))})
		case d.Stored != nil:
			err = down.Stored(d.Stored.Sequence)
		case d.Drain != nil:
			var pos *changev1.Position
			if pos, err = down.Drain(stream.Context()); err == nil {
				err = up.Drained(&flowv1.Drained{Position: pos})
			}
		}
		if err != nil {
			return err
		}
	}
}

type upEvents struct{ up *flow.Receiver[batch] }

func (e upEvents) Settled(s *flowv1.Settled) { _ = e.up.Settled(s) }
func (e upEvents) Rejects(r *flowv1.Rejects) { _ = e.up.Rejects(r) }
func (e upEvents) Waiting(w *flowv1.Waiting) { _ = e.up.Waiting(w) }

func (echo) Apply(stream grpc.BidiStreamingServer[applierv1.ApplyRequest, applierv1.ApplyResponse]) error {
	r, open, err := flow.Accept(flow.ApplyUplink(stream))
	if err != nil {
		return err
	}
	if open.Lane.Partition == 99 {
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_PERMISSION, "no such user").WithFix("GRANT")
	}
	if err := errors.Join(r.Waiting(&flowv1.Waiting{Fault: &flowv1.Fault{Message: "soon"}}), r.Waiting(&flowv1.Waiting{}), r.Opened(&flowv1.Opened{Epoch: 3, Dialect: "echo"})); err != nil {
		return err
	}
	var last *changev1.Position
	for {
		d, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case d.Batch != nil:
			last = d.Batch.Position
			if d.Batch.Sequence == 2 {
				err = r.Rejects(&flowv1.Rejects{Sequence: 2, Rejects: []*flowv1.Reject{{Reason: "does not fit"}}})
				break
			}
			err = r.Settled(&flowv1.Settled{Sequence: d.Batch.Sequence, Position: last})
		case d.Stored != nil:
			err = r.Settled(&flowv1.Settled{Sequence: d.Stored.Sequence, Position: last})
		case d.Drain != nil:
			err = r.Drained(&flowv1.Drained{Position: last})
		}
		if err != nil {
			return err
		}
	}
}

// serve starts the relay on loopback and gives a client of it.
func serve(t *testing.T) transformerv1.TransformerServiceClient {
	t.Helper()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(flow.Codec{})))
	if err != nil {
		t.Fatal(err)
	}
	x := &relay{applier: applierv1.NewApplierServiceClient(conn)}
	srv := grpc.NewServer(grpc.ForceServerCodecV2(flow.Codec{}))
	transformerv1.RegisterTransformerServiceServer(srv, x)
	applierv1.RegisterApplierServiceServer(srv, echo{})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	t.Cleanup(func() {
		_ = conn.Close()
		srv.Stop()
		if err := <-served; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return transformerv1.NewTransformerServiceClient(conn)
}

// TestTwoHops sends a lane through two real gRPC hops: what is promised on a pipe holds on the wire.
func TestTwoHops(t *testing.T) {
	client := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := client.Transform(ctx)
	if err != nil {
		t.Fatal(err)
	}
	events := newRecorder()
	s, o, err := flow.Open(ctx, flow.TransformDownlink(stream), openFrame(1<<20), events)
	if err != nil {
		t.Fatal(err)
	}
	if o.Epoch != 3 || o.Dialect != "echo" {
		t.Errorf("opened: %v", o)
	}
	if f := <-events.waiting; f.GetMessage() != "soon" {
		t.Errorf("waiting: %v", f)
	}
	if f := <-events.waiting; f != nil {
		t.Errorf("the wait did not end: %v", f)
	}
	for n := uint64(1); n <= 3; n++ {
		if err := s.Send(ctx, numbered(n, 2000)); err != nil {
			t.Fatal(err)
		}
		if n == 2 {
			if got := <-events.rejects; got != 2 {
				t.Errorf("rejects of %d", got)
			}
			if err := s.Stored(2); err != nil {
				t.Fatal(err)
			}
		}
		if got := <-events.settled; got != n {
			t.Errorf("settled %d, want %d", got, n)
		}
	}
	pos, err := s.Drain(ctx)
	if err != nil || pos.Main.Ms != 3 {
		t.Errorf("drained at %v, %v", pos, err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
}

// TestFaultCrossesTwoHops: the class and the fix set by the applier reach capture through the transformer (design D9).
func TestFaultCrossesTwoHops(t *testing.T) {
	client := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := client.Transform(ctx)
	if err != nil {
		t.Fatal(err)
	}
	open := openFrame(1)
	open.Lane.Partition = 99
	_, _, err = flow.Open(ctx, flow.TransformDownlink(stream), open, newRecorder())
	f := fault.Of(err)
	if f.Class != flowv1.FaultClass_FAULT_CLASS_PERMISSION || f.Fix != "GRANT" {
		t.Errorf("got %v with fix %q", err, f.Fix)
	}
}

// TestCodec: what the codec writes any protobuf library reads, and the other way round; large and small messages.
func TestCodec(t *testing.T) {
	var c flow.Codec
	for _, size := range []int{0, 10, 5000, 1 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			in := numbered(7, size)
			data, err := c.Marshal(in)
			if err != nil {
				t.Fatal(err)
			}
			var plain, own changev1.Batch
			if err := proto.Unmarshal(data.Materialize(), &plain); err != nil || !proto.Equal(in, &plain) {
				t.Errorf("the protobuf library reads something else: %v", err)
			}
			if err := c.Unmarshal(data, &own); err != nil || !proto.Equal(in, &own) {
				t.Errorf("we read something else: %v", err)
			}
			data.Free()
		})
	}
	data, err := c.Marshal(wrapperspb.String("no vt methods"))
	if err != nil {
		t.Fatal(err)
	}
	var back wrapperspb.StringValue
	if err := c.Unmarshal(data, &back); err != nil || back.Value != "no vt methods" {
		t.Errorf("came back as %q, %v", back.Value, err)
	}
	if _, err := c.Marshal(42); err == nil {
		t.Error("a number was encoded")
	}
	if err := c.Unmarshal(mem.BufferSlice{}, new(int)); err == nil {
		t.Error("a number was decoded")
	}
}

// TestTraceparent: the span context of a batch goes out and comes back (design D11).
func TestTraceparent(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ctx := flow.WithTraceparent(t.Context(), parent)
	if got := trace.SpanContextFromContext(ctx).SpanID().String(); got != "b7ad6b7169203331" {
		t.Errorf("parent span is %s", got)
	}
	if got := flow.Traceparent(ctx); got != parent {
		t.Errorf("goes out as %s", got)
	}
	if got := flow.Traceparent(t.Context()); got != "" {
		t.Errorf("no span goes out as %q", got)
	}
	if ctx := flow.WithTraceparent(t.Context(), "nonsense"); trace.SpanContextFromContext(ctx).IsValid() {
		t.Error("nonsense became a parent")
	}
}

// BenchmarkHop measures a batch of 500 changes of ten fields over one gRPC hop and back (design D7).
func BenchmarkHop(b *testing.B) {
	in := &changev1.Batch{Shapes: []*changev1.Shape{{}}}
	for f := range 10 {
		in.Shapes[0].Fields = append(in.Shapes[0].Fields, fmt.Appendf(nil, "field%d", f))
	}
	for k := range 500 {
		c := &changev1.Change{Key: fmt.Appendf(nil, "emp:%d", k), Id: &changev1.StreamId{Ms: 1}, Folded: 1}
		for range 10 {
			c.Values = append(c.Values, "twenty bytes of text"...)
			c.Ends = append(c.Ends, uint32(len(c.Values)))
		}
		in.Changes = append(in.Changes, c)
	}
	var c flow.Codec
	b.ReportAllocs()
	for b.Loop() {
		data, err := c.Marshal(in)
		if err != nil {
			b.Fatal(err)
		}
		out := changev1.BatchFromVTPool()
		if err := c.Unmarshal(data, out); err != nil {
			b.Fatal(err)
		}
		data.Free()
		out.ReturnToVTPool()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/change")
}
