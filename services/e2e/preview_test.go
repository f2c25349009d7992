package e2e_test

import (
	"testing"

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// movesJob writes where something was before (spec 1.6, design D8).
const movesJob = `source:
  redis: {trigger: write-behind, key_pattern: "pump:*", row_format: full, before_image: full}
  keys: {fields: {id: 1}}
output:
  - uses: relational.write
    with: {connection: hr, table: pump, keys: [id], mapping: [site: after.site, was: before.site]}
`

// TestPreviewSeesBefore: a test of a job has the before images that its target holds, as the lane would, and none where
// nothing was ever deployed; and it writes nothing.
func TestPreviewSeesBefore(t *testing.T) {
	tg := sqliteTarget(t)
	tg.exec(t, "CREATE TABLE pump (id varchar(10) PRIMARY KEY, site text, was text)")
	server := devserver.Redis(t, devserver.RedisOptions{})
	c := client(t, server.Addr)
	l := startEmbedded(t, server.Addr)
	files := map[string]string{"config.yaml": config(server.Addr, tg, ""), "jobs/pump.yaml": movesJob}
	preview := func(key string) string {
		t.Helper()
		r, err := l.gateway().TestJob(t.Context(), &gatewayv1.TestJobRequest{
			Files: yamlFiles(files), Diff: true, Records: []*gatewayv1.TestRecord{{Key: key, Value: []byte(`{"site":"south"}`)}},
		})
		must(t, err)
		for _, p := range r.Problems {
			if p.Severity == pipelinev1.Severity_SEVERITY_ERROR || p.Path == "source.redis.before_image" {
				t.Errorf("problem: %v", p)
			}
		}
		if len(r.Connections) != 1 || r.Connections[0].Preview.GetFault() != nil || len(r.Connections[0].Preview.Differences) != 1 {
			t.Fatalf("preview: %v", r)
		}
		return string(r.Connections[0].Preview.Differences[0].After)
	}
	if got := preview("pump:1"); got != `["1","south",null]` {
		t.Errorf("before anything was deployed: %s", got)
	}
	deploy(t, l, files)
	running(t, l)
	must(t, c.HSet(t.Context(), "pump:1", "site", "north").Err())
	rowsAre(t, tg, "SELECT id, site, was FROM pump", "1|north|<null>")
	if got := preview("pump:1"); got != `["1","south","north"]` {
		t.Errorf("a key that was written: %s", got)
	}
	if got := preview("pump:2"); got != `["2","south",null]` {
		t.Errorf("a key that was not: %s", got)
	}
	rowsAre(t, tg, "SELECT id, site, was FROM pump", "1|north|<null>")
}
