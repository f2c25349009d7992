// Command slipstream-applier-sqlite writes to SQLite files. It links no other driver. This main is a list of choices and
// must stay one.
package main

import (
	"os"

	"github.com/spf13/pflag"

	target "slipstream/applier"
	"slipstream/applier/sqlite"
	"slipstream/services/internal/host"
	"slipstream/services/internal/stage/applier"
)

func main() {
	var dir string
	os.Exit(host.Main(applier.Spec("applier-sqlite", "writes rows to SQLite files", "127.0.0.1:7412", "127.0.0.1:9412",
		func(f *pflag.FlagSet) {
			f.StringVar(&dir, "data-dir", ".", "where relative paths of database files begin")
		},
		func() target.Dialect { return sqlite.Dialect{DataDir: dir} })))
}
