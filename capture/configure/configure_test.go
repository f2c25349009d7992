package configure_test

import (
	"net"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"slipstream/capture/configure"
	"slipstream/capture/source"
	"slipstream/deploy/dev/devserver"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	good    = capturev1.FindingState_FINDING_STATE_OK
	changed = capturev1.FindingState_FINDING_STATE_CHANGED
	warning = capturev1.FindingState_FINDING_STATE_WARNING
	failure = capturev1.FindingState_FINDING_STATE_ERROR
)

func configOf(t *testing.T, addr, user, password string) *source.Config {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := source.Parse(&pipelinev1.Connection{Name: "source", Type: "redis", Host: host, Port: port, User: user, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func pipeline() *pipelinev1.Pipeline {
	return &pipelinev1.Pipeline{Name: "fleet", Jobs: []*pipelinev1.Job{{
		Name: "emp", Enabled: true, Source: &pipelinev1.Source{KeyPattern: "emp:*"},
	}}}
}

func find(findings []*capturev1.Finding, subject string) *capturev1.Finding {
	for _, f := range findings {
		if f.GetSubject() == subject {
			return f
		}
	}
	return nil
}

// TestFindings: what is found on servers of every kind, and what the operator is to do about it.
func TestFindings(t *testing.T) {
	for _, tt := range []struct {
		name    string
		args    []string
		change  func(*pipelinev1.Pipeline)
		subject string
		state   capturev1.FindingState
		says    []string // in found, wanted, message or fix
	}{
		{"version", nil, nil, "version", good, []string{"Redis 7"}},
		{"role", nil, nil, "role", good, []string{"master"}},
		{"cluster", []string{"--cluster-enabled", "yes"}, nil, "role", failure, []string{"cluster"}},
		{"replica", []string{"--replicaof", "127.0.0.1 1"}, nil, "role", failure, []string{"connections.streams"}},
		{"no module", nil, nil, "module json", good, []string{"none"}},
		{"module wanted", nil, func(p *pipelinev1.Pipeline) { p.Jobs[0].Source.Types = []string{"json"} }, "module json", failure, []string{"load the JSON module"}},
		{"eviction", []string{"--maxmemory-policy", "allkeys-lru"}, nil, "maxmemory-policy", failure, []string{"noeviction", "connections.streams"}},
		{"no eviction", nil, nil, "maxmemory-policy", good, []string{"noeviction"}},
		{"no persistence", nil, nil, "persistence", warning, []string{"appendonly"}},
		{"append-only", []string{"--appendonly", "yes"}, nil, "persistence", good, []string{"append-only"}},
		{"snapshots", []string{"--save", "900 1"}, nil, "persistence", warning, []string{"snapshots"}},
		{"backlog", nil, nil, "repl-backlog-size", good, []string{"1.0 MB"}},
		{"permissions", nil, nil, "permissions", good, []string{"all"}},
		{"events off", nil, nil, "notify-keyspace-events", changed, []string{"Kghdxe$"}},
		{"some events on", []string{"--notify-keyspace-events", "Kl"}, nil, "notify-keyspace-events", changed, []string{"classes ghdxe$ were off"}},
		{"events on", []string{"--notify-keyspace-events", "KEA"}, nil, "notify-keyspace-events", changed, nil},
		{"no events needed", nil, func(p *pipelinev1.Pipeline) { p.Jobs[0].Source = &pipelinev1.Source{Stream: "outbox"} }, "notify-keyspace-events", good, []string{"no events are needed"}},
		{"CONFIG is refused", []string{"--rename-command", "CONFIG", ""}, nil, "notify-keyspace-events", warning, []string{"will try", "unknown command"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := configOf(t, devserver.Redis(t, devserver.RedisOptions{Args: tt.args}).Addr, "", "")
			p := pipeline()
			if tt.change != nil {
				tt.change(p)
			}
			f := find(configure.Run(t.Context(), configure.Request{Pipeline: p, Source: c, Streams: c}), tt.subject)
			if f == nil {
				t.Fatal("nothing was found")
			}
			if tt.name == "events on" { // A holds all classes but m and n
				tt.state = good
			}
			if f.GetState() != tt.state {
				t.Errorf("state %v, want %v: %v", f.GetState(), tt.state, f)
			}
			for _, says := range tt.says {
				if !strings.Contains(f.String(), says) {
					t.Errorf("does not say %q: %v", says, f)
				}
			}
			if f.GetState() >= warning && f.GetFix() == "" {
				t.Errorf("no fix: %v", f)
			}
		})
	}
}

// TestDryRunChangesNothing: neither parameters nor keys, and what would be changed is said; the next run changes it, and
// keeps what was on.
func TestDryRunChangesNothing(t *testing.T) {
	c := configOf(t, devserver.Redis(t, devserver.RedisOptions{Args: []string{"--notify-keyspace-events", "El"}}).Addr, "", "")
	rdb := c.Client()
	defer func() { _ = rdb.Close() }()
	setting := func() string {
		return rdb.ConfigGet(t.Context(), "notify-keyspace-events").Val()["notify-keyspace-events"]
	}
	before := setting()
	r := configure.Request{Pipeline: pipeline(), Source: c, Streams: c, DryRun: true}
	if f := find(configure.Run(t.Context(), r), "notify-keyspace-events"); f.GetState() != warning || f.GetFix() == "" {
		t.Errorf("dry run: %v", f)
	}
	if now := setting(); now != before {
		t.Errorf("a dry run changed %q to %q", before, now)
	}
	r.DryRun = false
	configure.Run(t.Context(), r)
	for _, class := range "ElKghdxe$" {
		if !strings.ContainsRune(setting(), class) {
			t.Errorf("class %c is off in %q", class, setting())
		}
	}
	if f := find(configure.Run(t.Context(), r), "notify-keyspace-events"); f.GetState() != good {
		t.Errorf("the second run: %v", f)
	}
	if n := rdb.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys were written", n)
	}
}

// TestPermissions: each missing permission is found by its command or its keys, and nothing is run to find out.
func TestPermissions(t *testing.T) {
	server := devserver.Redis(t, devserver.RedisOptions{})
	admin := configOf(t, server.Addr, "", "").Client()
	defer func() { _ = admin.Close() }()
	for _, tt := range []struct {
		name    string
		rules   []string
		subject string
		state   capturev1.FindingState
		says    string
	}{
		{"no HGETALL", []string{"~*", "&*", "+@all", "-hgetall"}, "permissions", failure, "HGETALL emp:x"},
		{"other keys", []string{"~slipstream:*", "~dlq:slipstream:*", "&*", "+@all"}, "permissions", failure, "~emp:*"},
		{"no keys of ours", []string{"~emp:*", "&*", "+@all"}, "permissions", failure, "XADD slipstream:{fleet:0of1}:x"},
		{"no channels", []string{"~*", "resetchannels", "+@all"}, "permissions", failure, "__keyspace@0__:emp:*"},
		{"no watching", []string{"~*", "&*", "+@all", "-watch"}, "permissions", failure, "WATCH"},
		{"no CLIENT ID", []string{"~*", "&*", "+@all", "-client|id"}, "permission CLIENT", warning, "woken"},
		{"no CONFIG", []string{"~*", "&*", "+@all", "-config"}, "permission CONFIG", warning, "turned off"},
		{"no INFO", []string{"~*", "&*", "+@all", "-info"}, "connection", failure, "+info"},
		{"no name", []string{"~*", "&*", "+@all", "-client"}, "connection", failure, "+client|setname"},
		{"no databases", []string{"~*", "&*", "+@all", "-select"}, "permissions", failure, "+select"},
		{"no transactions", []string{"~*", "&*", "+@all", "-multi"}, "permissions", failure, "multi"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := admin.Do(t.Context(), append([]any{"ACL", "SETUSER", "probe", "reset", "on", ">pw"}, anys(tt.rules)...)...).Err(); err != nil {
				t.Fatal(err)
			}
			c := configOf(t, server.Addr, "probe", "pw")
			findings := configure.Run(t.Context(), configure.Request{Pipeline: pipeline(), Source: c, Streams: c, DryRun: true})
			f := find(findings, tt.subject)
			if f.GetState() != tt.state || !strings.Contains(f.String(), tt.says) || f.GetFix() == "" {
				t.Errorf("%v\nall: %v", f, findings)
			}
			if all := find(findings, "permissions"); tt.state == failure && all.GetState() == good {
				t.Error("all permissions are said to be there")
			}
		})
	}
	if n := admin.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys were written", n)
	}
}

