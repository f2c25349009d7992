package e2e_test

import (
	"bufio"
	"context"
	encoding "encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// traceOf starts a trace and returns it once records are followed.
func traceOf(t *testing.T, g gatewayv1.GatewayServiceClient, r *gatewayv1.TraceRequest) func() *gatewayv1.TraceResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	stream, err := g.Trace(ctx, r)
	must(t, err)
	first, err := stream.Recv()
	must(t, err)
	if len(first.GetStarted().GetInstances()) != 1 {
		t.Fatalf("first: %v", first)
	}
	return func() *gatewayv1.TraceResponse {
		t.Helper()
		next, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		must(t, err)
		return next
	}
}

// TestTraceOfRecords: a record is followed from the event to the commit, with the statement that the target runs for it; one that does not
// fit shows why, and a filtered one by which block (spec 9.3).
func TestTraceOfRecords(t *testing.T) {
	for name, start := range harnesses {
		t.Run(name, func(t *testing.T) {
			tg := sqliteTarget(t)
			tg.exec(t, empTable)
			server := devserver.Redis(t, devserver.RedisOptions{})
			rdb := redis.NewClient(&redis.Options{Addr: server.Addr})
			defer func() { _ = rdb.Close() }()
			l := start(t, server.Addr)
			deploy(t, l, map[string]string{"config.yaml": config(server.Addr, tg, ""), "jobs/emp.yaml": quickstart})
			running(t, l)
			next := traceOf(t, l.gateway(), &gatewayv1.TraceRequest{MaxChangeRecords: 1, TimeoutMs: 60_000})
			must(t, rdb.HSet(t.Context(), "emp:Ada:Lovelace", "fname", "Ada", "lname", "Lovelace", "address", "St James's Square").Err())
			var steps []gatewayv1.TraceStep
			var statement string
			var summary *gatewayv1.TraceSummary
			for e := next(); e != nil; e = next() {
				if s := e.GetStage(); s != nil {
					steps = append(steps, s.GetStep())
					if string(s.GetKey()) != "emp:Ada:Lovelace" || s.GetRecord() != 1 || s.GetAtMs() != 0 && s.GetElapsedMs() < 0 {
						t.Errorf("stage %v", s)
					}
					statement += s.GetStatement()
				}
				summary = e.GetSummary()
			}
			want := []gatewayv1.TraceStep{
				gatewayv1.TraceStep_TRACE_STEP_EVENT, gatewayv1.TraceStep_TRACE_STEP_RECORDED, gatewayv1.TraceStep_TRACE_STEP_CAPTURED,
				gatewayv1.TraceStep_TRACE_STEP_RECEIVED, gatewayv1.TraceStep_TRACE_STEP_JOB, gatewayv1.TraceStep_TRACE_STEP_BEFORE,
				gatewayv1.TraceStep_TRACE_STEP_AFTER, gatewayv1.TraceStep_TRACE_STEP_STATEMENT, gatewayv1.TraceStep_TRACE_STEP_RESULT,
				gatewayv1.TraceStep_TRACE_STEP_COMPLETED,
			}
			if got := slices.DeleteFunc(steps, func(s gatewayv1.TraceStep) bool { return s == gatewayv1.TraceStep_TRACE_STEP_BLOCK }); !slices.Equal(got, want) {
				t.Errorf("stages %v", got)
			}
			if !strings.Contains(statement, "St James''s Square") || !strings.Contains(strings.ToUpper(statement), "INSERT INTO") {
				t.Errorf("statement %q", statement)
			}
			if summary.GetRecords() != 1 || summary.GetSettled() != 1 || summary.GetUnfinished() != 0 || summary.GetLatencyMaxMs() <= 0 {
				t.Errorf("summary %v", summary)
			}
		})
	}
}

