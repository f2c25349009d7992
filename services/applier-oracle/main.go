// Command slipstream-applier-oracle writes to Oracle Database. It links no other driver. This main is a list of
// choices and must stay one.
package main

import (
	"os"

	target "slipstream/applier"
	"slipstream/applier/oracle"
	"slipstream/services/internal/host"
	"slipstream/services/internal/stage/applier"
)

func main() {
	os.Exit(host.Main(applier.Spec("applier-oracle", "writes rows to Oracle", "127.0.0.1:7417", "127.0.0.1:9417",
		nil, func() target.Dialect { return oracle.Dialect{} })))
}
