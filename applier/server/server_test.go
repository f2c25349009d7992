package server_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"slipstream/applier/engine"
	"slipstream/applier/server"
	"slipstream/applier/sqlite"
	"slipstream/proto/fault"
	"slipstream/proto/flow"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a SQLite applier behind gRPC without a network.
func serve(t *testing.T, o engine.Options) applierv1.ApplierServiceClient {
	t.Helper()
	s, err := server.New(sqlite.Dialect{}, o)
	if err != nil {
		t.Fatal(err)
	}
	listener := bufconn.Listen(1 << 20)
	g := grpc.NewServer(grpc.ForceServerCodecV2(flow.Codec{}))
	applierv1.RegisterApplierServiceServer(g, s)
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:applier", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(flow.Codec{})),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		g.Stop()
		s.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return applierv1.NewApplierServiceClient(conn)
}

func open(t *testing.T) *flowv1.Open {
	t.Helper()
	path := filepath.Join(t.TempDir(), "target.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return &flowv1.Open{
		Lane: &flowv1.Lane{Source: "s", Pipeline: "p", Job: "j", Connection: "db", Layout: 1},
		Job: &pipelinev1.Job{Name: "j", Outputs: []*pipelinev1.Output{{
			Path: "output[0]", Connection: "db", Writer: &pipelinev1.Output_Relational{Relational: &pipelinev1.RelationalWrite{
				Table: "t", Columns: []*pipelinev1.OutputColumn{{Column: "id", Key: true}, {Column: "v"}},
			}},
		}}},
		Connection:  &pipelinev1.Connection{Name: "db", Type: "sqlite", Database: path},
		Settings:    &pipelinev1.Settings{OnFailedRetryInterval: 1},
		WindowBytes: 1 << 20, Owner: "test",
	}
}

// oneRow is batch n with the row (id, v).
func oneRow(n uint64, id, v string) *applierv1.RowBatch {
	column := func(text string) *applierv1.Column {
		return &applierv1.Column{Text: []byte(text), Ends: []uint32{uint32(len(text))}, Kinds: []byte{byte(applierv1.ValueKind_VALUE_KIND_STRING)}}
	}
	return &applierv1.RowBatch{
		Sequence: n, Position: &changev1.Position{Main: &changev1.StreamId{Ms: n}}, Changes: 1,
		Tables: []*applierv1.Rows{{
			Count: 1, Ops: []byte{byte(applierv1.RowOp_ROW_OP_UPSERT)}, Changes: []uint32{0},
			Columns: []*applierv1.Column{column(id), column(v)},
		}},
	}
}

// events passes on what comes up a lane.
type events struct {
	settled chan *flowv1.Settled
	rejects chan *flowv1.Rejects
	waiting chan *flowv1.Waiting
}

func newEvents() *events {
	return &events{make(chan *flowv1.Settled, 100), make(chan *flowv1.Rejects, 100), make(chan *flowv1.Waiting, 1000)}
}

func (e *events) Settled(s *flowv1.Settled) { e.settled <- s }
func (e *events) Rejects(r *flowv1.Rejects) { e.rejects <- r }
func (e *events) Waiting(w *flowv1.Waiting) { e.waiting <- w }

// dial opens a lane.
func dial(t *testing.T, client applierv1.ApplierServiceClient, o *flowv1.Open) (*flow.Sender[*applierv1.RowBatch], *events) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	stream, err := client.Apply(ctx)
	if err != nil {
		t.Fatal(err)
	}
	e := newEvents()
	s, _, err := flow.Open(ctx, flow.ApplyDownlink(stream), o, e)
	if err != nil {
		t.Fatal(err)
	}
	return s, e
}

// check gets the problems of a connection, and repairs what the first of them is about by its own fix.
func createTable(t *testing.T, client applierv1.ApplierServiceClient, o *flowv1.Open) {
	t.Helper()
	r, err := client.Check(t.Context(), &applierv1.CheckRequest{Connection: o.Connection, Jobs: []*pipelinev1.Job{o.Job}, Settings: o.Settings})
	if err != nil || len(r.Problems) != 1 {
		t.Fatalf("check: %v, %v", r, err)
	}
	execute(t, o.Connection.Database, r.Problems[0].Fix)
}

