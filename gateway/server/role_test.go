package server

import (
	"testing"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// TestRoles: of each method somebody has said who may call it.
func TestRoles(t *testing.T) {
	methods := gatewayv1.File_slipstream_gateway_v1_gateway_proto.Services().Get(0).Methods()
	for i := range methods.Len() {
		name := string(methods.Get(i).Name())
		if reading[name] == operating[name] {
			t.Errorf("%s is in both lists of role.go, or in none", name)
		}
		full := "/slipstream.gateway.v1.GatewayService/" + name
		if ReadOnly(full) != reading[name] {
			t.Errorf("%s: read only %t", full, ReadOnly(full))
		}
	}
	for method, want := range map[string]bool{
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": true, "/slipstream.gateway.v1.GatewayService/Unheard": false,
		"/slipstream.capture.v1.CaptureService/Status": false, "": false, "/Status": false,
	} {
		if ReadOnly(method) != want {
			t.Errorf("%q: read only %t", method, !want)
		}
	}
}
