package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/emptypb"

	"slipstream/deploy/dev/devserver"
	gatewayserver "slipstream/gateway/server"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	processv1 "slipstream/proto/slipstream/process/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"
	"slipstream/services/internal/host"
	"slipstream/services/internal/host/authority"
)

// contracts are the services of each process.
var contracts = map[string]protoreflect.FileDescriptor{
	"gateway":          gatewayv1.File_slipstream_gateway_v1_gateway_proto,
	"capture":          capturev1.File_slipstream_capture_v1_capture_proto,
	"transformer":      transformerv1.File_slipstream_transformer_v1_transformer_proto,
	"applier-sqlite":   applierv1.File_slipstream_applier_v1_applier_proto,
	"applier-mysql":    applierv1.File_slipstream_applier_v1_applier_proto,
	"applier-redis":    applierv1.File_slipstream_applier_v1_applier_proto,
	"applier-postgres": applierv1.File_slipstream_applier_v1_applier_proto,
}

// methods are the methods of a process, reflection among them.
func methods(name string) []string {
	all := []string{reflectionv1.ServerReflection_ServerReflectionInfo_FullMethodName, processv1.ProcessService_Describe_FullMethodName}
	services := contracts[name].Services()
	for i := range services.Len() {
		for m := range services.Get(i).Methods().Len() {
			all = append(all, fmt.Sprintf("/%s/%s", services.Get(i).FullName(), services.Get(i).Methods().Get(m).Name()))
		}
	}
	return all
}

// call calls a method with an empty message and returns how that ended; OK stands for any end that is no refusal.
func call(t *testing.T, conn *grpc.ClientConn, method string) (codes.Code, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err == nil {
		if err = stream.SendMsg(&emptypb.Empty{}); err == nil {
			err = stream.CloseSend()
		}
		if end := stream.RecvMsg(&emptypb.Empty{}); err == nil || end != nil {
			err = end
		}
	}
	switch code := status.Code(err); code {
	case codes.Unauthenticated, codes.PermissionDenied:
		return code, err
	case codes.Unavailable:
		if err != nil && (strings.Contains(err.Error(), "authentication handshake failed") || strings.Contains(err.Error(), "error reading server preface") ||
			strings.Contains(err.Error(), "connection closed") || strings.Contains(err.Error(), "write tcp") || strings.Contains(err.Error(), "connection reset")) {
			return code, err
		}
	}
	return codes.OK, err
}

