package e2e_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"slipstream/deploy/dev/devserver"
)

// command is a line of docs/operating.md: grpcurl -plaintext [-d 'JSON'] ADDRESS SYMBOL.
var command = regexp.MustCompile(`(?m)^grpcurl -plaintext (?:-d '([^']*)' )?127\.0\.0\.1:7400 (\S+)(?: (\S+))?$`)

// request is a line of docs/operating.md: curl with a GET, or a POST of JSON.
var request = regexp.MustCompile(`(?m)^curl -sN? (?:-H 'Content-Type: application/json' -d '([^']*)' )?'?http://127\.0\.0\.1:7480([^'\s]*)'?( -o \S+)?$`)

// TestCookbook runs every grpcurl command of docs/operating.md on a running pipeline as grpcurl does: descriptors come
// from the server's reflection, messages are dynamic.
func TestCookbook(t *testing.T) {
	text, err := os.ReadFile("../../docs/operating.md")
	must(t, err)
	commands := command.FindAllStringSubmatch(string(text), -1)
	if plain := strings.Count(string(text), "\ngrpcurl -plaintext ") - 1; len(commands) != plain || plain < 8 {
		t.Fatalf("%d commands understood, %d in the text (one more, Deploy, is proved by every other test)", len(commands), plain)
	}
	tg := sqliteTarget(t)
	tg.exec(t, empTable)
	server := devserver.Redis(t, devserver.RedisOptions{})
	p := startProcesses(t, server.Addr)
	deploy(t, p, map[string]string{"config.yaml": config(server.Addr, tg, ""), "jobs/emp.yaml": quickstart})
	running(t, p)
	curls := request.FindAllStringSubmatch(string(text), -1)
	if n := strings.Count(string(text), "\ncurl "); len(curls) != n || n < 8 {
		t.Fatalf("%d requests understood, %d in the text", len(curls), n)
	}
	for _, m := range curls {
		t.Run("curl "+m[2], func(t *testing.T) { curl(t, p, m[1], m[2]) })
	}
	r := &reflected{conn: p.conn("gateway")}
	for _, m := range commands {
		data, symbol, argument := m[1], m[2], m[3]
		t.Run(symbol+" "+argument, func(t *testing.T) {
			if symbol == "list" {
				names := r.list(t)
				if argument == "" && !strings.Contains(strings.Join(names, " "), "slipstream.gateway.v1.GatewayService") {
					t.Errorf("services: %v", names)
				}
				if argument != "" && r.service(t, argument).Methods().Len() < 9 {
					t.Errorf("%s has too few methods", argument)
				}
				return
			}
			if out := r.call(t, symbol, data); out == "" {
				t.Error("no answer")
			}
		})
	}
}

// curl makes a request and wants an answer, the first line of a stream.
func curl(t *testing.T, p *processes, body, path string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.http+path, strings.NewReader(body))
	must(t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer http.DefaultClient.CloseIdleConnections()
	defer func() { _ = res.Body.Close() }()
	first := make([]byte, 1)
	if _, err := io.ReadFull(res.Body, first); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("%s, %v", res.Status, err)
	}
}

// reflected is a client that knows nothing but what the server's reflection says.
type reflected struct{ conn *grpc.ClientConn }

func (r *reflected) ask(t *testing.T, q *reflectionv1.ServerReflectionRequest) *reflectionv1.ServerReflectionResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s, err := reflectionv1.NewServerReflectionClient(r.conn).ServerReflectionInfo(ctx)
	must(t, err)
	must(t, s.Send(q))
	a, err := s.Recv()
	must(t, err)
	return a
}

func (r *reflected) list(t *testing.T) (names []string) {
	t.Helper()
	a := r.ask(t, &reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
	for _, s := range a.GetListServicesResponse().GetService() {
		names = append(names, s.Name)
	}
	return names
}

// service finds a service's descriptor by the server's own files.
func (r *reflected) service(t *testing.T, name string) protoreflect.ServiceDescriptor {
	t.Helper()
	a := r.ask(t, &reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name}})
	set := &descriptorpb.FileDescriptorSet{}
	for _, raw := range a.GetFileDescriptorResponse().GetFileDescriptorProto() {
		f := &descriptorpb.FileDescriptorProto{}
		must(t, proto.Unmarshal(raw, f))
		set.File = append(set.File, f)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil { // the server sends a file, and the client asks for what it imports; ours are linked in here
		files = protoregistry.GlobalFiles
	}
	d, err := files.FindDescriptorByName(protoreflect.FullName(name))
	must(t, err)
	return d.(protoreflect.ServiceDescriptor)
}

// call calls service/method with JSON and gives the answer, the first one of a stream, as JSON.
func (r *reflected) call(t *testing.T, symbol, data string) string {
	t.Helper()
	service, method, _ := strings.Cut(symbol, "/")
	m := r.service(t, service).Methods().ByName(protoreflect.Name(method))
	if m == nil {
		t.Fatalf("%s has no method %s", service, method)
	}
	in, out := dynamicpb.NewMessage(m.Input()), dynamicpb.NewMessage(m.Output())
	if data != "" {
		must(t, protojson.Unmarshal([]byte(data), in))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if !m.IsStreamingServer() {
		must(t, r.conn.Invoke(ctx, "/"+symbol, in, out))
		return protojson.Format(out)
	}
	s, err := r.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/"+symbol)
	must(t, err)
	must(t, s.SendMsg(in), s.CloseSend(), s.RecvMsg(out))
	return protojson.Format(out)
}