func TestLifeOfABatch(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	registry := prometheus.NewRegistry()
	client := serve(t, engine.Options{Metrics: registry, Tracing: provider})
	o := open(t)
	createTable(t, client, o)
	s, e := dial(t, client, o)

	ctx, parent := provider.Tracer("test").Start(t.Context(), "transform")
	b := oneRow(1, "a", "1")
	b.Traceparent = flow.Traceparent(ctx)
	if err := s.Send(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if got := <-e.settled; got.Sequence != 1 || got.Counts.GetRows() != 1 {
		t.Errorf("settled: %v", got)
	}
	if p, err := s.Drain(t.Context()); err != nil || p.GetMain().GetMs() != 1 {
		t.Errorf("drained at %v: %v", p, err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	parent.End()

	// transform → apply → commit, one trace (design D11)
	byName := map[string]sdktrace.ReadOnlySpan{}
	for _, span := range spans.Ended() {
		byName[span.Name()] = span
	}
	apply, commit := byName["apply"], byName["commit"]
	if apply == nil || commit == nil {
		t.Fatalf("spans: %v", byName)
	}
	if apply.Parent().SpanID() != parent.SpanContext().SpanID() || commit.Parent().SpanID() != apply.SpanContext().SpanID() {
		t.Error("the spans are no tree: transform, apply, commit")
	}
	if commit.SpanContext().TraceID() != parent.SpanContext().TraceID() {
		t.Error("the spans are of two traces")
	}

	if n := testutil.CollectAndCount(registry, "slipstream_applier_commit_seconds", "slipstream_applier_rows_total"); n != 2 {
		t.Errorf("%d series of commit_seconds and rows_total", n)
	}
	for _, problem := range lint(t, registry) {
		t.Error(problem)
	}
}

func lint(t *testing.T, r *prometheus.Registry) []string {
	t.Helper()
	problems, err := testutil.GatherAndLint(r)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range problems {
		out = append(out, p.Metric+": "+p.Text)
	}
	return out
}

func TestFaultCrossesTheWire(t *testing.T) {
	client := serve(t, engine.Options{})
	o := open(t)
	createTable(t, client, o)
	first, _ := dial(t, client, o)
	second, e := dial(t, client, o)
	if err := first.Send(t.Context(), oneRow(1, "a", "stale")); err != nil {
		t.Fatal(err)
	}
	<-first.Done()
	if class := fault.Class(first.Err()); class != flowv1.FaultClass_FAULT_CLASS_FENCED {
		t.Errorf("the first lane ended with %v of class %v", first.Err(), class)
	}
	if err := second.Send(t.Context(), oneRow(1, "a", "new")); err != nil {
		t.Fatal(err)
	}
	<-e.settled
}

func TestWaitingIsCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	client := serve(t, engine.Options{Metrics: registry, ShortestPause: time.Millisecond})
	o := open(t)
	s, e := dial(t, client, o)
	if err := s.Send(t.Context(), oneRow(1, "a", "1")); err != nil {
		t.Fatal(err)
	}
	w := <-e.waiting
	if got := gauge(t, registry, "slipstream_applier_waiting"); got != 1 {
		t.Errorf("%v lanes wait", got)
	}
	execute(t, o.Connection.Database, w.Fault.Fix)
	<-e.settled
	if got := gauge(t, registry, "slipstream_applier_waiting"); got != 0 {
		t.Errorf("%v lanes wait after the wait", got)
	}
	if n := testutil.CollectAndCount(registry, "slipstream_applier_retries_total"); n != 1 {
		t.Errorf("%d series of retries_total", n)
	}
}

func gauge(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestOtherTypesAreRefused(t *testing.T) {
	client := serve(t, engine.Options{})
	_, err := client.Check(t.Context(), &applierv1.CheckRequest{Connection: &pipelinev1.Connection{Name: "x", Type: "postgresql"}})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("check: %v", err)
	}
	o := open(t)
	o.Connection.Type = "postgresql"
	stream, err := client.Apply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := flow.Open(t.Context(), flow.ApplyDownlink(stream), o, newEvents()); err == nil {
		t.Error("the lane opened")
	}
}

// TestPrepareAndPreview: deploy creates what is missing, and a preview writes nothing.
func TestPrepareAndPreview(t *testing.T) {
	client := serve(t, engine.Options{})
	o := open(t)
	o.Job.Outputs[0].GetRelational().AutoCreate = true
	created, err := client.Prepare(t.Context(), &applierv1.PrepareRequest{Connection: o.Connection, Jobs: []*pipelinev1.Job{o.Job}, Settings: o.Settings})
	if err != nil || len(created.GetCreated()) != 1 || len(created.GetProblems()) > 0 {
		t.Fatalf("prepare: %v, %v", created, err)
	}
	preview := &applierv1.PreviewRequest{
		Connection: o.Connection, Job: o.Job, Settings: o.Settings, Batch: oneRow(1, "a", "1"), Diff: true, Lane: o.Lane,
	}
	for range 2 { // what the first one did is gone
		shown, err := client.Preview(t.Context(), preview)
		if err != nil || shown.GetFault() != nil || len(shown.GetStatements()) != 1 || len(shown.GetDifferences()) != 1 ||
			len(shown.GetDifferences()[0].GetBefore()) > 0 || string(shown.GetDifferences()[0].GetAfter()) != `["a","1"]` {
			t.Fatalf("preview: %v, %v", shown, err)
		}
	}
	preview.Batch.Tables[0].Output = 7
	if shown, err := client.Preview(t.Context(), preview); err != nil || shown.GetFault() == nil {
		t.Errorf("an output that is not there: %v, %v", shown, err)
	}
	o.Connection.Type = "postgresql"
	if _, err := client.Preview(t.Context(), preview); status.Code(err) != codes.InvalidArgument {
		t.Errorf("another type: %v", err)
	}
	if _, err := client.Prepare(t.Context(), &applierv1.PrepareRequest{Connection: o.Connection}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("another type: %v", err)
	}
}
