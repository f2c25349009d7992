package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"slipstream/capture/engine"
	"slipstream/capture/server"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fake struct {
	server.Engine // of calls that a test does not make
	check         func(*pipelinev1.Pipeline) *capturev1.CheckResponse
	status        func(string) (*capturev1.PipelineStatus, error)
	rejected      func(*capturev1.ListRejectedRequest) ([]*capturev1.DeadLetterStream, error)
	replay        func(*capturev1.ReplayRequest) ([]*capturev1.ReplayedStream, error)
	keys          func(*capturev1.ReadKeysRequest) (*capturev1.ReadKeysResponse, error)
	flush         func(string) ([]string, error)
}

func (f fake) Replay(_ context.Context, r *capturev1.ReplayRequest) ([]*capturev1.ReplayedStream, error) {
	return f.replay(r)
}

func (f fake) ReadKeys(_ context.Context, r *capturev1.ReadKeysRequest) (*capturev1.ReadKeysResponse, error) {
	return f.keys(r)
}

func (f fake) AcknowledgeFlush(_ context.Context, name string) ([]string, error) {
	return f.flush(name)
}

func (f fake) Check(_ context.Context, p *pipelinev1.Pipeline) *capturev1.CheckResponse {
	return f.check(p)
}

func (f fake) Status(_ context.Context, name string) (*capturev1.PipelineStatus, error) {
	return f.status(name)
}

func (f fake) Rejected(_ context.Context, r *capturev1.ListRejectedRequest) ([]*capturev1.DeadLetterStream, error) {
	return f.rejected(r)
}

func dial(t *testing.T, f server.Engine) capturev1.CaptureServiceClient {
	t.Helper()
	l := bufconn.Listen(1 << 16)
	g := grpc.NewServer()
	server.New(f).Register(g)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Serve(l) // ends with Stop
	}()
	conn, err := grpc.NewClient("passthrough:///capture", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		g.Stop()
		<-done
	})
	return capturev1.NewCaptureServiceClient(conn)
}

func TestAnswers(t *testing.T) {
	c := dial(t, fake{
		check: func(p *pipelinev1.Pipeline) *capturev1.CheckResponse {
			return &capturev1.CheckResponse{Server: "checked " + p.Name}
		},
		status: func(name string) (*capturev1.PipelineStatus, error) {
			return &capturev1.PipelineStatus{Pipeline: name}, nil
		},
		rejected: func(r *capturev1.ListRejectedRequest) ([]*capturev1.DeadLetterStream, error) {
			return []*capturev1.DeadLetterStream{{Name: r.Job, Length: uint64(r.MaxRecords)}}, nil
		},
	})
	ctx := t.Context()
	if r, err := c.Check(ctx, &capturev1.CheckRequest{Pipeline: &pipelinev1.Pipeline{Name: "p"}}); err != nil || r.Server != "checked p" {
		t.Errorf("Check = %v, %v", r, err)
	}
	if _, err := c.Check(ctx, &capturev1.CheckRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("Check of nothing: %v", err)
	}
	if r, err := c.Status(ctx, &capturev1.StatusRequest{Pipeline: "p"}); err != nil || r.Status.Pipeline != "p" {
		t.Errorf("Status = %v, %v", r, err)
	}
	r, err := c.ListRejected(ctx, &capturev1.ListRejectedRequest{Job: "j", MaxRecords: 3})
	if err != nil || len(r.Streams) != 1 || r.Streams[0].Name != "j" || r.Streams[0].Length != 3 {
		t.Errorf("ListRejected = %v, %v", r, err)
	}
}

