package layout

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// drivers are the libraries that reach a database, by the process that may link them.
var drivers = map[string]string{
	"applier-postgres":  "github.com/jackc/pgx",
	"applier-mysql":     "github.com/go-sql-driver/mysql",
	"applier-sqlserver": "github.com/microsoft/go-mssqldb",
	"applier-sqlite":    "modernc.org/sqlite",
	"applier-redis":     "github.com/redis/go-redis",
	"applier-oracle":    "github.com/sijms/go-ora",
	"applier-cassandra": "github.com/apache/cassandra-gocql-driver",
}

// TestAppliersLinkOneDriver: the binary of each dialect links the driver of its database and no other, whatever way an
// import takes.
func TestAppliersLinkOneDriver(t *testing.T) {
	mains, err := filepath.Glob(filepath.Join(root(t), "services", "applier-*", "main.go"))
	if err != nil || len(mains) < 2 {
		t.Fatalf("%d mains of appliers found, %v", len(mains), err)
	}
	for _, main := range mains {
		name := filepath.Base(filepath.Dir(main))
		own, known := drivers[name]
		if !known {
			t.Errorf("services/%s links a driver that this test does not know: name it in drivers", name)
			continue
		}
		list := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}}", prefix+"services/"+name)
		list.Dir = root(t)
		out, err := list.Output()
		if err != nil {
			t.Fatalf("listing what services/%s links: %v", name, err)
		}
		var linked []string
		for path := range strings.FieldsSeq(string(out)) {
			for _, driver := range drivers {
				if under(path, driver) && !slices.Contains(linked, driver) {
					linked = append(linked, driver)
				}
			}
		}
		if !slices.Equal(linked, []string{own}) {
			t.Errorf("services/%s links %v, want %s alone", name, linked, own)
		}
	}
}
