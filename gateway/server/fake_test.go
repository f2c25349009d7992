package server_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/gateway/server"
	"slipstream/gateway/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type capture struct {
	capturev1.CaptureServiceClient
	check    func(*capturev1.CheckRequest) (*capturev1.CheckResponse, error)
	status   func(*capturev1.StatusRequest) (*capturev1.StatusResponse, error)
	rejected func(*capturev1.ListRejectedRequest) (*capturev1.ListRejectedResponse, error)
	replay   func(*capturev1.ReplayRequest) (*capturev1.ReplayResponse, error)
	keys     func(*capturev1.ReadKeysRequest) (*capturev1.ReadKeysResponse, error)
	// acknowledged are the pipelines whose flushes were.
	acknowledged []string
	unready      int // how often it knows nothing yet
}

func (c *capture) Replay(_ context.Context, r *capturev1.ReplayRequest, _ ...grpc.CallOption) (*capturev1.ReplayResponse, error) {
	return c.replay(r)
}

func (c *capture) ReadKeys(_ context.Context, r *capturev1.ReadKeysRequest, _ ...grpc.CallOption) (*capturev1.ReadKeysResponse, error) {
	return c.keys(r)
}

func (c *capture) AcknowledgeFlush(
	_ context.Context, r *capturev1.AcknowledgeFlushRequest, _ ...grpc.CallOption,
) (*capturev1.AcknowledgeFlushResponse, error) {
	c.acknowledged = append(c.acknowledged, r.GetPipeline())
	if len(c.acknowledged) <= c.unready {
		return nil, errDown
	}
	return &capturev1.AcknowledgeFlushResponse{}, nil
}

func (c *capture) Check(_ context.Context, r *capturev1.CheckRequest, _ ...grpc.CallOption) (*capturev1.CheckResponse, error) {
	return c.check(r)
}

func (c *capture) Status(_ context.Context, r *capturev1.StatusRequest, _ ...grpc.CallOption) (*capturev1.StatusResponse, error) {
	return c.status(r)
}

func (c *capture) ListRejected(
	_ context.Context, r *capturev1.ListRejectedRequest, _ ...grpc.CallOption,
) (*capturev1.ListRejectedResponse, error) {
	return c.rejected(r)
}

type transformer struct {
	transformerv1.TransformerServiceClient
	check   func(*transformerv1.CheckRequest) (*transformerv1.CheckResponse, error)
	preview func(*transformerv1.PreviewRequest) (*transformerv1.PreviewResponse, error)
}

func (t *transformer) Preview(
	_ context.Context, r *transformerv1.PreviewRequest, _ ...grpc.CallOption,
) (*transformerv1.PreviewResponse, error) {
	return t.preview(r)
}

func (t *transformer) Check(
	_ context.Context, r *transformerv1.CheckRequest, _ ...grpc.CallOption,
) (*transformerv1.CheckResponse, error) {
	return t.check(r)
}

type applier struct {
	applierv1.ApplierServiceClient
	check   func(*applierv1.CheckRequest) (*applierv1.CheckResponse, error)
	prepare func(*applierv1.PrepareRequest) (*applierv1.PrepareResponse, error)
	preview func(*applierv1.PreviewRequest) (*applierv1.PreviewResponse, error)
}

func (a *applier) Prepare(_ context.Context, r *applierv1.PrepareRequest, _ ...grpc.CallOption) (*applierv1.PrepareResponse, error) {
	return a.prepare(r)
}

func (a *applier) Preview(_ context.Context, r *applierv1.PreviewRequest, _ ...grpc.CallOption) (*applierv1.PreviewResponse, error) {
	return a.preview(r)
}

func (a *applier) Check(_ context.Context, r *applierv1.CheckRequest, _ ...grpc.CallOption) (*applierv1.CheckResponse, error) {
	return a.check(r)
}

// memory is a store without Redis; the real one is tested in package store.
type memory struct {
	mu    sync.Mutex
	state store.State
	err   error
}

func (m *memory) Current(context.Context, string) (store.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return store.State{}, m.err
	}
	if m.state.Pipeline == nil {
		return store.State{}, store.ErrNotDeployed
	}
	return store.State{Pipeline: proto.CloneOf(m.state.Pipeline), Running: m.state.Running, Stale: slices.Clone(m.state.Stale)}, nil
}