// TestAdministration: what an operator does to a running line, by the same calls over gRPC and over HTTP with JSON.
func TestAdministration(t *testing.T) {
	const inClear, inVariable, inFile = "Sesame-in-clear-1", "Sesame-in-env-2", "Sesame-in-file-3"
	server := devserver.Redis(t, devserver.RedisOptions{Args: []string{"--requirepass", inVariable}})
	tg := postgresTarget(t, devserver.SharedPostgres(t))
	tg.exec(t, empTable)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr, Password: inVariable})
	defer func() { _ = rdb.Close() }()
	file := filepath.Join(t.TempDir(), "pw")
	must(t, os.WriteFile(file, []byte(inFile), 0o600))
	for i := range 3 {
		must(t, rdb.HSet(t.Context(), fmt.Sprintf("emp:%d:x", i), "fname", fmt.Sprint(i), "lname", "x", "address", "a").Err())
	}
	host, port, err := net.SplitHostPort(server.Addr)
	must(t, err)
	l := startProcesses(t, "redis://:${env:SLIP_PW}@"+server.Addr, "SLIP_PW="+inVariable)
	yaml := fmt.Sprintf("connections:\n  source:\n    type: redis\n    host: %s\n    port: %s\n    password: ${env:SLIP_PW}\n%s"+
		"  unused:\n    type: postgresql\n    host: h\n    port: 1\n    database: d\n    user: u\n    password: %q\n"+
		"    connect_args: {application_name: x}\n  hidden:\n    type: postgresql\n    host: h\n    port: 1\n    database: d\n    user: u\n    password: ${file:%s}\n",
		host, port, tg.connection, inClear, file)
	deploy(t, l, map[string]string{"config.yaml": yaml, "jobs/emp.yaml": quickstart})
	running(t, l)
	g := l.gateway()

	// Keys that were there are not loaded, until a resync reads them (spec 14, A19).
	if n := len(tg.rows(t, "SELECT 1 FROM emp")); n != 0 {
		t.Errorf("%d rows before the resync", n)
	}
	answer := post(t, l, "resync", `{"jobs": ["emp"]}`)
	if !strings.Contains(answer, `"job":"emp"`) || strings.Contains(answer, `"id":""`) {
		t.Errorf("resync: %s", answer)
	}
	rowsAre(t, tg, "SELECT count(*) FROM emp", "3")
	res, err := g.Reset(t.Context(), &gatewayv1.ResetRequest{})
	must(t, err)
	if len(res.GetSweeps()) != 1 || res.GetSweeps()[0].GetReason() == "" {
		t.Errorf("reset: %v", res)
	}
	findings, err := g.Configure(t.Context(), &gatewayv1.ConfigureRequest{DryRun: true})
	must(t, err)
	if len(findings.GetFindings()) < 6 {
		t.Errorf("findings %v", findings)
	}

	// Over HTTP: an answer, an error with its status, streams line by line, the contracts.
	if text := get(t, l, "/v1/pipelines/default/status", http.StatusOK); !strings.Contains(text, `"running":true`) || !strings.Contains(text, `"version":"`) {
		t.Errorf("status: %s", text)
	}
	if text := get(t, l, "/v1/pipelines/default/jobs/none", http.StatusNotFound); !strings.Contains(text, "there is no job") {
		t.Errorf("a job that is none: %s", text)
	}
	get(t, l, "/v1/pipelines/none/status", http.StatusNotFound)
	if set := get(t, l, "/slipstream.binpb", http.StatusOK); !strings.Contains(set, "GatewayService") {
		t.Error("no protoset")
	}
	if req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+l.http+"/v1/pipelines/default/stop", strings.NewReader("{}")); err != nil {
		t.Fatal(err)
	} else if res, err := http.DefaultClient.Do(req); err != nil || res.Body.Close() != nil || res.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("a form of another site: %v, %v", res, err)
	}
	lines, leave := watch(t, l, "/v1/pipelines/default/status/watch?interval_ms=100")
	for range 3 {
		if one := lines(); !strings.Contains(one, `"result"`) {
			t.Errorf("watch: %s", one)
		}
	}
	leave()
	lines, leave = watch(t, l, "/v1/pipelines/default/trace?max_change_records=1&timeout_ms=60000")
	lines() // started
	must(t, rdb.HSet(t.Context(), "emp:9:x", "fname", "9", "lname", "x", "address", "traced").Err())
	traced := ""
	for one := lines(); one != ""; one = lines() {
		traced += one + "\n"
	}
	leave()
	if !strings.Contains(traced, "TRACE_STEP_COMPLETED") || !strings.Contains(traced, "traced") || !strings.Contains(traced, `"summary"`) {
		t.Errorf("trace:\n%s", traced)
	}

	// What goes to support holds no secret, wherever it came from (G10).
	stream, err := g.SupportPackage(t.Context(), &gatewayv1.SupportPackageRequest{DumpRejected: 5})
	must(t, err)
	files := map[string]string{}
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		files[piece.GetPath()] += string(piece.GetData())
	}
	for name, text := range files {
		for _, secret := range []string{inClear, inVariable, inFile} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %s", name, secret)
			}
		}
	}
	logs := 0
	for name, text := range files {
		if strings.HasSuffix(name, "/log.txt") && strings.Contains(text, "msg=") {
			logs++
		}
	}
	for _, name := range []string{"about.json", "status.json", "pipeline.json", "pipeline/config.yaml", "pipeline/jobs/emp.yaml", "servers.json", "rejected.json"} {
		if files[name] == "" {
			t.Errorf("%s is missing", name)
		}
	}
	if logs < 5 || files["errors.txt"] != "" || !strings.Contains(files["pipeline/config.yaml"], "${env:SLIP_PW}") {
		t.Errorf("%d logs; errors %s", logs, files["errors.txt"])
	}
}

func get(t *testing.T, l *processes, path string, want int) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.http+path, nil)
	must(t, err)
	return answered(t, req, want)
}

func post(t *testing.T, l *processes, call, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+l.http+"/v1/pipelines/default/"+call, strings.NewReader(body))
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	return answered(t, req, http.StatusOK)
}

// answered is the answer, without the spaces that protojson varies.
func answered(t *testing.T, req *http.Request, want int) string {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	must(t, err)
	if res.StatusCode != want {
		t.Fatalf("%s: %s\n%s", req.URL, res.Status, text)
	}
	return compact(text)
}

func compact(text []byte) string {
	var v any
	if encoding.Unmarshal(text, &v) != nil {
		return string(text)
	}
	out, err := encoding.Marshal(v)
	if err != nil {
		return string(text)
	}
	return string(out)
}

// watch reads a stream line by line; empty: it has ended.
func watch(t *testing.T, l *processes, path string) (next func() string, leave func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.http+path, nil)
	must(t, err)
	res, err := http.DefaultClient.Do(req) //nolint:bodyclose // leave closes it
	must(t, err)
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 4<<20)
	return func() string {
			if !lines.Scan() {
				return ""
			}
			return compact(lines.Bytes())
		}, func() {
			cancel()
			_ = res.Body.Close()
			http.DefaultClient.CloseIdleConnections()
		}
}
