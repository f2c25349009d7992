// Command slipstream-applier-postgres writes to PostgreSQL. It links no other driver. This main is a list of choices and
// must stay one.
package main

import (
	"os"

	target "slipstream/applier"
	"slipstream/applier/postgres"
	"slipstream/services/internal/host"
	"slipstream/services/internal/stage/applier"
)

func main() {
	os.Exit(host.Main(applier.Spec("applier-postgres", "writes rows to PostgreSQL", "127.0.0.1:7411", "127.0.0.1:9411",
		nil, func() target.Dialect { return postgres.Dialect{} })))
}
