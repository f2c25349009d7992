package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipstream/deploy/dev/devserver"
	capturev1 "slipstream/proto/slipstream/capture/v1"
)

// second starts another instance of capture beside the first.
func (p *processes) second(t *testing.T) {
	t.Helper()
	const name = "capture-2"
	log, err := os.Create(filepath.Join(t.TempDir(), name+".log"))
	must(t, err)
	first := p.services["capture"]
	s := &service{name: first.name, address: freeAddress(t), metrics: freeAddress(t), log: log, env: first.env, args: append([]string{}, first.args...)}
	for i := range s.args {
		switch s.args[i] {
		case first.address:
			s.args[i] = s.address
		case first.metrics:
			s.args[i] = s.metrics
		}
	}
	p.services[name] = s
	t.Cleanup(func() { p.end(name) })
	p.start(name)
	p.healthy(name)
}

// shares are how many lanes each instance has, as one of them sees it, and who records.
func (p *processes) shares(t *testing.T, name string) (lanes map[string]int, recorder string, running int) {
	t.Helper()
	res, err := capturev1.NewCaptureServiceClient(p.conn(name)).Status(t.Context(), &capturev1.StatusRequest{})
	if err != nil {
		return nil, err.Error(), 0
	}
	lanes = map[string]int{}
	for _, l := range res.GetStatus().GetLanes() {
		lanes[l.GetOwner()]++
		if l.GetState() == capturev1.LaneState_LANE_STATE_RUNNING {
			running++
		}
	}
	return lanes, res.GetStatus().GetRecorder().GetOwner(), running
}

// TestTakeover: two instances of capture share the lanes of a job. The one that records is killed with SIGKILL and stays away:
// the other has all lanes and records, and what was written in between arrives without anyone asking (docs/scaling.md).
func TestTakeover(t *testing.T) {
	const partitions = 16
	tg := sqliteTarget(t)
	tg.exec(t, "CREATE TABLE emp (id integer PRIMARY KEY, name text)")
	server := devserver.Redis(t, devserver.RedisOptions{})
	c := client(t, server.Addr)
	p := startProcesses(t, server.Addr)
	p.second(t)
	deploy(t, p, map[string]string{
		"config.yaml": config(server.Addr, tg, "applier:\n  partitions: "+strconv.Itoa(partitions)+"\n"),
		"jobs/emp.yaml": `source:
  redis: {trigger: write-behind, key_pattern: "emp:*"}
  keys: {fields: {id: 1}}
output:
  - uses: relational.write
    with: {connection: hr, table: emp, keys: [id], mapping: [name]}
`,
	})
	victim, survivor := "capture", "capture-2"
	await(t, time.Minute, "two instances with lanes of their own", func() (bool, string) {
		lanes, recorder, _ := p.shares(t, survivor)
		if len(lanes) != 2 || lanes[""] > 0 || recorder == "" {
			return false, fmt.Sprint(lanes, recorder)
		}
		if !strings.HasSuffix(recorder, "-"+strconv.Itoa(p.services[victim].cmd.Process.Pid)) {
			victim, survivor = survivor, victim // who records is to die
		}
		t.Logf("lanes by instance: %v; %s records", lanes, recorder)
		return true, ""
	})
	ctx := t.Context()
	for i := range 50 {
		must(t, c.HSet(ctx, "emp:"+strconv.Itoa(i), "name", "before").Err())
	}
	all := func(name string) []string {
		var want []string
		for i := range 50 {
			want = append(want, strconv.Itoa(i)+"|"+name)
		}
		return want
	}
	rowsAre(t, tg, "SELECT id, name FROM emp ORDER BY id", all("before")...)

	dead := p.services[victim]
	must(t, dead.cmd.Process.Kill())
	_ = dead.cmd.Wait() // it was killed
	dead.cmd = nil
	began := time.Now()
	for i := range 50 {
		must(t, c.HSet(ctx, "emp:"+strconv.Itoa(i), "name", "after").Err())
	}
	await(t, time.Minute, "the other having everything", func() (bool, string) {
		lanes, recorder, running := p.shares(t, survivor)
		return len(lanes) == 1 && lanes[recorder] == partitions && running == partitions, fmt.Sprint(lanes, recorder, running)
	})
	t.Logf("all lanes run and one records %v after the kill", time.Since(began).Round(time.Millisecond))
	rowsAre(t, tg, "SELECT id, name FROM emp ORDER BY id", all("after")...)
	t.Logf("what was written after it has arrived %v after it", time.Since(began).Round(time.Millisecond))
}