// TestEveryPortRefuses: with TLS on every hop and an access file, each method of each process is tried without
// credentials, with wrong ones, with those of a reader, and with those of an operator; and the line works.
func TestEveryPortRefuses(t *testing.T) {
	const readerToken, operatorToken = "reader-0123456789abcdef", "operator-0123456789abcdef"
	ours, others := authority.New(t), authority.New(t)
	identity := func(a *authority.Authority, name string) host.Identity {
		cert, key := a.Issue(name)
		return host.Identity{Cert: cert, Key: key, CA: ours.File}
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	operatorFile := write("operator.token", operatorToken)
	access := write("access.yaml", "tokens:\n  - {name: viewer, role: reader, token: "+readerToken+"}\n"+
		"  - {name: deployer, role: operator, token: \"${file:"+operatorFile+"}\"}\n"+
		"certificates:\n  - {name: ops.example.org, role: operator}\n  - {name: view.example.org, role: reader}\n")
	line := identity(ours, "line.example.org")
	as := func(i host.Identity, token string) func(string) (*grpc.ClientConn, error) {
		return func(address string) (*grpc.ClientConn, error) { return host.DialAs(i, token, address) }
	}
	operator := as(identity(ours, "ops.example.org"), "")

	server := devserver.Redis(t, devserver.RedisOptions{})
	p := startProcessesFor(t, server.Addr, as(line, operatorToken),
		"SLIPSTREAM_TLS_CERT="+line.Cert, "SLIPSTREAM_TLS_KEY="+line.Key, "SLIPSTREAM_TLS_CA="+line.CA,
		"SLIPSTREAM_ACCESS="+access)

	authorityOnly := host.Identity{CA: ours.File}
	for _, c := range []struct {
		who  string
		dial func(string) (*grpc.ClientConn, error)
		// what becomes of it at the gateway, for methods that only read and others, and behind it
		reads, operates, behind codes.Code
	}{
		{"in the clear", as(host.Identity{}, ""), codes.Unavailable, codes.Unavailable, codes.Unavailable},
		{"a certificate of another authority", as(identity(others, "ops.example.org"), ""), codes.Unavailable, codes.Unavailable, codes.Unavailable},
		{"no credentials", as(authorityOnly, ""), codes.Unauthenticated, codes.Unauthenticated, codes.Unavailable},
		{"a wrong token", as(authorityOnly, "wrong-0123456789abcdef"), codes.Unauthenticated, codes.Unauthenticated, codes.Unavailable},
		{"a certificate with another name", as(identity(ours, "curious.example.org"), ""), codes.Unauthenticated, codes.Unauthenticated, codes.OK},
		{"a reader's token", as(authorityOnly, readerToken), codes.OK, codes.PermissionDenied, codes.Unavailable},
		{"a reader's certificate", as(identity(ours, "view.example.org"), ""), codes.OK, codes.PermissionDenied, codes.OK},
		{"an operator's token", as(authorityOnly, operatorToken), codes.OK, codes.OK, codes.Unavailable},
		{"an operator's certificate", operator, codes.OK, codes.OK, codes.OK},
	} {
		t.Run(c.who, func(t *testing.T) {
			for name := range contracts {
				conn, err := c.dial(p.services[name].address)
				must(t, err)
				for _, method := range methods(name) {
					want := c.behind
					if name == "gateway" {
						if want = c.operates; gatewayserver.ReadOnly(method) {
							want = c.reads
						}
					}
					if got, err := call(t, conn, method); got != want {
						t.Errorf("%s of %s: %v, want %v: %v", method, name, got, want, err)
					}
				}
				if c.behind == codes.OK || name == "gateway" && c.reads != codes.Unavailable { // probes need no credentials
					if _, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
						t.Errorf("health of %s: %v", name, err)
					}
				}
				must(t, conn.Close())
			}
		})
	}

	tg := sqliteTarget(t)
	tg.exec(t, "CREATE TABLE pump (id varchar(10) PRIMARY KEY, site text)")
	deploy(t, p, map[string]string{
		"config.yaml": config(server.Addr, tg, ""),
		"jobs/pump.yaml": "source:\n  redis: {trigger: write-behind, key_pattern: \"pump:*\"}\n  keys: {fields: {id: 1}}\n" +
			"output:\n  - uses: relational.write\n    with: {connection: hr, table: pump, keys: [id], mapping: [site]}\n",
	})
	running(t, p)
	c := client(t, server.Addr)
	must(t, c.HSet(t.Context(), "pump:1", "site", "north").Err())
	rowsAre(t, tg, "SELECT id, site FROM pump", "1|north")
	webRefuses(t, p.http, ours.File, readerToken, operatorToken)
	// Every process renews its certificate and its authority's file is read again: the line goes on, with connections made anew.
	ours.Issue("line.example.org")
	p.kill("transformer")
	must(t, c.HSet(t.Context(), "pump:2", "site", "south").Err())
	rowsAre(t, tg, "SELECT id, site FROM pump ORDER BY id", "1|north", "2|south")
}

// webRefuses: the API over HTTP lets in whom the gateway lets in, over TLS alone.
func webRefuses(t *testing.T, address, authorities, reader, operator string) {
	t.Helper()
	text, err := os.ReadFile(authorities)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	defer web.CloseIdleConnections()
	for _, c := range []struct {
		method, path, token string
		want                int
	}{
		{http.MethodGet, "/v1/pipelines/default/status", "", http.StatusUnauthorized},
		{http.MethodGet, "/v1/pipelines/default/status", "wrong-0123456789abcdef", http.StatusUnauthorized},
		{http.MethodGet, "/v1/pipelines/default/status", reader, http.StatusOK},
		{http.MethodPost, "/v1/pipelines/default/stop", "", http.StatusUnauthorized},
		{http.MethodPost, "/v1/pipelines/default/stop", reader, http.StatusForbidden},
		{http.MethodPost, "/v1/pipelines/default/stop", operator, http.StatusOK},
		{http.MethodPost, "/v1/pipelines/default/start", operator, http.StatusOK},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, "https://"+address+c.path, strings.NewReader("{}"))
		must(t, err)
		r.Header.Set("Content-Type", "application/json")
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		answer, err := web.Do(r)
		must(t, err)
		must(t, answer.Body.Close())
		if answer.StatusCode != c.want {
			t.Errorf("%s %s with %q: %s, want %d", c.method, c.path, c.token, answer.Status, c.want)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/v1/pipelines/default/status", nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+operator)
	if answer, err := web.Do(r); err == nil {
		must(t, answer.Body.Close())
		if answer.StatusCode != http.StatusBadRequest {
			t.Errorf("in the clear: %s", answer.Status)
		}
	}
}
