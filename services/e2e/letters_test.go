package e2e_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/prototext"

	"slipstream/deploy/dev/devserver"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	"slipstream/services/internal/host"
)

// scrupulous is a table whose trigger refuses notes, and says which: a database quotes values in what it says.
const scrupulous = `CREATE TABLE crew (id varchar(40) PRIMARY KEY, age integer, note text);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.note <> '' THEN RAISE EXCEPTION 'no note may be %', NEW.note; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON crew FOR EACH ROW EXECUTE FUNCTION refuse()`

const notedJob = `source:
  redis: {trigger: write-behind, key_pattern: "crew:*", exclude_commands: [hincrby]}
output:
  - uses: relational.write
    with: {connection: hr, table: crew, keys: [id], mapping: [age, note]}
`

// letterKey makes a key in a folder and returns the reference to it.
func letterKey(t *testing.T, dir, name string) string {
	t.Helper()
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // it does not fail
	path := filepath.Join(dir, name)
	must(t, os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(raw)), 0o600))
	return "${file:" + path + "}"
}

// supported is what goes to support, as one text.
func supported(t *testing.T, g gatewayv1.GatewayServiceClient, r *gatewayv1.SupportPackageRequest) (all string, files int) {
	t.Helper()
	stream, err := g.SupportPackage(t.Context(), r)
	must(t, err)
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, files
		}
		must(t, err)
		all += piece.GetPath() + "\n" + string(piece.GetData())
		files++
	}
}

// collecting serves a collector of spans at the address that it returns.
func collecting(t *testing.T, c *collector) string {
	t.Helper()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	srv := grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(srv, c)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	t.Cleanup(func() { srv.Stop(); must(t, <-served) })
	return lis.Addr().String()
}

// text is all that spans say, and how many there are.
func (c *collector) text() (all string, spans int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		all += strings.ReplaceAll(prototext.MarshalOptions{}.Format(s.span), "  ", " ") + "\n"
	}
	return all, len(c.spans)
}

// quotes says whether a text holds another, in clear or in base64, as bytes stand in JSON.
func quotes(text, what string) bool {
	found := strings.Contains(text, what)
	for before := range 3 { // bytes before it in its group of three
		all := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + what))
		found = found || strings.Contains(text, all[(before*8+5)/6:(before+len(what))*8/6])
	}
	return found
}

