package layout

import (
	"slices"
	"strings"
	"testing"
)

// world returns packages with these imports, and the libraries they import.
func world(packages ...pkg) []pkg {
	known := map[string]bool{}
	for _, p := range packages {
		known[p.path] = true
	}
	for _, p := range slices.Clone(packages) {
		for _, path := range slices.Concat(p.imports, p.tests) {
			if !known[path] {
				known[path] = true
				first, _, _ := strings.Cut(path, "/")
				packages = append(packages, pkg{path: path, standard: !strings.Contains(first, ".") && first != "slipstream"})
			}
		}
	}
	return packages
}

func TestImportFaults(t *testing.T) {
	tests := []struct {
		name     string
		packages []pkg
		want     []string // one part of each sentence, in their order; none when the imports are as planned
	}{
		{name: "an empty repository"},
		{
			name: "the plan", packages: world(
				pkg{path: "slipstream/proto/flow", imports: []string{"context", "google.golang.org/grpc/codes", "go.opentelemetry.io/otel/trace"}, tests: []string{"go.uber.org/goleak"}},
				pkg{path: "slipstream/capture", imports: []string{"slipstream/proto/flow", "github.com/redis/go-redis/v9"}, tests: []string{"slipstream/deploy/dev/devserver"}},
				pkg{path: "slipstream/transformer/sqlexpr", imports: []string{"modernc.org/sqlite"}},
				pkg{path: "slipstream/applier/postgres", imports: []string{"github.com/jackc/pgx/v5/pgconn"}},
				pkg{path: "slipstream/applier/applytest", imports: []string{"slipstream/deploy/dev/devserver"}},
				pkg{path: "slipstream/services/slipstream", imports: []string{"slipstream/capture", "slipstream/applier/postgres"}},
				pkg{path: "slipstream/services/demo", imports: []string{"github.com/redis/go-redis/v9", "slipstream/deploy/dev/devserver"}},
				pkg{path: "slipstream/deploy/dev/devserver", imports: []string{"net", "slipstream/deploy/dev/other"}},
			),
		},
		{
			name:     "a stage imports another",
			packages: world(pkg{path: "slipstream/capture/tailer", imports: []string{"slipstream/applier/target"}}),
			want:     []string{"capture/tailer reaches applier/target (slipstream/applier/target): stages know each other only through proto"},
		},
		{
			name: "a stage reaches another through a third package",
			packages: world(
				pkg{path: "slipstream/gateway", imports: []string{"example.com/between"}},
				pkg{path: "example.com/between", imports: []string{"slipstream/capture"}},
			),
			want: []string{"gateway reaches capture (example.com/between → slipstream/capture)"},
		},
		{
			name:     "a test of a stage imports another",
			packages: world(pkg{path: "slipstream/applier", tests: []string{"slipstream/transformer"}}),
			want:     []string{"a test of applier imports transformer: what needs two stages is tested in services/e2e"},
		},
		{
			name:     "Redis behind the wrong door",
			packages: world(pkg{path: "slipstream/transformer/lookup", imports: []string{"github.com/redis/go-redis/v9"}}),
			want:     []string{"transformer/lookup imports github.com/redis/go-redis/v9: Redis is the source of capture"},
		},
		{
			name:     "a dialect with the driver of another",
			packages: world(pkg{path: "slipstream/applier/mysql", imports: []string{"github.com/jackc/pgx/v5"}}),
			want:     []string{"applier/mysql imports github.com/jackc/pgx/v5: one dialect knows PostgreSQL"},
		},
		{
			name:     "a process with a driver",
			packages: world(pkg{path: "slipstream/services/internal/host", imports: []string{"modernc.org/sqlite"}}),
			want:     []string{"services/internal/host imports modernc.org/sqlite: SQLite is a target in applier/sqlite"},
		},
		{
			name:     "a name that only begins alike",
			packages: world(pkg{path: "slipstream/applier", imports: []string{"github.com/jackc/pgxlike"}}),
		},
		{
			name: "a contract with weight",
			packages: world(pkg{
				path:    "slipstream/proto/flow",
				imports: []string{"go.opentelemetry.io/otel/sdk/trace", "github.com/other/thing"},
				tests:   []string{"github.com/other/tests"},
			}),
			want: []string{
				"proto/flow imports github.com/other/tests",
				"proto/flow imports github.com/other/thing: proto imports grpc, protobuf",
				"proto/flow imports go.opentelemetry.io/otel/sdk/trace: proto imports grpc, protobuf",
			},
		},
		{
			name:     "test servers with a dependency",
			packages: world(pkg{path: "slipstream/deploy/dev/devserver", tests: []string{"github.com/jackc/pgx/v5"}}),
			want:     []string{"deploy/dev/devserver imports github.com/jackc/pgx/v5: deploy/dev uses the standard library alone"},
		},
		{
			name:     "a test server in the product",
			packages: world(pkg{path: "slipstream/capture", imports: []string{"slipstream/deploy/dev/devserver"}}),
			want:     []string{"capture imports slipstream/deploy/dev/devserver: test servers are for tests"},
		},
		{
			name:     "a stage that imports a process",
			packages: world(pkg{path: "slipstream/capture", imports: []string{"slipstream/services/internal/host"}}),
			want:     []string{"capture reaches services/internal/host: services are the processes"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { compare(t, importFaults(test.packages), test.want) })
	}
}

// compare holds sentences against a part of each.
func compare(t *testing.T, got, parts []string) {
	t.Helper()
	if len(got) != len(parts) {
		t.Fatalf("%d complaints, want %d: %q", len(got), len(parts), got)
	}
	for i := range got {
		if !strings.Contains(got[i], parts[i]) {
			t.Errorf("complaint %q does not say %q", got[i], parts[i])
		}
	}
}
