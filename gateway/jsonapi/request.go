package jsonapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// parameters reads the query of a request. One that names no member of the call is an error, as it is in a body.
type parameters struct{ runtime.DefaultQueryParser }

// Parse implements runtime.QueryParameterParser.
func (p parameters) Parse(target proto.Message, values url.Values, filter *utilities.DoubleArray) error {
	members := target.ProtoReflect().Descriptor().Fields()
	for name := range values {
		first, _, _ := strings.Cut(name, ".")
		if members.ByName(protoreflect.Name(first)) == nil && members.ByJSONName(first) == nil {
			return fmt.Errorf("unknown parameter %q", name)
		}
	}
	return p.DefaultQueryParser.Parse(target, values, filter)
}

// unrouted answers what goes to no call. A method that a path does not have is told as HTTP tells it: the status of its gRPC code
// would be that of a server that knows no such method at all.
func unrouted(ctx context.Context, mux *runtime.ServeMux, m runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
	if code != http.StatusMethodNotAllowed {
		runtime.DefaultRoutingErrorHandler(ctx, mux, m, w, r, code)
		return
	}
	runtime.HTTPError(ctx, mux, m, w, r, &runtime.HTTPStatusError{
		HTTPStatus: code, Err: status.Errorf(codes.Unimplemented, "%s does not take %s", r.URL.Path, r.Method),
	})
}
