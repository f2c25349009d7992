package cli_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	"slipstream/services/slipstream/internal/cli"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gateway answers with what a test wants; the calls a test does not expect panic for want of a function.
type gateway struct {
	gatewayv1.GatewayServiceClient
	validate func(*gatewayv1.ValidateRequest) (*gatewayv1.ValidateResponse, error)
	deploy   func(*gatewayv1.DeployRequest) (*gatewayv1.DeployResponse, error)
	start    func(*gatewayv1.StartRequest) (*gatewayv1.StartResponse, error)
	stop     func(*gatewayv1.StopRequest) (*gatewayv1.StopResponse, error)
	status   func(*gatewayv1.StatusRequest) (*gatewayv1.StatusResponse, error)
	watch    func(context.Context) (grpc.ServerStreamingClient[gatewayv1.WatchStatusResponse], error)
	listed   func() (*gatewayv1.ListPipelinesResponse, error)
	list     func(*gatewayv1.ListJobsRequest) (*gatewayv1.ListJobsResponse, error)
	describe func(*gatewayv1.DescribeJobRequest) (*gatewayv1.DescribeJobResponse, error)
	rejected func(*gatewayv1.ListRejectedRequest) (*gatewayv1.ListRejectedResponse, error)
	replay   func(*gatewayv1.ReplayRequest) (*gatewayv1.ReplayResponse, error)
	test     func(*gatewayv1.TestJobRequest) (*gatewayv1.TestJobResponse, error)
}

func (g *gateway) Replay(_ context.Context, r *gatewayv1.ReplayRequest, _ ...grpc.CallOption) (*gatewayv1.ReplayResponse, error) {
	return g.replay(r)
}

func (g *gateway) TestJob(_ context.Context, r *gatewayv1.TestJobRequest, _ ...grpc.CallOption) (*gatewayv1.TestJobResponse, error) {
	return g.test(r)
}

func (g *gateway) Validate(_ context.Context, r *gatewayv1.ValidateRequest, _ ...grpc.CallOption) (*gatewayv1.ValidateResponse, error) {
	return g.validate(r)
}

func (g *gateway) Deploy(_ context.Context, r *gatewayv1.DeployRequest, _ ...grpc.CallOption) (*gatewayv1.DeployResponse, error) {
	return g.deploy(r)
}

func (g *gateway) Start(_ context.Context, r *gatewayv1.StartRequest, _ ...grpc.CallOption) (*gatewayv1.StartResponse, error) {
	return g.start(r)
}

func (g *gateway) Stop(_ context.Context, r *gatewayv1.StopRequest, _ ...grpc.CallOption) (*gatewayv1.StopResponse, error) {
	return g.stop(r)
}

func (g *gateway) Status(_ context.Context, r *gatewayv1.StatusRequest, _ ...grpc.CallOption) (*gatewayv1.StatusResponse, error) {
	return g.status(r)
}

func (g *gateway) WatchStatus(
	ctx context.Context, _ *gatewayv1.WatchStatusRequest, _ ...grpc.CallOption,
) (grpc.ServerStreamingClient[gatewayv1.WatchStatusResponse], error) {
	return g.watch(ctx)
}

func (g *gateway) ListPipelines(
	context.Context, *gatewayv1.ListPipelinesRequest, ...grpc.CallOption,
) (*gatewayv1.ListPipelinesResponse, error) {
	return g.listed()
}

func (g *gateway) ListJobs(_ context.Context, r *gatewayv1.ListJobsRequest, _ ...grpc.CallOption) (*gatewayv1.ListJobsResponse, error) {
	return g.list(r)
}

func (g *gateway) DescribeJob(_ context.Context, r *gatewayv1.DescribeJobRequest, _ ...grpc.CallOption) (*gatewayv1.DescribeJobResponse, error) {
	return g.describe(r)
}

func (g *gateway) ListRejected(_ context.Context, r *gatewayv1.ListRejectedRequest, _ ...grpc.CallOption) (*gatewayv1.ListRejectedResponse, error) {
	return g.rejected(r)
}

// line is a command line under test.
type line struct {
	gateway gateway
	deps    cli.Deps
	dialed  []string
	closed  int
	config  string // the user's folder for configuration
}

