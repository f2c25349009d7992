package recorder_test

import (
	"slices"
	"strings"
	"testing"

	"slipstream/deploy/dev/devserver"
	"slipstream/deploy/dev/jsonserver"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// TestExcludeEach: every command that exclude_commands may name, alone: what the server reports under that name leaves no
// entry, all else does. UNLINK, HMSET and HSETNX are reported under other names, so excluding them alone excludes nothing;
// the check says so (spec 1.4).
func TestExcludeEach(t *testing.T) {
	commands := [][]any{
		{"HSET", "e:1", "a", "1", "n", "1"},
		{"HMSET", "e:1", "b", "1"},
		{"HSETNX", "e:1", "c", "1"},
		{"HINCRBY", "e:1", "n", "1"},
		{"HINCRBYFLOAT", "e:1", "n", "0.5"},
		{"HDEL", "e:1", "a"},
		{"DEL", "e:1"},
		{"HSET", "e:2", "a", "1"},
		{"UNLINK", "e:2"},
		{"JSON.SET", "e:3", ".", `{"n":1,"s":"x","t":true,"l":[1]}`},
		{"JSON.NUMINCRBY", "e:3", "$.n", "1"},
		{"JSON.NUMMULTBY", "e:3", "$.n", "2"},
		{"JSON.STRAPPEND", "e:3", "$.s", `"y"`},
		{"JSON.TOGGLE", "e:3", "$.t"},
		{"JSON.ARRAPPEND", "e:3", "$.l", "2", "3"},
		{"JSON.ARRINSERT", "e:3", "$.l", "0", "0"},
		{"JSON.ARRPOP", "e:3", "$.l"},
		{"JSON.ARRTRIM", "e:3", "$.l", "0", "1"},
		{"JSON.CLEAR", "e:3", "$.l"},
		{"JSON.MERGE", "e:3", "$", `{"m":1}`},
		{"JSON.MSET", "e:4", ".", `{}`},
		{"JSON.DEL", "e:3", "$.m"},
		{"JSON.DEL", "e:4"},
	}
	names := []string{
		"del", "unlink", "hset", "hsetnx", "hmset", "hdel", "hincrby", "hincrbyfloat", "json.set", "json.del", "json.numincrby",
		"json.strappend", "json.toggle", "json.arrappend", "json.arrinsert", "json.arrpop", "json.arrtrim", // the published list
		"json.merge", "json.mset", "json.nummultby", "json.clear",
	}
	jobs := []*pipelinev1.Job{job("all", "e:*")}
	for i, name := range names {
		written := name
		if i%2 == 0 { // in any case
			written = strings.ToUpper(name)
		}
		jobs = append(jobs, job(strings.ReplaceAll(name, ".", "-"), "e:*", func(j *pipelinev1.Job) { j.Source.ExcludeCommands = []string{written} }))
	}
	r := rigAt(t, jsonserver.Redis(t, jsonserver.RedisJSON, devserver.RedisOptions{}).Addr, jobs...)
	r.started()
	for _, command := range commands {
		r.do(command...)
	}
	r.eventually("all is recorded", func() bool { return len(r.entries("all")) == len(commands) })
	all := r.entries("all")
	for _, name := range names {
		want := slices.DeleteFunc(slices.Clone(all), func(e string) bool { return strings.Fields(e)[1] == name })
		if told := name != "unlink" && name != "hmset" && name != "hsetnx"; told == (len(want) == len(all)) {
			t.Errorf("%s: %d of %d entries are left", name, len(want), len(all))
		}
		r.expect(strings.ReplaceAll(name, ".", "-"), want...)
	}
}
