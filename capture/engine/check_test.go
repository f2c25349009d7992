package engine_test

import (
	"strings"
	"testing"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// What a check finds, with what the user is to do about it.
func TestCheck(t *testing.T) {
	const (
		failure = pipelinev1.Severity_SEVERITY_ERROR
		warning = pipelinev1.Severity_SEVERITY_WARNING
	)
	tests := []struct {
		name     string
		args     []string
		change   func(*pipelinev1.Pipeline)
		severity pipelinev1.Severity // 0: nothing is found
		message  string
		fix      string
		where    string // job path, or connection
	}{
		{"all is well", nil, func(*pipelinev1.Pipeline) {}, 0, "", "", ""},
		{"no source", nil, func(p *pipelinev1.Pipeline) { delete(p.Connections, "source") }, failure, "connections.source is missing", "type redis", "source"},
		{"unreachable", nil, func(p *pipelinev1.Pipeline) { p.Connections["source"].Port = "1" }, failure, "refused", "server runs", "source"},
		{"a reference to nothing", nil, func(p *pipelinev1.Pipeline) {
			p.Connections["source"].Password = "${env:SLIPSTREAM_TEST_NO_SUCH_VARIABLE}"
		}, failure, "SLIPSTREAM_TEST_NO_SUCH_VARIABLE", "reference", "source"},
		{"a port that is none", nil, func(p *pipelinev1.Pipeline) { p.Connections["source"].Port = "many" }, failure, "port", "", "source"},
		{"password asked for", []string{"--requirepass", "secret"}, func(*pipelinev1.Pipeline) {}, failure, "NOAUTH", "password", "source"},
		{"json without the module", nil, func(p *pipelinev1.Pipeline) { p.Jobs[0].Source.Types = []string{"json"} }, failure, "no JSON commands", "module", "source.redis.types"},
		{
			"everything may be evicted",
			[]string{"--maxmemory-policy", "allkeys-lru"},
			func(*pipelinev1.Pipeline) {}, failure, "allkeys-lru", "connections.streams", "source",
		},
		{
			"events may not be turned on",
			[]string{"--rename-command", "CONFIG", ""},
			func(*pipelinev1.Pipeline) {}, warning, "does not tell", `notify-keyspace-events "Kghdxe$"`, "source",
		},
		{"opcodes are seen", nil, func(p *pipelinev1.Pipeline) { p.Jobs[0].RowFormat = pipelinev1.RowFormat_ROW_FORMAT_FULL }, 0, "", "", ""},
		{
			"opcodes are seen, and creations not told",
			[]string{"--notify-keyspace-events", "KA", "--rename-command", "CONFIG", ""},
			func(p *pipelinev1.Pipeline) { p.Jobs[0].RowFormat = pipelinev1.RowFormat_ROW_FORMAT_FULL },
			warning, "opcode u instead of c", "class n", "source.redis",
		},
		{"our own keys", nil, func(p *pipelinev1.Pipeline) { p.Jobs[0].Source.KeyPattern = "slipstream:*" }, failure, "never captured", "application", "source.redis.key_pattern"},
		{"no pattern", nil, func(p *pipelinev1.Pipeline) { p.Jobs[0].Source.KeyPattern = "" }, failure, "missing", "emp:*", "source.redis.key_pattern"},
		{"a command that is never seen", nil, func(p *pipelinev1.Pipeline) { p.Jobs[0].Source.ExcludeCommands = []string{"unlink"} }, warning, "unlink", "del", "source.redis.exclude_commands"},
		{"a command in company", nil, func(p *pipelinev1.Pipeline) { p.Jobs[0].Source.ExcludeCommands = []string{"hset"} }, warning, "hmset and hsetnx from hset", "to say so", "source.redis.exclude_commands"},
		{"all of a company", nil, func(p *pipelinev1.Pipeline) {
			p.Jobs[0].Source.ExcludeCommands = []string{"HSET", "hmset", "hsetnx", "del", "unlink", "hdel", "json.del"}
		}, 0, "", "", ""},
		{"a command in company, told by the application", nil, func(p *pipelinev1.Pipeline) {
			p.Jobs[0].Source = &pipelinev1.Source{Stream: "app:outbox", ExcludeCommands: []string{"hset", "unlink"}, Values: pipelinev1.Values_VALUES_EACH}
		}, 0, "", "", ""},
		{"every value", nil, func(p *pipelinev1.Pipeline) { p.Jobs[0].Source.Values = pipelinev1.Values_VALUES_EACH }, warning, "share one", "after", "source.redis.values"},
		{"a history", nil, func(p *pipelinev1.Pipeline) {
			p.Jobs[0].Outputs[0].Writer = &pipelinev1.Output_Relational{Relational: &pipelinev1.RelationalWrite{
				LoadStrategy: pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND,
			}}
		}, warning, "one more row", "opcode r", "output[0].with.load_strategy"},
		{"no output", nil, func(p *pipelinev1.Pipeline) { p.Jobs[0].Outputs = nil }, failure, "writes nowhere", "output", "output"},
		{"dead letters without their key", nil, func(p *pipelinev1.Pipeline) {
			p.Settings = &pipelinev1.Settings{
				DlqPayload: pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_ENCRYPT, DlqPayloadKey: []string{"${env:SLIPSTREAM_TEST_NO_SUCH_VARIABLE}"},
			}
		}, failure, "SLIPSTREAM_TEST_NO_SUCH_VARIABLE is not set", "openssl rand -base64 32", "applier.dlq_payload_key"},
		{"a stream of ours", nil, func(p *pipelinev1.Pipeline) { p.Jobs[0].Source.Stream = "slipstream:x" }, failure, "own", "application", "source.redis.stream"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t, tt.args...)
			tt.change(h.spec)
			e, stop := h.engine("one")
			got := e.Check(t.Context(), h.spec)
			stop()
			if tt.severity == 0 {
				if len(got.Problems) != 0 || !strings.Contains(got.Server, " ") {
					t.Errorf("server %q, problems %v", got.Server, got.Problems)
				}
				return
			}
			if strings.Contains(strings.Join(tt.args, " "), "KA") { // that CONFIG is refused is another finding, and proved above
				got.Problems = got.Problems[1:]
			}
			if len(got.Problems) != 1 {
				t.Fatalf("%d problems, want one: %v", len(got.Problems), got.Problems)
			}
			p := got.Problems[0]
			if p.Severity != tt.severity || !strings.Contains(p.Message, tt.message) || !strings.Contains(p.Fix, tt.fix) {
				t.Errorf("problem %v", p)
			}
			if p.Path != tt.where && p.Connection != tt.where {
				t.Errorf("problem at path %q, connection %q; want %q", p.Path, p.Connection, tt.where)
			}
			if strings.Contains(p.String(), "secret") {
				t.Errorf("a secret leaks: %v", p)
			}
		})
	}
}

