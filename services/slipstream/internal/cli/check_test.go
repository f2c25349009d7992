package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	"slipstream/services/slipstream/internal/cli"
)

const (
	errorSeverity   = pipelinev1.Severity_SEVERITY_ERROR
	warningSeverity = pipelinev1.Severity_SEVERITY_WARNING
)

var problems = []*pipelinev1.Problem{
	{Severity: warningSeverity, File: "jobs/a.yaml", Path: "transform[0]", Line: 3, Message: "odd", Fix: "write x"},
	{Severity: errorSeverity, File: "config.yaml", Path: "connections.source", Line: 2, Message: "no \x1b[31mcolour", Fix: "one\ntwo"},
	{Severity: errorSeverity, Message: "the gateway knows no transformer"},
	{Severity: errorSeverity, File: "config.yaml", Message: "the file is missing", Fix: "write it"},
}

func TestPrintProblems(t *testing.T) {
	const want = `here/config.yaml:2: connections.source: no �[31mcolour
    one
    two
the gateway knows no transformer
here/config.yaml: the file is missing
    write it
here/jobs/a.yaml:3: transform[0]: warning: odd
    write x
3 errors, 1 warning
`
	var b strings.Builder
	if !cli.PrintProblems(&b, "here", problems) || b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
	b.Reset()
	if cli.PrintProblems(&b, ".", nil) || b.String() != "" {
		t.Errorf("nothing wrong: %q", b.String())
	}
	if cli.PrintProblems(&b, ".", problems[:1]) || !strings.HasSuffix(b.String(), "\nno errors, 1 warning\n") {
		t.Errorf("a warning: %q", b.String())
	}
}

func TestValidate(t *testing.T) {
	dir := folder(t, "config.yaml", "C", "jobs/a.yaml", "A", "jobs/b.yml", "B", "jobs/notes.txt", "N", "jobs/.hidden.yaml", "H",
		"jobs/deeper/c.yaml", "D", "other.yaml", "O")
	l := newLine()
	var sent []string
	answer := &gatewayv1.ValidateResponse{Pipeline: &pipelinev1.Pipeline{
		Jobs: []*pipelinev1.Job{{}, {}}, Connections: map[string]*pipelinev1.Connection{"a": {}},
	}}
	l.gateway.validate = func(r *gatewayv1.ValidateRequest) (*gatewayv1.ValidateResponse, error) {
		sent = nil
		for _, f := range r.GetFiles() {
			sent = append(sent, f.GetPath()+"="+string(f.GetText()))
		}
		return answer, nil
	}
	code, stdout, stderr := l.do(t, "validate", "--dir", dir, "--offline")
	if code != 0 || stderr != "" || stdout != "valid: 2 jobs, 1 connection (form and expressions; source and tables are checked without --offline)\n" {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if got, want := strings.Join(sent, " "), "config.yaml=C jobs/a.yaml=A jobs/b.yml=B"; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	if code, stdout, _ := l.do(t, "validate", "--dir", dir, "--gateway", "h:1"); code != 0 || !strings.HasSuffix(stdout, "(form, expressions, source and tables)\n") {
		t.Errorf("code %d, stdout %q", code, stdout)
	}

	answer = &gatewayv1.ValidateResponse{Problems: problems}
	code, stdout, _ = l.do(t, "validate", "--dir", dir)
	if code != 1 || !strings.HasPrefix(stdout, filepath.Join(dir, "config.yaml")+":2: ") || !strings.HasSuffix(stdout, "3 errors, 1 warning\n") {
		t.Errorf("code %d, stdout %q", code, stdout)
	}
	code, stdout, _ = l.do(t, "validate", "--dir", dir, "-o", "json")
	var parsed struct {
		Valid    bool
		Problems []struct {
			Severity, File, Path, Message, Fix string
			Line                               int
		}
	}
	if err := json.Unmarshal([]byte(stdout), &parsed); err != nil || code != 1 || parsed.Valid || len(parsed.Problems) != 4 {
		t.Fatalf("code %d, %v: %s", code, err, stdout)
	}
	if p := parsed.Problems[0]; p.Severity != "warning" || p.File != "jobs/a.yaml" || p.Line != 3 || p.Path != "transform[0]" || p.Fix != "write x" {
		t.Errorf("problem %+v", p)
	}
}

func TestFoldersThatCannotBeRead(t *testing.T) {
	l := newLine()
	file := filepath.Join(folder(t, "f", ""), "f")
	for _, command := range []string{"validate", "deploy"} {
		if code, _, stderr := l.do(t, command, "--dir", "no/such/folder"); code != 1 || !strings.Contains(stderr, "no/such/folder") {
			t.Errorf("%s: code %d, %q", command, code, stderr)
		}
		if code, _, stderr := l.do(t, command, "--dir", file); code != 1 || !strings.Contains(stderr, "is not a folder") {
			t.Errorf("%s: code %d, %q", command, code, stderr)
		}
	}
	// A missing config.yaml is the gateway's to report, with everything else.
	l.gateway.validate = func(r *gatewayv1.ValidateRequest) (*gatewayv1.ValidateResponse, error) {
		if len(r.GetFiles()) != 1 || r.GetFiles()[0].GetPath() != "jobs/a.yaml" {
			t.Errorf("sent %v", r.GetFiles())
		}
		return &gatewayv1.ValidateResponse{Problems: problems[3:]}, nil
	}
	if code, _, _ := l.do(t, "validate", "--dir", folder(t, "jobs/a.yaml", "A")); code != 1 {
		t.Errorf("code %d", code)
	}
	l.deps.Here = func(context.Context, string) (cli.Gateway, error) { return cli.Gateway{}, errors.New("no transformer") }
	if code, _, stderr := l.do(t, "validate", "--dir", folder(t)); code != 1 || !strings.Contains(stderr, "no transformer") {
		t.Errorf("code %d, %q", code, stderr)
	}
}

func TestDeploy(t *testing.T) {
	dir := folder(t, "config.yaml", "C", "jobs/a.yaml", "A")
	cases := map[string]struct {
		args           []string
		answer         *gatewayv1.DeployResponse
		code           int
		stdout, stderr string
	}{
		"deployed": {
			nil, &gatewayv1.DeployResponse{Generation: 3, Changed: true}, 0, "pipeline default: generation 3 is deployed\n",
			"INFO - Reading a.yaml job\nINFO - Deploying settings to 127.0.0.1:7400\nINFO - Task `deploy` completed successfully.\n",
		},
		"quietly": {
			[]string{"-log-level", "warn"},
			&gatewayv1.DeployResponse{Generation: 3, Changed: true}, 0,
			"pipeline default: generation 3 is deployed\n", "",
		},
		"old spelling":  {[]string{"--loglevel=ERROR"}, &gatewayv1.DeployResponse{}, 0, "pipeline default is unchanged\n", ""},
		"short":         {[]string{"-l", "CRITICAL"}, &gatewayv1.DeployResponse{}, 0, "pipeline default is unchanged\n", ""},
		"dry":           {[]string{"--dry-run", "-l", "error"}, &gatewayv1.DeployResponse{Changed: true}, 0, "pipeline default would change; nothing was deployed\n", ""},
		"other name":    {[]string{"--pipeline", "p", "-l", "error"}, &gatewayv1.DeployResponse{}, 0, "pipeline p is unchanged\n", ""},
		"with errors":   {[]string{"-l", "error"}, &gatewayv1.DeployResponse{Problems: problems[2:3]}, 1, "", "the gateway knows no transformer\n1 error, no warnings\nnothing was deployed\n"},
		"with warnings": {[]string{"-l", "error"}, &gatewayv1.DeployResponse{Problems: []*pipelinev1.Problem{{Severity: warningSeverity, Message: "odd"}}, Changed: true, Generation: 1}, 0, "pipeline default: generation 1 is deployed\n", "warning: odd\nno errors, 1 warning\n"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			l := newLine()
			l.gateway.deploy = func(r *gatewayv1.DeployRequest) (*gatewayv1.DeployResponse, error) {
				if len(r.GetFiles()) != 2 || r.GetDryRun() != (name == "dry") {
					t.Errorf("request %v", r)
				}
				return tc.answer, nil
			}
			code, stdout, stderr := l.do(t, append([]string{"deploy", "--dir", dir}, tc.args...)...)
			if code != tc.code || stdout != tc.stdout || stderr != tc.stderr {
				t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
			}
		})
	}
}

