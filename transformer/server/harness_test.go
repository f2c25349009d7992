package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/proto/flow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is an applier for one test: what it does with a lane.
type script func(r *flow.Receiver[*applierv1.RowBatch], open *flowv1.Open) error

type fakeApplier struct {
	applierv1.UnimplementedApplierServiceServer
	script script
	ended  chan error // how the lane's stream ended
}

func (a *fakeApplier) Apply(stream grpc.BidiStreamingServer[applierv1.ApplyRequest, applierv1.ApplyResponse]) error {
	r, open, err := flow.Accept(flow.ApplyUplink(stream))
	if err == nil {
		err = a.script(r, open)
	}
	a.ended <- err
	return err
}

// line is a transformer between a capture and an applier, over gRPC.
type line struct {
	applier  *fakeApplier
	client   transformerv1.TransformerServiceClient
	spans    *tracetest.InMemoryExporter
	registry *prometheus.Registry
	lookups  func([]*pipelinev1.Connection) (Lookups, error)
}

func start(t *testing.T, script script) *line {
	t.Helper()
	x := &line{
		applier: &fakeApplier{script: script, ended: make(chan error, 4)},
		spans:   tracetest.NewInMemoryExporter(), registry: prometheus.NewRegistry(),
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(x.spans))
	appliers := serve(t, func(s *grpc.Server) { applierv1.RegisterApplierServiceServer(s, x.applier) }, func() {})
	server, err := New(Options{
		Appliers: func(kind string) (grpc.ClientConnInterface, error) {
			if kind != "postgresql" {
				return nil, errors.New("no applier takes this type")
			}
			return appliers, nil
		},
		Lookups: func(connections []*pipelinev1.Connection) (Lookups, error) { return x.lookups(connections) },
		Tracer:  provider.Tracer("test"), Registerer: x.registry, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	x.client = transformerv1.NewTransformerServiceClient(serve(t, func(s *grpc.Server) {
		transformerv1.RegisterTransformerServiceServer(s, server)
	}, server.Close))
	return x
}

// serve starts a gRPC server in memory and gives a connection to it.
func serve(t *testing.T, register func(*grpc.Server), after func()) *grpc.ClientConn {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	s := grpc.NewServer(grpc.ForceServerCodecV2(flow.Codec{}))
	register(s)
	served := make(chan error, 1)
	go func() { served <- s.Serve(lis) }()
	conn, err := grpc.NewClient("passthrough:memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(flow.Codec{})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		after()
	})
	return conn
}

// capture is the client of a lane, and what it was told.
type capture struct {
	*flow.Sender[*changev1.Batch]
	opened  *flowv1.Opened
	settled chan *flowv1.Settled
	rejects chan *flowv1.Rejects
	waiting chan *flowv1.Waiting
	cancel  context.CancelFunc
}

func (c *capture) Settled(s *flowv1.Settled) { c.settled <- s }
func (c *capture) Rejects(r *flowv1.Rejects) { c.rejects <- r }
func (c *capture) Waiting(w *flowv1.Waiting) { c.waiting <- w }

// open opens a lane; the error is that of the stream.
func (x *line) open(t *testing.T, open *flowv1.Open) (*capture, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	stream, err := x.client.Transform(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c := &capture{
		settled: make(chan *flowv1.Settled, 16), rejects: make(chan *flowv1.Rejects, 16), waiting: make(chan *flowv1.Waiting, 16),
		cancel: cancel,
	}
	c.Sender, c.opened, err = flow.Open(ctx, flow.TransformDownlink(stream), open, c)
	return c, err
}

// hear waits for something to arrive.
func hear[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case x := <-from:
		return x
	case <-time.After(time.Minute):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func field(column, from string, key bool) *pipelinev1.OutputColumn {
	return &pipelinev1.OutputColumn{Column: column, Key: key, Source: &pipelinev1.OutputColumn_Field{Field: from}}
}

func openFrame() *flowv1.Open {
	return &flowv1.Open{
		Lane:       &flowv1.Lane{Source: "s", Pipeline: "p", Job: "pumps", Connection: "pg", Layout: 4, Partition: 2},
		Generation: 3, WindowBytes: 1 << 20, Owner: "c1",
		Connection: &pipelinev1.Connection{Name: "pg", Type: "postgresql"},
		Job: &pipelinev1.Job{
			Name: "pumps", Source: &pipelinev1.Source{KeyPattern: "pump:*", Keys: &pipelinev1.KeyFields{Fields: map[string]uint32{"serial": 1}}},
			Transform: []*pipelinev1.Block{
				{Path: "transform[0]", Block: &pipelinev1.Block_Filter{Filter: &pipelinev1.Filter{Expression: &pipelinev1.Expression{
					Language: pipelinev1.Language_LANGUAGE_SQL, Text: "site <> 'hidden'",
				}}}},
				{Path: "transform[1]", Block: &pipelinev1.Block_AddField{AddField: &pipelinev1.AddField{Fields: []*pipelinev1.FieldExpression{
					{Field: "label", Expression: &pipelinev1.Expression{Language: pipelinev1.Language_LANGUAGE_JMESPATH, Text: "json_parse(label)"}},
				}}}},
			},
			Outputs: []*pipelinev1.Output{{Path: "output[0]", Connection: "pg", Writer: &pipelinev1.Output_Relational{
				Relational: &pipelinev1.RelationalWrite{Schema: "ops", Table: "pump", Columns: []*pipelinev1.OutputColumn{
					field("serial", "serial", true), field("site", "site", false), field("label", "label.text", false),
				}},
			}}},
		},
	}
}

func pump(op changev1.Op, serial, site, label string) *changev1.Change {
	c := &changev1.Change{
		Id: &changev1.StreamId{Ms: 5, Seq: uint64(len(serial))}, Key: []byte("pump:" + serial), Op: op, Command: "hset",
		Type: changev1.ValueType_VALUE_TYPE_HASH, Values: []byte(site + label),
		Ends: []uint32{uint32(len(site)), uint32(len(site) + len(label))}, Folded: 1,
	}
	if op == changev1.Op_OP_DELETE {
		c.Type, c.Values, c.Ends, c.Command = 0, nil, nil, "del"
	}
	return c
}

func batchOf(sequence uint64, changes ...*changev1.Change) *changev1.Batch {
	return &changev1.Batch{
		Sequence: sequence, Position: &changev1.Position{Main: &changev1.StreamId{Ms: sequence}},
		Shapes: []*changev1.Shape{{Fields: [][]byte{[]byte("site"), []byte("label")}}}, Changes: changes,
		State:       &changev1.LaneState{Phase: "live"},
		Traceparent: "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01",
	}
}
