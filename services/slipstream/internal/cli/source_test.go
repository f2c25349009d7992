package cli_test

import (
	"context"
	"strings"
	"testing"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	"slipstream/services/slipstream/internal/cli"
)

// TestSource: flags say where the source is, in the spelling of redis-di too, and win over the folder's own source.yaml
// (spec 2.3, 7).
func TestSource(t *testing.T) {
	dir := folder(t, "config.yaml", "C", "source.yaml", "host: folder\n", "jobs/a.yaml", "A")
	l := newLine()
	environment := map[string]string{}
	l.deps.Getenv = func(name string) string { return environment[name] }
	sent := ""
	text := func(files []*pipelinev1.File) string {
		sent = ""
		for _, f := range files {
			if f.GetPath() == "source.yaml" {
				sent += string(f.GetText())
			}
		}
		return sent
	}
	l.gateway.validate = func(r *gatewayv1.ValidateRequest) (*gatewayv1.ValidateResponse, error) {
		text(r.GetFiles())
		return &gatewayv1.ValidateResponse{}, nil
	}
	l.gateway.deploy = func(r *gatewayv1.DeployRequest) (*gatewayv1.DeployResponse, error) {
		text(r.GetFiles())
		return &gatewayv1.DeployResponse{Generation: 1}, nil
	}
	l.deps.Run = func(_ context.Context, r cli.Run) error {
		text(r.Files)
		return nil
	}
	rdi := []string{"--rdi-host", "h", "--rdi-port", "12001", "--rdi-user", "u", "--rdi-cacert", "/ca", "--rdi-cert", "/c", "--rdi-key", "/k", "--rdi-key-password", "kp"}
	all := "host: \"h\"\nport: 12001\nuser: \"u\"\npassword: \"p\\\"w\"\ncacert: \"/ca\"\ncert: \"/c\"\nkey: \"/k\"\nkey_password: \"kp\"\n"
	for _, c := range []struct {
		args        []string
		environment map[string]string
		want        string
	}{
		{nil, nil, "host: folder\n"},
		{append(rdi, "--rdi-password", `p"w`), nil, all},
		{rdi, map[string]string{"RDI_REDIS_PASSWORD": `p"w`, "RDI_REDIS_USERNAME": "other"}, all},
		{[]string{"--source-host=h", "--source-port=6379"}, nil, "host: \"h\"\nport: 6379\n"},
		{nil, map[string]string{"SLIPSTREAM_SOURCE_HOST": "e", "SLIPSTREAM_SOURCE_PORT": "1"}, "host: \"e\"\nport: 1\n"},
		{nil, map[string]string{"RDI_REDIS_PASSWORD": "alone"}, "host: folder\n"},
	} {
		environment = c.environment
		for _, command := range []string{"validate", "deploy", "run"} {
			code, _, stderr := l.do(t, append([]string{command, "--dir", dir}, c.args...)...)
			if code != 0 || sent != c.want {
				t.Errorf("%s %q with %v: code %d, %q, sent %q", command, c.args, c.environment, code, stderr, sent)
			}
		}
	}
	environment = nil
	for args, says := range map[string]string{
		"--rdi-port 1":               "--source-host is missing",
		"--rdi-host h":               `--source-port "": write the port`,
		"--rdi-host h --rdi-port 0":  `--source-port "0": write the port`,
		"--rdi-host h --rdi-port x1": `--source-port "x1": write the port`,
	} {
		code, _, stderr := l.do(t, append([]string{"validate", "--dir", dir}, strings.Fields(args)...)...)
		if code != 2 || !strings.Contains(stderr, says) {
			t.Errorf("%s: code %d, %q", args, code, stderr)
		}
	}
}