// Every problem is found in one check.
func TestCheckFindsAll(t *testing.T) {
	h := newHouse(t, "--maxmemory-policy", "allkeys-lru")
	h.spec.Jobs = append(h.spec.Jobs, job("docs", "target"))
	h.spec.Jobs[0].Outputs = nil
	h.spec.Jobs[1].Source.Types = []string{"json"}
	e, stop := h.engine("one")
	defer stop()
	if got := e.Check(t.Context(), h.spec); len(got.Problems) != 3 {
		t.Errorf("%d problems, want 3: %v", len(got.Problems), got.Problems)
	}
}

// A check changes nothing on the source.
func TestCheckLeavesTheSettingAlone(t *testing.T) {
	h := newHouse(t, "--notify-keyspace-events", "Ex")
	e, stop := h.engine("one")
	defer stop()
	if got := e.Check(t.Context(), h.spec); len(got.Problems) != 0 {
		t.Errorf("problems %v", got.Problems)
	}
	values, err := h.rdb.ConfigGet(t.Context(), "notify-keyspace-events").Result()
	if v := values["notify-keyspace-events"]; err != nil || len(v) != 2 || !strings.Contains(v, "E") || !strings.Contains(v, "x") {
		t.Errorf("setting is %q now, %v", v, err)
	}
}
