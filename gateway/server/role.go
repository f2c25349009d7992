package server

import "strings"

// reading are the methods of the gateway that change nothing, here or elsewhere. Validate and TestJob are not among them:
// they connect where the given files say, with the secrets that these refer to.
var reading = map[string]bool{
	"ListPipelines": true, "Status": true, "WatchStatus": true, "ListJobs": true, "DescribeJob": true,
	"ListRejected": true, "ListDeadLetterStreams": true, "Trace": true,
}

// operating are the others. A method that is in neither is taken for one of these; a test wants each to be in one.
var operating = map[string]bool{
	"Validate": true, "Deploy": true, "Start": true, "Stop": true, "Replay": true, "TestJob": true,
	"Resync": true, "Reset": true, "Configure": true, "SupportPackage": true,
}

// ReadOnly says of a method, as gRPC writes it, whether those may call it who may only look.
func ReadOnly(method string) bool {
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	switch service {
	case "slipstream.gateway.v1.GatewayService":
		return reading[name]
	case "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection":
		return true
	}
	return false
}
