package recorder_test

import (
	"fmt"
	"strings"
	"testing"

	"slipstream/capture/recorder"
	"slipstream/capture/stream"
	"slipstream/deploy/dev/devserver"
	"slipstream/deploy/dev/jsonserver"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func each(j *pipelinev1.Job) { j.Source.Values = pipelinev1.Values_VALUES_EACH }

// carried is what the entries of a job's one partition carry, as "command value".
func (r *rig) carried(jobName string) []string {
	r.t.Helper()
	messages, err := r.rdb.XRange(r.t.Context(), stream.OfJob("p", job(jobName, ""), 1)[0].Main, "-", "+").Result()
	if err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, m := range messages {
		s := fmt.Sprint(m.Values["command"])
		for _, field := range []string{stream.FieldAfter, stream.FieldFound} {
			if v, ok := m.Values[field]; ok {
				s += fmt.Sprintf(" %s %s", field, v)
			}
		}
		if packed, ok := m.Values[stream.FieldHash].(string); ok {
			for name, value := range stream.Unpack([]byte(packed)) {
				s += fmt.Sprintf(" %s=%q", name, value)
			}
		}
		all = append(all, s)
	}
	return all
}

// TestEach: with values: each an entry carries what was at the key right after its change, whatever bytes that is; a job
// beside it that does not ask for it carries nothing.
func TestEach(t *testing.T) {
	r := rigAt(t, jsonserver.Redis(t, jsonserver.ValkeyJSON, devserver.RedisOptions{}).Addr, job("emp", "emp:*", each), job("other", "emp:*"))
	r.spec.Settings.Partitions = 1
	r.started()
	steps := []struct {
		commands [][]any
		want     []string
	}{
		{[][]any{{"HSET", "emp:1", "a", "1"}}, []string{`hset a="1"`}},
		{[][]any{{"HINCRBY", "emp:1", "a", "41"}}, []string{`hincrby a="42"`}},
		{[][]any{{"HDEL", "emp:1", "a"}}, []string{"hdel found nothing", "del"}},
		{[][]any{{"HSET", "emp:2", "a", "\x00\xff", "", "käse"}}, []string{`hset a="\x00\xff" ="käse"`}},
		{[][]any{{"RENAME", "emp:2", "emp:3"}}, []string{"rename_from", `rename_to a="\x00\xff" ="käse"`}},
		{[][]any{{"SET", "emp:3", "text"}}, []string{"set found other"}},
		{[][]any{{"EVAL", "redis.call('HSET', KEYS[1], 'a', '1') redis.call('DEL', KEYS[1])", "1", "emp:4"}}, []string{"hset found nothing", "del"}},
		{
			[][]any{{"EVAL", "redis.call('HSET', KEYS[1], 'a', '1') redis.call('HSET', KEYS[1], 'a', '2')", "1", "emp:5"}},
			[]string{`hset a="2"`, `hset a="2"`}, // closer than the read: they share a value
		},
		{[][]any{{"JSON.SET", "emp:6", ".", `{"a":{"b":[1,2]}}`}}, []string{`json.set after {"a":{"b":[1,2]}}`}},
		{[][]any{{"JSON.DEL", "emp:6", "$.a.b"}}, []string{`json.del after {"a":{}}`}},
		{[][]any{{"JSON.DEL", "emp:6"}}, []string{"json.del found nothing"}},
	}
	var want []string
	for _, step := range steps {
		for _, command := range step.commands {
			r.do(command...)
		}
		want = append(want, step.want...)
		r.eventually(strings.Join(step.want, ", "), func() bool { return len(r.carried("emp")) >= len(want) })
	}
	if got := strings.Join(r.carried("emp"), "\n"); got != strings.Join(want, "\n") {
		t.Errorf("recorded\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	for _, plain := range r.carried("other") {
		if strings.Contains(plain, " ") {
			t.Errorf("a job of latest values carries %s", plain)
		}
	}
}

// TestEachLarge: values that do not fit one transaction are recorded by several, each once and in order.
func TestEachLarge(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("emp", "emp:*", each), job("three", "emp:*", each, func(j *pipelinev1.Job) { j.Source.Database = 3 }))
	r.spec.Settings.Partitions = 1
	r.started()
	value := strings.Repeat("x", 300_000)
	pipe := r.rdb.Pipeline()
	for i := range 60 {
		pipe.Do(t.Context(), "SELECT", 3*(i%2))
		pipe.HSet(t.Context(), fmt.Sprintf("emp:%d", i), "n", i, "v", value)
	}
	pipe.Do(t.Context(), "SELECT", 0)
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	for k, name := range []string{"emp", "three"} {
		r.eventually("all are recorded", func() bool { return len(r.carried(name)) == 30 })
		for i, got := range r.carried(name) {
			if !strings.Contains(got, fmt.Sprintf(" n=%q", fmt.Sprint(2*i+k))) || !strings.Contains(got, fmt.Sprintf(" v=%q", value)) {
				t.Fatalf("entry %d of %s is %.40s", i, name, got)
			}
		}
	}
}

// TestEachUnreadable: where the source does not let values be read, the changes are recorded all the same; the lanes read
// them, or say why they cannot.
func TestEachUnreadable(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("emp", "emp:*", each))
	r.spec.Settings.Partitions = 1
	r.do("ACL", "SETUSER", "half", "on", ">secret", "~*", "&*", "+@all", "-hgetall")
	half := *r.config
	half.User, half.Password = "half", "secret"
	r.started(func(c *recorder.Config) { c.Source, c.Streams = &half, r.config })
	r.do("HSET", "emp:1", "a", "1")
	r.eventually("the change is recorded without its value", func() bool { return strings.Join(r.carried("emp"), " ") == "hset" })
}
