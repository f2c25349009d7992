// Package layout holds the repository to its plan: who may import whom, how long a file may be, what a folder may not be
// called, and that every package says what it is. Its tests read the repository as it is checked out; the rules are
// data here, so that they can be read, and sentences where they fail.
//
// The plan in one line: proto is imported by the stages (capture, transformer, applier, gateway), and those by services,
// the processes. The stages know of each other only what proto says.
//
// Nothing imports this package.
package layout

import (
	"fmt"
	"slices"
	"strings"
)

// prefix begins the import path of every package of ours.
const prefix = "slipstream/"

// stages are the modules that never import each other.
var stages = []string{"applier", "capture", "gateway", "transformer"}

// observers are the programs that play the application at one end of the line and look at the rows at the other. They
// are no part of the line, and may use whatever a user's program would.
var observers = []string{"services/bench", "services/demo", "services/e2e"}

// doors names, for each library that talks to a server or a file of records, the only folders that import it. What else
// wants it goes through those folders.
var doors = []struct {
	library string   // an import path, or the beginning of several up to a slash
	folders []string // in which it may be imported, at any depth
	why     string
}{
	{
		"github.com/redis/go-redis",
		// the wiring of the processes makes the clients that it hands to capture and gateway, and asks Redis nothing itself
		[]string{
			"capture", "applier/redis", "gateway", "services/internal/embedded", "services/internal/lookup", "services/internal/redisurl",
			"services/internal/stage",
		},
		"Redis is the source of capture, a target in applier/redis, the store of the gateway, and what services/internal/lookup reads for the transformer",
	},
	{"github.com/jackc/pgx", []string{"applier/postgres"}, "one dialect knows PostgreSQL"},
	{"github.com/lib/pq", nil, "PostgreSQL is spoken through pgx, in applier/postgres"},
	{"github.com/go-sql-driver/mysql", []string{"applier/mysql"}, "one dialect knows MySQL and MariaDB"},
	{"github.com/microsoft/go-mssqldb", []string{"applier/sqlserver"}, "one dialect knows SQL Server"},
	{
		"modernc.org/sqlite",
		[]string{"applier/sqlite", "transformer/sqlexpr"},
		"SQLite is a target in applier/sqlite and the engine of SQL expressions, without a database, in transformer/sqlexpr",
	},
	{"github.com/mattn/go-sqlite3", nil, "SQLite is used through modernc.org/sqlite, without C"},
	{"github.com/ncruces/go-sqlite3", nil, "SQLite is used through modernc.org/sqlite"},
	{"github.com/sijms/go-ora", []string{"applier/oracle"}, "one dialect knows Oracle"},
	{"github.com/apache/cassandra-gocql-driver", []string{"applier/cassandra"}, "one dialect knows Cassandra"},
	{"github.com/gocql/gocql", nil, "Cassandra is spoken through its Apache driver, in applier/cassandra"},
}

// contractLibraries is all that proto may import besides the standard library: whoever imports the contracts gets these.
var contractLibraries = []string{
	"google.golang.org/genproto/googleapis/rpc",
	"google.golang.org/grpc",
	"google.golang.org/protobuf",
	"github.com/planetscale/vtprotobuf",
	"go.opentelemetry.io/otel",
}

// contractTestLibraries is what its tests may import in addition.
var contractTestLibraries = []string{"go.uber.org/goleak", "pgregory.net/rapid", "slipstream/deploy/dev"}

// pkg is one package as the rules see it; paths are import paths.
type pkg struct {
	path     string
	standard bool     // it belongs to Go's standard library
	imports  []string // of its code
	tests    []string // of its test files, both packages
}

// ours tells whether a package belongs to this repository.
func (p pkg) ours() bool { return strings.HasPrefix(p.path, prefix) }

// room returns the path inside the repository.
func (p pkg) room() string { return strings.TrimPrefix(p.path, prefix) }

// under tells whether path is one of the roots, or lies below one.
func under(path string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return path == root || strings.HasPrefix(path, root+"/")
	})
}

// importFaults returns a sentence for each import that breaks a rule.
func importFaults(packages []pkg) []string {
	known := make(map[string]pkg, len(packages))
	for _, p := range packages {
		known[p.path] = p
	}
	var faults []string
	for _, p := range packages {
		if !p.ours() {
			continue
		}
		faults = append(faults, stageFaults(p, known)...)
		faults = append(faults, doorFaults(p)...)
		faults = append(faults, contractFaults(p, known)...)
		faults = append(faults, directionFaults(p, known)...)
	}
	slices.Sort(faults)
	return slices.Compact(faults)
}

