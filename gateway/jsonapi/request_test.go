package jsonapi_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"slipstream/gateway/jsonapi"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gateway answers what the tests ask.
type gateway struct {
	gatewayv1.UnimplementedGatewayServiceServer

	asked *gatewayv1.ListRejectedRequest
}

func (g *gateway) ListRejected(_ context.Context, r *gatewayv1.ListRejectedRequest) (*gatewayv1.ListRejectedResponse, error) {
	g.asked = r
	return &gatewayv1.ListRejectedResponse{}, nil
}

// served is the API in front of a gateway.
func served(t *testing.T, g *gateway) http.Handler {
	t.Helper()
	lis := bufconn.Listen(1 << 16)
	s := grpc.NewServer()
	gatewayv1.RegisterGatewayServiceServer(s, g)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(lis) }()
	conn, err := grpc.NewClient("passthrough:///", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		s.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	mux := http.NewServeMux()
	if err := jsonapi.Register(t.Context(), mux, conn); err != nil {
		t.Fatal(err)
	}
	return mux
}

// TestRequests: what is asked reaches the call; what is misspelt, or has the wrong type or method, is said to be so.
func TestRequests(t *testing.T) {
	g := &gateway{}
	h := served(t, g)
	const rejected = "/v1/pipelines/fleet/rejected"
	for _, tt := range []struct {
		method, target, body string
		code                 int
		says                 string
	}{
		{"GET", rejected + "?max_records=3&oldest=true", "", 200, `"streams":[]`},
		{"GET", rejected + "?maxRecords=3&oldest=true", "", 200, `"streams":[]`},
		{"GET", rejected + "?max_record=3", "", 400, "max_record"},
		{"GET", rejected + "?max_records=many", "", 400, "max_records"},
		{"POST", rejected, "{}", 405, rejected + " does not take POST"},
		{"DELETE", rejected, "", 405, "DELETE"},
		{"HEAD", rejected, "", 405, ""},
		{"GET", "/v1/pipelines/fleet/stop", "", 405, "GET"},
		{"GET", "/v1/none", "", 404, "Not Found"},
		{"POST", "/v1/pipelines/fleet/stop", `{"pipelines": "x"}`, 400, "pipelines"},
		{"POST", "/v1/pipelines/fleet/resync", `{"jobs": "x"}`, 400, "unexpected token"},
		{"POST", "/v1/pipelines/fleet/stop", "", 501, "Stop"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), tt.method, tt.target, strings.NewReader(tt.body))
		r.Header.Set("Content-Type", "application/json")
		g.asked = nil
		h.ServeHTTP(w, r)
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%s %s %s: %d %s", tt.method, tt.target, tt.body, w.Code, w.Body)
		}
		if asked := g.asked; (asked != nil) != (tt.code == 200) || asked != nil && (asked.Pipeline != "fleet" || asked.MaxRecords != 3 || !asked.Oldest) {
			t.Errorf("%s %s: asked %v", tt.method, tt.target, asked)
		}
	}
}