// TestGrant: a user who is given what the finding says lacks nothing any more, however little he had.
func TestGrant(t *testing.T) {
	server := devserver.Redis(t, devserver.RedisOptions{})
	admin := configOf(t, server.Addr, "", "").Client()
	defer func() { _ = admin.Close() }()
	look := func(rules ...string) []*capturev1.Finding {
		t.Helper()
		if err := admin.Do(t.Context(), append([]any{"ACL", "SETUSER", "probe", "on", ">pw"}, anys(rules)...)...).Err(); err != nil {
			t.Fatal(err)
		}
		c := configOf(t, server.Addr, "probe", "pw")
		return configure.Run(t.Context(), configure.Request{Pipeline: pipeline(), Source: c, Streams: c, DryRun: true})
	}
	for name, had := range map[string][]string{
		"nothing":               nil,
		"INFO without a name":   {"+info"},
		"a name and INFO":       {"+info", "+client|setname"},
		"no transactions":       {"+info", "+client", "+select"},
		"all that trying takes": {"+info", "+client", "+select", "+multi", "+discard"},
	} {
		t.Run(name, func(t *testing.T) {
			poor := look(append([]string{"reset", "on", ">pw"}, had...)...)
			lacks := find(poor, "permissions")
			if lacks == nil {
				lacks = find(poor, "connection")
			}
			rules, ok := strings.CutPrefix(lacks.GetFix(), "ACL SETUSER <user> ")
			if lacks.GetState() != failure || !ok {
				t.Fatalf("without rights: %v", poor)
			}
			if rich := find(look(strings.Fields(rules)...), "permissions"); rich.GetState() != good {
				t.Errorf("after %q: %v", lacks.GetFix(), rich)
			}
		})
	}
}

