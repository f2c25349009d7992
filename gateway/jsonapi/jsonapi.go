// Package jsonapi is the gateway's API over HTTP with JSON: the same calls, the same messages, spelled as protobuf's JSON.
//
// The paths stand in proto/slipstream/gateway/v1/gateway_http.yaml, and the code below slipstream/ is generated from them. A call
// that streams answers with one JSON object a line, {"result": …}, and {"error": …} where it fails. The header Authorization
// goes on to the gRPC server, which alone decides who may do what.
//
// Beside the calls, /slipstream.binpb is the contracts as a protoset, with their comments, for grpcurl -protoset.
package jsonapi

import (
	"context"
	_ "embed"
	"fmt"
	"mime"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	generated "slipstream/gateway/jsonapi/slipstream/gateway/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// Protoset is the contracts of all services as a FileDescriptorSet, with their comments.
//
//go:embed slipstream.binpb
var Protoset []byte

// mostBody bounds the body of a request: a deploy sends every file of a pipeline.
const mostBody = 32 << 20

// Register adds the API to a mux: what begins with /v1/, and the protoset. Everything else is free for others. conn is a
// client of the gateway's own gRPC server and stays the caller's to close; ctx ends with the mux's server.
func Register(ctx context.Context, mux *http.ServeMux, conn *grpc.ClientConn) error {
	api := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{
			MarshalOptions:   protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true},
			UnmarshalOptions: protojson.UnmarshalOptions{}, // a member that is misspelt is an error
		}),
		runtime.SetQueryParameterParser(parameters{}), // there too
		runtime.WithRoutingErrorHandler(unrouted),
	)
	if err := generated.RegisterGatewayServiceHandlerClient(ctx, api, gatewayv1.NewGatewayServiceClient(conn)); err != nil {
		return fmt.Errorf("serving JSON: %w", err)
	}
	mux.Handle("/v1/", guarded(api))
	mux.HandleFunc("GET /slipstream.binpb", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(Protoset) // where the caller is gone, nobody reads
	})
	return nil
}

// guarded bounds what a caller may send, and keeps answers out of caches. What changes something must say that it is JSON:
// a page of another site cannot say so without being asked first.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if r.Method == http.MethodPost && (err != nil || kind != "application/json") {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnsupportedMediaType)
			_, _ = w.Write([]byte(`{"code":3,"message":"send the header Content-Type: application/json"}`)) // as above
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, mostBody)
		next.ServeHTTP(w, r)
	})
}