// stageFaults: no stage reaches another, in whatever way, nor do its tests name one.
func stageFaults(p pkg, known map[string]pkg) []string {
	stage, _, _ := strings.Cut(p.room(), "/")
	if !slices.Contains(stages, stage) {
		return nil
	}
	var faults []string
	for _, other := range stages {
		if other == stage {
			continue
		}
		if way := reach(p, known, func(path string) bool { return under(path, prefix+other) }); way != nil {
			faults = append(faults, fmt.Sprintf("%s reaches %s (%s): stages know each other only through proto; "+
				"what two of them must agree on belongs there", p.room(), strings.TrimPrefix(way[len(way)-1], prefix), strings.Join(way, " → ")))
		}
		for _, imported := range p.tests {
			if under(imported, prefix+other) {
				faults = append(faults, fmt.Sprintf("a test of %s imports %s: what needs two stages is tested in services/e2e",
					p.room(), strings.TrimPrefix(imported, prefix)))
			}
		}
	}
	return faults
}

// doorFaults: each driver is imported in its own folders alone.
func doorFaults(p pkg) []string {
	var faults []string
	for _, door := range doors {
		if under(p.room(), door.folders...) || under(p.room(), observers...) {
			continue
		}
		for _, imported := range p.imports {
			if under(imported, door.library) {
				faults = append(faults, fmt.Sprintf("%s imports %s: %s", p.room(), imported, door.why))
			}
		}
	}
	return faults
}

// contractFaults: proto stays light, and deploy/dev needs nothing at all.
func contractFaults(p pkg, known map[string]pkg) []string {
	var faults []string
	complain := func(imported string, why string) {
		faults = append(faults, fmt.Sprintf("%s imports %s: %s", p.room(), imported, why))
	}
	standard := func(path string) bool {
		if imported, found := known[path]; found {
			return imported.standard
		}
		first, _, _ := strings.Cut(path, "/")
		return !strings.Contains(first, ".") && !strings.HasPrefix(path, prefix)
	}
	switch {
	case under(p.room(), "proto"):
		const why = "proto imports grpc, protobuf, vtprotobuf and the API of OpenTelemetry, nothing more, since everybody imports proto"
		allowed := append([]string{prefix + "proto"}, contractLibraries...)
		for _, imported := range p.imports {
			if !standard(imported) && (!under(imported, allowed...) || under(imported, "go.opentelemetry.io/otel/sdk")) {
				complain(imported, why)
			}
		}
		allowed = append(allowed, contractTestLibraries...)
		for _, imported := range p.tests {
			if !standard(imported) && !under(imported, allowed...) {
				complain(imported, why+"; its tests also goleak, rapid and deploy/dev")
			}
		}
	case under(p.room(), "deploy/dev"):
		for _, imported := range slices.Concat(p.imports, p.tests) {
			if !standard(imported) && !under(imported, prefix+"deploy/dev") {
				complain(imported, "deploy/dev uses the standard library alone, since the tests of every module use it")
			}
		}
	}
	return faults
}

// directionFaults: nobody but services imports a process, and test servers are for tests and observers.
func directionFaults(p pkg, known map[string]pkg) []string {
	var faults []string
	if !under(p.room(), "services") {
		if way := reach(p, known, func(path string) bool { return under(path, prefix+"services") }); way != nil {
			faults = append(faults, fmt.Sprintf("%s reaches %s: services are the processes, and import the rest, not the other way round",
				p.room(), strings.TrimPrefix(way[len(way)-1], prefix)))
		}
	}
	if !under(p.room(), slices.Concat(observers, []string{"deploy/dev", "applier/applytest"})...) {
		for _, imported := range p.imports {
			if under(imported, prefix+"deploy/dev") {
				faults = append(faults, fmt.Sprintf("%s imports %s: test servers are for tests, the demo and the benchmark", p.room(), imported))
			}
		}
	}
	return faults
}

// reach returns the shortest way from a package to one that matches, without the package itself; nil when there is none.
func reach(from pkg, known map[string]pkg, match func(path string) bool) []string {
	type step struct {
		path string
		way  []string
	}
	seen := map[string]bool{from.path: true}
	queue := []step{{path: from.path}}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, next := range known[at.path].imports {
			if seen[next] {
				continue
			}
			seen[next] = true
			way := append(slices.Clone(at.way), next)
			if match(next) {
				return way
			}
			queue = append(queue, step{next, way})
		}
	}
	return nil
}