func (m *memory) Save(_ context.Context, p *pipelinev1.Pipeline, base uint64, stale ...*pipelinev1.StaleJob) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return 0, m.err
	}
	if m.state.Pipeline.GetGeneration() != base {
		return 0, store.ErrConflict
	}
	p.Generation = base + 1
	all := slices.DeleteFunc(slices.Clone(m.state.Stale), func(s *pipelinev1.StaleJob) bool {
		return slices.ContainsFunc(stale, func(n *pipelinev1.StaleJob) bool { return n.GetJob() == s.GetJob() })
	})
	for _, s := range stale {
		s.Generation = p.GetGeneration()
		all = append(all, proto.CloneOf(s))
	}
	m.state = store.State{Pipeline: proto.CloneOf(p), Running: true, Stale: all}
	return p.GetGeneration(), nil
}

func (m *memory) Deployed(context.Context) ([]store.Deployed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil || m.state.Pipeline == nil {
		return nil, m.err
	}
	return []store.Deployed{{Name: m.state.Pipeline.GetName(), Generation: m.state.Pipeline.GetGeneration(), Running: m.state.Running}}, nil
}

func (m *memory) RequestResync(_ context.Context, _ string, jobs []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.state.Stale {
		s.Resync = s.GetResync() || slices.Contains(jobs, s.GetJob())
	}
	return nil
}

func (m *memory) SetRunning(_ context.Context, _ string, running bool) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state.Pipeline == nil {
		return 0, store.ErrNotDeployed
	}
	m.state.Running = running
	return m.state.Pipeline.GetGeneration(), nil
}

// line is a gateway whose stages find nothing wrong; tests replace what they are about.
type line struct {
	store       *memory
	capture     *capture
	transformer *transformer
	applier     *applier
	config      server.Config
}

func newLine() *line {
	l := &line{
		store: &memory{},
		capture: &capture{
			check: func(*capturev1.CheckRequest) (*capturev1.CheckResponse, error) {
				return &capturev1.CheckResponse{}, nil
			},
			status: func(*capturev1.StatusRequest) (*capturev1.StatusResponse, error) {
				return &capturev1.StatusResponse{Status: &capturev1.PipelineStatus{}}, nil
			},
		},
		transformer: &transformer{check: func(*transformerv1.CheckRequest) (*transformerv1.CheckResponse, error) {
			return &transformerv1.CheckResponse{}, nil
		}},
		applier: &applier{check: func(*applierv1.CheckRequest) (*applierv1.CheckResponse, error) {
			return &applierv1.CheckResponse{}, nil
		}},
	}
	l.config = server.Config{
		Store:       l.store,
		Capture:     []server.Peer[capturev1.CaptureServiceClient]{{Client: l.capture, Address: "capture:1"}},
		Transformer: server.Peer[transformerv1.TransformerServiceClient]{Client: l.transformer, Address: "transformer:2"},
		Appliers: map[string]server.Peer[applierv1.ApplierServiceClient]{
			"sqlite": {Client: l.applier, Address: "applier:3"},
		},
		Resolve: func(string) (string, error) { return "", errors.New("not set") },
		Version: "v1.2.3",
		Now:     func() time.Time { return time.UnixMilli(1767225600000) },
	}
	return l
}

func (l *line) server() *server.Server { return server.New(l.config) }

const (
	configText = `connections:
  source: {type: redis, host: r, port: 6379, password: "${env:PW}"}
  hr:
    type: sqlite
    path: hr.db
`
	jobText = `source:
  redis: {trigger: write-behind, key_pattern: "emp:*"}
  keys: {fields: {id: 1}}
transform:
  - uses: filter
    with:
      language: sql
      expression: name IS NOT NULL
output:
  - uses: relational.write
    with:
      connection: hr
      table: emp
      keys: [id]
`
)

func files(extra ...string) []*pipelinev1.File {
	out := []*pipelinev1.File{
		{Path: "config.yaml", Text: []byte(configText)}, {Path: "jobs/emp.yaml", Text: []byte(jobText)},
	}
	for i := 0; i+1 < len(extra); i += 2 {
		replaced := false
		for _, f := range out {
			if f.GetPath() == extra[i] {
				f.Text, replaced = []byte(extra[i+1]), true
			}
		}
		if !replaced {
			out = append(out, &pipelinev1.File{Path: extra[i], Text: []byte(extra[i+1])})
		}
	}
	return out
}

// lines are problems as text, one a line.
func lines(problems []*pipelinev1.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(strings.ToLower(strings.TrimPrefix(p.GetSeverity().String(), "SEVERITY_")))
		b.WriteString(" " + p.GetFile() + ":" + string(rune('0'+p.GetLine()/10)) + string(rune('0'+p.GetLine()%10)))
		b.WriteString(" " + p.GetPath() + ": " + p.GetMessage() + "\n")
	}
	return b.String()
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("code %v, want %v (%v)", got, want, err)
	}
}

var errDown = status.Error(codes.Unavailable, "connection refused")
