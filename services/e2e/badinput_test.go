package e2e_test

import (
	"strings"
	"testing"

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// TestBadInput: everything that is wrong is said at once, each with its file and path, whichever stage found it; the
// running pipeline is untouched (spec 3.7).
func TestBadInput(t *testing.T) {
	for harness, start := range harnesses {
		t.Run(harness, func(t *testing.T) {
			tg := sqliteTarget(t)
			tg.exec(t, empTable)
			server := devserver.Redis(t, devserver.RedisOptions{})
			c := client(t, server.Addr)
			l := start(t, server.Addr)
			good := deploy(t, l, map[string]string{"config.yaml": config(server.Addr, tg, ""), "jobs/emp.yaml": quickstart})
			running(t, l)

			bad := map[string]string{
				"config.yaml": config(server.Addr, tg, "applier:\n  read_batch_sise: 5\n"),
				// an expression that does not compile, a column that is missing
				"jobs/a.yaml": strings.Replace(quickstart, "transform:\n", "transform:\n  - uses: filter\n    with: {language: jmespath, expression: \"age > \"}\n", 1) + "        - shoe_size\n",
				// an unknown block
				"jobs/b.yaml": strings.Replace(quickstart, "rename_field", "rename_fields", 1),
				// a missing connection
				"jobs/c.yaml": strings.Replace(quickstart, "connection: hr", "connection: finance", 1),
				// a missing table
				"jobs/d.yaml": strings.Replace(quickstart, "table: emp", "table: employees", 1),
				// not YAML
				"jobs/e.yaml": "source: [",
			}
			r, err := l.gateway().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: yamlFiles(bad)})
			must(t, err)
			if r.Generation != 0 {
				t.Errorf("generation %d was deployed", r.Generation)
			}
			for _, want := range []struct{ file, path, says string }{
				{"config.yaml", "applier.read_batch_sise", "read_batch_size"},
				{"jobs/a.yaml", "transform[0].with.expression", ""},
				{"jobs/a.yaml", "output[0].with.mapping", "shoe_size"},
				{"jobs/b.yaml", "transform[0].uses", "rename_field"},
				{"jobs/c.yaml", "output[0].with.connection", "finance"},
				{"jobs/d.yaml", "output[0]", "employees"},
				{"jobs/e.yaml", "", ""},
			} {
				if !said(r.Problems, want.file, want.path, want.says) {
					t.Errorf("nobody said that %s: %s is wrong (%s)", want.file, want.path, want.says)
				}
			}
			if t.Failed() {
				for _, p := range r.Problems {
					t.Log(p)
				}
			}
			must(t, c.HSet(t.Context(), "emp:Ada:Lovelace", "gender", "F").Err())
			rowsAre(t, tg, "SELECT first_name FROM emp", "Ada")
			s, err := l.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
			must(t, err)
			if s.Status.Generation != good.Generation {
				t.Errorf("generation %d runs, want %d", s.Status.Generation, good.Generation)
			}
		})
	}
}

func said(problems []*pipelinev1.Problem, file, path, says string) bool {
	for _, p := range problems {
		if p.Severity == pipelinev1.Severity_SEVERITY_ERROR && p.File == file && strings.HasPrefix(p.Path, path) &&
			strings.Contains(p.Message+" "+p.Fix, says) && p.Message != "" {
			return true
		}
	}
	return false
}
