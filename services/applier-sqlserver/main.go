// Command slipstream-applier-sqlserver writes to Microsoft SQL Server. It links no other driver. This main is a list of
// choices and must stay one.
package main

import (
	"os"

	target "slipstream/applier"
	"slipstream/applier/sqlserver"
	"slipstream/services/internal/host"
	"slipstream/services/internal/stage/applier"
)

func main() {
	os.Exit(host.Main(applier.Spec("applier-sqlserver", "writes rows to SQL Server", "127.0.0.1:7414", "127.0.0.1:9414",
		nil, func() target.Dialect { return sqlserver.Dialect{} })))
}