func TestOperatorsRequests(t *testing.T) {
	c := dial(t, fake{
		replay: func(r *capturev1.ReplayRequest) ([]*capturev1.ReplayedStream, error) {
			return []*capturev1.ReplayedStream{{Name: r.DlqName, Replayed: uint64(len(r.Ids))}}, nil
		},
		keys: func(r *capturev1.ReadKeysRequest) (*capturev1.ReadKeysResponse, error) {
			return &capturev1.ReadKeysResponse{Scanned: uint64(r.MaxKeys)}, nil
		},
		flush: func(name string) ([]string, error) { return []string{"job of " + name}, nil },
	})
	ctx := t.Context()
	if r, err := c.Replay(ctx, &capturev1.ReplayRequest{DlqName: "d", Ids: []string{"1-1", "2-1"}}); err != nil || r.Streams[0].Name != "d" || r.Streams[0].Replayed != 2 {
		t.Errorf("Replay = %v, %v", r, err)
	}
	if r, err := c.ReadKeys(ctx, &capturev1.ReadKeysRequest{Pipeline: &pipelinev1.Pipeline{}, MaxKeys: 7}); err != nil || r.Scanned != 7 {
		t.Errorf("ReadKeys = %v, %v", r, err)
	}
	if _, err := c.ReadKeys(ctx, &capturev1.ReadKeysRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("ReadKeys of nothing: %v", err)
	}
	if r, err := c.AcknowledgeFlush(ctx, &capturev1.AcknowledgeFlushRequest{Pipeline: "p"}); err != nil || len(r.Jobs) != 1 || r.Jobs[0] != "job of p" {
		t.Errorf("AcknowledgeFlush = %v, %v", r, err)
	}
}

func TestErrorsHaveCodes(t *testing.T) {
	tests := []struct {
		err  error
		want codes.Code
	}{
		{fmt.Errorf("pipeline %q: %w", "x", engine.ErrUnknownPipeline), codes.NotFound},
		{fmt.Errorf("%w: y", engine.ErrUnknownStream), codes.NotFound},
		{fmt.Errorf("job %q: %w", "x", engine.ErrUnknownJob), codes.NotFound},
		{fmt.Errorf("%w: z", engine.ErrRequest), codes.InvalidArgument},
		{errors.New("connection refused"), codes.Unavailable},
		{context.DeadlineExceeded, codes.DeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.want.String()+" "+tt.err.Error(), func(t *testing.T) {
			c := dial(t, fake{
				status:   func(string) (*capturev1.PipelineStatus, error) { return nil, tt.err },
				rejected: func(*capturev1.ListRejectedRequest) ([]*capturev1.DeadLetterStream, error) { return nil, tt.err },
				replay:   func(*capturev1.ReplayRequest) ([]*capturev1.ReplayedStream, error) { return nil, tt.err },
				keys:     func(*capturev1.ReadKeysRequest) (*capturev1.ReadKeysResponse, error) { return nil, tt.err },
				flush:    func(string) ([]string, error) { return nil, tt.err },
			})
			if _, err := c.Replay(t.Context(), &capturev1.ReplayRequest{}); status.Code(err) != tt.want {
				t.Errorf("Replay: %v", err)
			}
			if _, err := c.ReadKeys(t.Context(), &capturev1.ReadKeysRequest{Pipeline: &pipelinev1.Pipeline{}}); status.Code(err) != tt.want {
				t.Errorf("ReadKeys: %v", err)
			}
			if _, err := c.AcknowledgeFlush(t.Context(), &capturev1.AcknowledgeFlushRequest{}); status.Code(err) != tt.want {
				t.Errorf("AcknowledgeFlush: %v", err)
			}
			if _, err := c.Status(t.Context(), &capturev1.StatusRequest{}); status.Code(err) != tt.want {
				t.Errorf("Status: %v", err)
			}
			if _, err := c.ListRejected(t.Context(), &capturev1.ListRejectedRequest{}); status.Code(err) != tt.want {
				t.Errorf("ListRejected: %v", err)
			}
			w, err := c.WatchStatus(t.Context(), &capturev1.WatchStatusRequest{})
			if err == nil {
				_, err = w.Recv()
			}
			if status.Code(err) != tt.want {
				t.Errorf("WatchStatus: %v", err)
			}
		})
	}
}

func TestWatchGoesOnUntilTheCallerLeaves(t *testing.T) {
	n := int64(0)
	c := dial(t, fake{status: func(string) (*capturev1.PipelineStatus, error) {
		n++
		return &capturev1.PipelineStatus{ReadMs: n}, nil
	}})
	ctx, leave := context.WithCancel(t.Context())
	w, err := c.WatchStatus(ctx, &capturev1.WatchStatusRequest{IntervalMs: 1}) // raised to the shortest
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := int64(1); i <= 3; i++ {
		r, err := w.Recv()
		if err != nil || r.Status.ReadMs != i {
			t.Fatalf("answer %d: %v, %v", i, r, err)
		}
	}
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("three answers in %v: the shortest interval is 100ms", took)
	}
	leave()
	if _, err := w.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("after leaving: %v", err)
	}
}