// TestEncryptedLetters: what a database refuses is nowhere in clear but in the source and before an operator: not in the
// dead-letter stream, not in what the database said, not before a reader, in a log, a span, or in what goes to support. The key is
// changed, and the letter is replayed as it was recorded.
func TestEncryptedLetters(t *testing.T) {
	const marker, later, readerToken, operatorToken = "MARKER-4711", "MARKER-4712", "reader-0123456789abcdef", "operator-0123456789abcdef"
	dir := t.TempDir()
	access := filepath.Join(dir, "access.yaml")
	must(t, os.WriteFile(access, []byte("tokens:\n  - {name: viewer, role: reader, token: "+readerToken+"}\n"+
		"  - {name: deployer, role: operator, token: "+operatorToken+"}\n"), 0o600))
	as := func(token string) func(string) (*grpc.ClientConn, error) {
		return func(address string) (*grpc.ClientConn, error) { return host.DialAs(host.Identity{}, token, address) }
	}
	tg := postgresTarget(t, devserver.SharedPostgres(t))
	tg.exec(t, scrupulous)
	server := devserver.Redis(t, devserver.RedisOptions{})
	c := client(t, server.Addr)
	otlp := &collector{spans: map[string]received{}}
	p := startProcessesFor(t, server.Addr, as(operatorToken), "SLIPSTREAM_ACCESS="+access,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://"+collecting(t, otlp), "OTEL_BSP_SCHEDULE_DELAY=100")
	conn, err := as(readerToken)(p.services["gateway"].address)
	must(t, err)
	defer func() { _ = conn.Close() }()
	reader, operator := gatewayv1.NewGatewayServiceClient(conn), p.gateway()

	// A key that is not there is a problem of the file, not of the night.
	sealed := func(keys ...string) string {
		return config(server.Addr, tg, "applier:\n  dlq_payload: encrypt\n  dlq_payload_key: ["+`"`+strings.Join(keys, `", "`)+`"`+"]\n")
	}
	res, err := operator.Deploy(t.Context(), &gatewayv1.DeployRequest{Files: yamlFiles(map[string]string{
		"config.yaml": sealed("${file:" + dir + "/none}"), "jobs/crew.yaml": notedJob,
	})})
	must(t, err)
	if len(res.GetProblems()) != 1 || res.GetProblems()[0].GetFile() != "config.yaml" || res.GetProblems()[0].GetPath() != "applier.dlq_payload_key" ||
		res.GetProblems()[0].GetLine() == 0 || !strings.Contains(res.GetProblems()[0].GetMessage(), dir+"/none cannot be read") {
		t.Fatalf("deploying without the key: %v", res)
	}

	first, second := letterKey(t, dir, "first"), letterKey(t, dir, "second")
	deploy(t, p, map[string]string{"config.yaml": sealed(first), "jobs/crew.yaml": notedJob})
	running(t, p)
	must(t, c.HSet(t.Context(), "crew:1", "id", "A", "age", 50, "note", marker).Err())
	letters(t, p, 1)

	raw, err := c.XRange(t.Context(), "dlq:slipstream:{default}:crew", "-", "+").Result()
	must(t, err)
	if text := fmt.Sprint(raw); len(raw) != 1 || strings.Contains(text, "MARKER-47") || raw[0].Values["sqlstate"] != "P0001" {
		t.Errorf("in Redis: %q", text)
	}
	letter := func(g gatewayv1.GatewayServiceClient) *capturev1.DeadLetter {
		t.Helper()
		r, err := g.ListRejected(t.Context(), &gatewayv1.ListRejectedRequest{})
		must(t, err)
		return r.GetStreams()[0].GetEntries()[0]
	}
	if e := letter(operator); !strings.Contains(e.GetReject().GetReason(), "no note may be "+marker) || !strings.Contains(string(e.GetReject().GetRecord()), marker) {
		t.Errorf("an operator sees %v", e)
	}
	if e := letter(reader); strings.Contains(e.String(), "MARKER-47") || len(e.GetWithheld()) != 3 || e.GetReject().GetCode() != "P0001" || string(e.GetReject().GetKey()) != "crew:1" {
		t.Errorf("a reader sees %v", e)
	}

	// A trace of a record that is refused: an operator sees it, a reader and the support do not.
	tracing := func(g gatewayv1.GatewayServiceClient) func() string {
		t.Helper()
		next := traceOf(t, g, &gatewayv1.TraceRequest{MaxChangeRecords: 1, TimeoutMs: 60_000})
		return func() (all string) {
			for e := next(); e != nil; e = next() {
				all += e.String() + "\n"
			}
			return all
		}
	}
	forOperator, forReader := tracing(operator), tracing(reader)
	must(t, c.HSet(t.Context(), "crew:2", "id", "B", "note", later).Err())
	if text := forOperator(); !strings.Contains(text, later) || !strings.Contains(text, "REJECTED") {
		t.Errorf("an operator's trace:\n%s", text)
	}
	if text := forReader(); strings.Contains(text, "MARKER-47") || !strings.Contains(text, "REJECTED") || !strings.Contains(text, "P0001") {
		t.Errorf("a reader's trace:\n%s", text)
	}
	letters(t, p, 2)
	writing, stop := context.WithCancel(t.Context())
	written := make(chan struct{})
	go func() { // a record that is refused again and again, for the support's trace
		defer close(written)
		for writing.Err() == nil {
			_ = c.HIncrBy(writing, "crew:2", "age", 1).Err() // it ends with the test
			_ = c.HSet(writing, "crew:2", "note", later).Err()
			time.Sleep(20 * time.Millisecond)
		}
	}()
	all, files := supported(t, operator, &gatewayv1.SupportPackageRequest{
		DumpRejected: 10, Trace: &gatewayv1.TraceRequest{TimeoutMs: 20_000, MaxChangeRecords: 1, OnlyRejected: true},
	})
	stop()
	<-written
	if quotes(all, "MARKER-47") {
		t.Error("what goes to support holds values of refused records")
	}
	if files < 10 || !strings.Contains(all, "P0001") || !strings.Contains(all, "TRACE_STEP_REJECTED") {
		t.Errorf("what goes to support lacks what is in clear: %d files", files)
	}
	for name, s := range p.services {
		text, err := os.ReadFile(s.log.Name())
		must(t, err)
		if strings.Contains(string(text), "MARKER-47") {
			t.Errorf("the log of %s holds values of refused records", name)
		}
	}

	await(t, 30*time.Second, "the spans of batches with refused records", func() (bool, string) {
		all, spans := otlp.text()
		if strings.Contains(all, "MARKER-47") {
			t.Fatalf("spans hold values of refused records:\n%s", all)
		}
		return strings.Contains(all, `key:"slipstream.rejected" value:{int_value:1}`), fmt.Sprintf("%d spans:\n%s", spans, all)
	})

	// The key is changed; the old letter opens still, and is written as it was recorded.
	deploy(t, p, map[string]string{"config.yaml": sealed(second, first), "jobs/crew.yaml": notedJob})
	tg.exec(t, "DROP TRIGGER refuse ON crew")
	running(t, p)
	must(t, c.HSet(t.Context(), "crew:3", "id", "C", "age", 1, "note", "").Err())
	rowsAre(t, tg, "SELECT id FROM crew WHERE id = 'C'", "C")
	must(t, c.HIncrBy(t.Context(), "crew:1", "age", 7).Err())
	out, err := operator.Replay(t.Context(), &gatewayv1.ReplayRequest{Job: "crew", Ids: []string{raw[0].ID}, AsRecorded: true})
	must(t, err)
	if len(out.GetStreams()) != 1 || out.GetStreams()[0].GetReplayed() != 1 {
		t.Fatalf("replayed %v", out)
	}
	rowsAre(t, tg, "SELECT id, age, note FROM crew WHERE id = 'A'", "A|50|"+marker)
}