func anys(in []string) (out []any) {
	for _, s := range in {
		out = append(out, s)
	}
	return out
}

// TestTwoServers: the streams may be elsewhere; then the source may evict, and each is looked at for what it is for.
func TestTwoServers(t *testing.T) {
	src := configOf(t, devserver.Redis(t, devserver.RedisOptions{Args: []string{"--maxmemory-policy", "allkeys-lru"}}).Addr, "", "")
	streams := configOf(t, devserver.Redis(t, devserver.RedisOptions{}).Addr, "", "")
	findings := configure.Run(t.Context(), configure.Request{Pipeline: pipeline(), Source: src, Streams: streams})
	if f := find(findings, "maxmemory-policy"); f.GetConnection() != "source" || f.GetState() != warning || !strings.Contains(f.GetMessage(), "before it is read") {
		t.Errorf("the source: %v", f)
	}
	of := map[string][]string{}
	for _, f := range findings {
		of[f.GetConnection()] = append(of[f.GetConnection()], f.GetSubject())
	}
	if strings.Contains(strings.Join(of["source"], " "), "persistence") || strings.Contains(strings.Join(of["streams"], " "), "notify") {
		t.Errorf("looked at what does not matter there: %v", of)
	}
	down := configOf(t, "127.0.0.1:1", "", "")
	f := find(configure.Run(t.Context(), configure.Request{Pipeline: pipeline(), Source: down, Streams: down}), "connection")
	if f.GetState() != failure || !strings.Contains(f.GetFix(), "server runs") || !strings.Contains(f.GetFound(), "127.0.0.1:1") {
		t.Errorf("a server that is away: %v", f)
	}
}