// TestDeployTellsWhatIsStale: what a deploy changes in the meaning of jobs is told, with what becomes of it.
func TestDeployTellsWhatIsStale(t *testing.T) {
	dir := folder(t, "config.yaml", "", "jobs/a.yaml", "")
	changed := []*gatewayv1.ChangedJob{{Job: "emp", Changes: []*pipelinev1.MeaningChange{
		{Path: "transform[0]", Message: "filter: `a` → `b`", NeedsResync: true, Stays: "rows of records that no longer pass"},
	}}}
	const told = "the meaning of job emp changes:\n    transform[0]: filter: `a` → `b`\n        what stays, resync or not: rows of records that no longer pass\n"
	const needs = "job emp needs a resync: rows of keys that do not change keep the meaning from before generation 7"
	tests := map[string]struct {
		flags  []string
		stale  *pipelinev1.StaleJob
		code   int
		stdout string
	}{
		"by hand": {nil, &pipelinev1.StaleJob{}, 0, needs + "\nrun: slipstream resync emp (or deploy --resync). It writes the rows of all keys again and deletes none.\n"},
		"asked":   {[]string{"--resync"}, &pipelinev1.StaleJob{Resync: true}, 0, needs + "; it runs in the background, and status shows how far it is\n"},
		"dry":     {[]string{"--resync", "--dry-run"}, &pipelinev1.StaleJob{Resync: true}, 0, needs + "; it would run in the background\n"},
		"history": {[]string{"--resync"}, &pipelinev1.StaleJob{Caution: "an output keeps history"}, 0, needs + "; an output keeps history\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLine()
			tc.stale.Job, tc.stale.Generation = "emp", 7
			l.gateway.deploy = func(r *gatewayv1.DeployRequest) (*gatewayv1.DeployResponse, error) {
				if want := len(tc.flags) > 0; r.GetResync() != want {
					t.Errorf("resync %t was asked for", r.GetResync())
				}
				return &gatewayv1.DeployResponse{
					Changed: true, Generation: 7, ChangedJobs: changed, Stale: []*pipelinev1.StaleJob{tc.stale}, Compared: true,
				}, nil
			}
			code, stdout, _ := l.do(t, append([]string{"deploy", "--dir", dir}, tc.flags...)...)
			_, tail, _ := strings.Cut(stdout, "deployed\n")
			if code != tc.code || !strings.HasPrefix(stdout, told) || tail != tc.stdout {
				t.Errorf("code %d, stdout\n%s\nwant\n%s…%s", code, stdout, told, tc.stdout)
			}
		})
	}
	l := newLine()
	l.gateway.deploy = func(*gatewayv1.DeployRequest) (*gatewayv1.DeployResponse, error) {
		return &gatewayv1.DeployResponse{Changed: true, Generation: 7}, nil
	}
	if code, _, stderr := l.do(t, "deploy", "--dir", dir, "--resync"); code != 1 || !strings.Contains(stderr, "of an older version") {
		t.Errorf("a gateway that knows nothing of it: code %d, %q", code, stderr)
	}
}