func newLine() *line {
	l := &line{}
	hand := func() cli.Gateway {
		return cli.Gateway{Client: &l.gateway, Close: func() error { l.closed++; return nil }}
	}
	l.deps = cli.Deps{
		Version: "v1.2.3",
		Dial: func(d cli.Door) (cli.Gateway, error) {
			l.dialed = append(l.dialed, d.Address)
			return hand(), nil
		},
		Here: func(context.Context, string) (cli.Gateway, error) {
			l.dialed = append(l.dialed, "here")
			return hand(), nil
		},
		Run:       func(context.Context, cli.Run) error { return nil },
		Getenv:    func(string) string { return "" },
		ConfigDir: func() (string, error) { return l.config, nil },
	}
	return l
}

// do runs a command line; what it dialed must be closed.
func (l *line) do(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	l.dialed, l.closed = nil, 0
	code = cli.Main(t.Context(), l.deps, args, &out, &errs)
	if l.closed != len(l.dialed) {
		t.Errorf("%d gateways made, %d closed", len(l.dialed), l.closed)
	}
	return code, out.String(), errs.String()
}

// ask runs a command line that reads from standard input.
func (l *line) ask(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	l.deps.Stdin = strings.NewReader(stdin)
	return l.do(t, args...)
}

// folder is a folder with files, as path and text in turn.
func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i+1 < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestUsage(t *testing.T) {
	cases := map[string]struct {
		args []string
		want string
	}{
		"unknown command":              {[]string{"frobnicate"}, `unknown command "frobnicate"`},
		"nearly a command":             {[]string{"deplyo"}, "did you mean deploy?"},
		"unknown flag":                 {[]string{"status", "--frob"}, "unknown flag: --frob"},
		"an argument":                  {[]string{"status", "now"}, `status takes no argument, but "now" was given`},
		"no job":                       {[]string{"describe-job"}, "describe-job needs one name, not 0"},
		"two jobs":                     {[]string{"describe-job", "a", "b"}, "describe-job needs one name, not 2"},
		"unknown output":               {[]string{"status", "-o", "xml"}, `--output "xml": use table or json`},
		"unknown job output":           {[]string{"describe-job", "a", "-o", "table"}, `--output "table": use yaml or json`},
		"replay of no records":         {[]string{"replay", "--max-records", "0"}, "--max-records 0: use a number of 1 or more"},
		"two jobs to test":             {[]string{"test", "a", "b"}, "test needs one job, not 2"},
		"too many keys to test":        {[]string{"test", "--n", "5000"}, "--n 5000: use a number from 1 to 1000"},
		"two sources to test":          {[]string{"test", "--keys", "a", "--records", "b"}, "give either --records or --keys"},
		"difference to nothing":        {[]string{"test", "--diff", "--offline"}, "give either --diff or --offline"},
		"plan of nothing":              {[]string{"validate", "--plan", "--offline"}, "give either --plan or --offline"},
		"no records":                   {[]string{"get-rejected", "--max-records", "0"}, "--max-records 0: use a number of 1 or more"},
		"records in words":             {[]string{"get-rejected", "--max-records", "all"}, "invalid argument"},
		"unknown level":                {[]string{"deploy", "--log-level", "loud"}, "use one of DEBUG, INFO, WARN, ERROR, CRITICAL"},
		"a page that is not live":      {[]string{"status", "-p", "2"}, "--page-number is for --live"},
		"a page size that is not live": {[]string{"status", "-s", "2"}, "--page-size is for --live"},
		"streams that are not live":    {[]string{"status", "-i"}, "--ingested-only is for --live"},
		"a page of JSON":               {[]string{"status", "-l", "-i", "-o", "json"}, "--ingested-only is for -o table"},
		"no page":                      {[]string{"status", "-l", "-p", "0"}, "--page-number 0 --page-size 20: use numbers of 1 or more"},
		"an empty page":                {[]string{"status", "-l", "-s", "0"}, "--page-size 0: use numbers of 1 or more"},
		"waiting for nothing":          {[]string{"deploy", "--dry-run", "--wait"}, "nothing to --wait for"},
		"a time for nothing":           {[]string{"deploy", "--timeout", "5s"}, "give a time such as 2m, and --wait"},
		"no time to wait":              {[]string{"deploy", "--wait", "--timeout", "0s"}, "give a time such as 2m, and --wait"},
		"a time in words":              {[]string{"deploy", "--wait", "--timeout", "long"}, "invalid argument"},
		"unseen tables":                {[]string{"deploy", "--validate-tables=false"}, "tables are always looked at"},
		"no days of logs":              {[]string{"dump-support-package", "--log-days", "0"}, "--log-days is 0, not from 1 to 365"},
		"no rejected to dump":          {[]string{"dump-support-package", "--dump-rejected", "0"}, "--dump-rejected 0: use a number of 1 or more"},
		"no database type":             {[]string{"scaffold", "--dir", "x"}, "--db-type is missing: use postgresql or sqlite"},
		"unknown database type":        {[]string{"scaffold", "--db-type", "paper", "--dir", "x"}, `--db-type "paper": use postgresql or sqlite`},
		"ingest":                       {[]string{"scaffold", "--db-type", "sqlite", "--strategy", "ingest", "--dir", "x"}, "one strategy, write_behind"},
		"nowhere to":                   {[]string{"scaffold", "--db-type", "sqlite"}, "give either --dir or --preview"},
		"both":                         {[]string{"scaffold", "--db-type", "sqlite", "--dir", "x", "--preview", "config.yaml"}, "give either --dir or --preview"},
		"unknown preview":              {[]string{"scaffold", "--db-type", "sqlite", "--preview", "x"}, "use config.yaml or jobs/sample.yaml"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := newLine().do(t, tc.args...)
			if code != 2 || stdout != "" || !strings.Contains(stderr, tc.want) || !strings.Contains(stderr, "--help") {
				t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"help"}} {
		code, stdout, _ := newLine().do(t, args...)
		for _, command := range []string{
			"deploy", "describe-job", "get-rejected", "list-jobs", "list-pipelines", "replay", "run", "scaffold", "start", "status", "stop", "test", "validate", "version",
		} {
			if code != 0 || !strings.Contains(stdout, "\n  "+command+" ") {
				t.Errorf("%v: code %d, %s is not in %q", args, code, command, stdout)
			}
		}
	}
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if code, stdout, stderr := newLine().do(t, args...); code != 0 || stdout != "v1.2.3\n" || stderr != "" {
			t.Errorf("%v: %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

func TestWhichGateway(t *testing.T) {
	cases := map[string]struct {
		args     []string
		variable string
		want     string
	}{
		"default":               {[]string{"start"}, "", "127.0.0.1:7400"},
		"variable":              {[]string{"start"}, "host:1", "host:1"},
		"flag":                  {[]string{"start", "--gateway", "host:2"}, "host:1", "host:2"},
		"validate":              {[]string{"validate"}, "", "here"},
		"validate, offline":     {[]string{"validate", "--offline"}, "", "here"},
		"validate and variable": {[]string{"validate"}, "host:1", "host:1"},
		"validate and flag":     {[]string{"validate", "--gateway=host:2"}, "", "host:2"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			l := newLine()
			l.deps.Getenv = func(name string) string {
				if name == "SLIPSTREAM_GATEWAY" {
					return tc.variable
				}
				return ""
			}
			l.gateway.start = func(*gatewayv1.StartRequest) (*gatewayv1.StartResponse, error) {
				return &gatewayv1.StartResponse{}, nil
			}
			l.gateway.validate = func(r *gatewayv1.ValidateRequest) (*gatewayv1.ValidateResponse, error) {
				if r.GetOffline() != strings.Contains(name, "offline") {
					t.Errorf("offline %v", r.GetOffline())
				}
				return &gatewayv1.ValidateResponse{}, nil
			}
			if code, _, stderr := l.do(t, append(tc.args, dirOf(t, tc.args)...)...); code != 0 {
				t.Fatalf("code %d, %s", code, stderr)
			}
			if len(l.dialed) != 1 || l.dialed[0] != tc.want {
				t.Errorf("asked %v, want %s", l.dialed, tc.want)
			}
		})
	}
}

func dirOf(t *testing.T, args []string) []string {
	if args[0] == "validate" {
		return []string{"--dir", folder(t)}
	}
	return nil
}

func TestGatewayErrors(t *testing.T) {
	cases := map[string]struct {
		err  error
		want string
	}{
		"away":      {status.Error(codes.Unavailable, "connection refused"), "the gateway at 127.0.0.1:7400 cannot be asked: connection refused\nstart one with `slipstream run`"},
		"not there": {status.Error(codes.NotFound, "the pipeline is not deployed"), "slipstream start: the pipeline is not deployed\n"},
		"conflict":  {status.Error(codes.Aborted, "deployed meanwhile"), "deployed meanwhile; try again"},
		"other":     {status.Error(codes.Internal, "boom"), "boom (internal)"},
		"no gRPC":   {errors.New("plain"), "slipstream start: plain\n"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			l := newLine()
			l.gateway.start = func(*gatewayv1.StartRequest) (*gatewayv1.StartResponse, error) { return nil, tc.err }
			code, stdout, stderr := l.do(t, "start")
			if code != 1 || stdout != "" || !strings.Contains(stderr, tc.want) {
				t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
			}
		})
	}
	t.Run("cannot be dialed", func(t *testing.T) {
		l := newLine()
		l.deps.Dial = func(cli.Door) (cli.Gateway, error) { return cli.Gateway{}, errors.New("no such scheme") }
		for _, args := range [][]string{{"start"}, {"status", "--live"}} {
			if code, _, stderr := l.do(t, args...); code != 1 || !strings.Contains(stderr, "no such scheme") {
				t.Errorf("%v: code %d, %q", args, code, stderr)
			}
		}
	})
}

func TestStartAndStop(t *testing.T) {
	l := newLine()
	l.gateway.start = func(r *gatewayv1.StartRequest) (*gatewayv1.StartResponse, error) {
		if r.GetPipeline() != "fleet" {
			t.Errorf("pipeline %q", r.GetPipeline())
		}
		return &gatewayv1.StartResponse{Generation: 7}, nil
	}
	l.gateway.stop = func(*gatewayv1.StopRequest) (*gatewayv1.StopResponse, error) {
		return &gatewayv1.StopResponse{Generation: 8}, nil
	}
	if code, stdout, _ := l.do(t, "start", "--pipeline", "fleet"); code != 0 || stdout != "pipeline fleet: generation 7 is started\n" {
		t.Errorf("start: %d, %q", code, stdout)
	}
	if code, stdout, _ := l.do(t, "stop"); code != 0 || stdout != "pipeline default: generation 8 is stopped\n" {
		t.Errorf("stop: %d, %q", code, stdout)
	}
}

func TestRun(t *testing.T) {
	l := newLine()
	var listen string
	d := folder(t, "config.yaml", "C")
	l.deps.RunFlags = func(f *pflag.FlagSet) { f.StringVar(&listen, "listen", "default:1", "where") }
	l.deps.Run = func(_ context.Context, r cli.Run) error {
		_, err := fmt.Fprint(r.Stdout, r.Dir, " ", len(r.Files), " ", listen)
		return err
	}
	if code, stdout, stderr := l.do(t, "run", "--dir", d, "--listen", "h:2"); code != 0 || stdout != d+" 1 h:2" {
		t.Errorf("%d, %q, %q", code, stdout, stderr)
	}
	l.deps.Run = func(_ context.Context, r cli.Run) error {
		cli.PrintProblems(r.Stderr, r.Dir, []*pipelinev1.Problem{{Message: "bad"}})
		return fmt.Errorf("deploying: %w", cli.ErrReported)
	}
	if code, _, stderr := l.do(t, "run"); code != 1 || stderr != "bad\n1 error, no warnings\n" {
		t.Errorf("%d, %q", code, stderr)
	}
	l.deps.Run = func(context.Context, cli.Run) error { return io.ErrUnexpectedEOF }
	if code, _, stderr := l.do(t, "run"); code != 1 || stderr != "slipstream run: unexpected EOF\n" {
		t.Errorf("%d, %q", code, stderr)
	}
}
