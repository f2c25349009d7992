// Command slipstream-applier-cassandra writes to Apache Cassandra. It links no other driver. This main is a list of
// choices and must stay one.
package main

import (
	"os"

	target "slipstream/applier"
	"slipstream/applier/cassandra"
	"slipstream/services/internal/host"
	"slipstream/services/internal/stage/applier"
)

func main() {
	os.Exit(host.Main(applier.Spec("applier-cassandra", "writes rows to Cassandra", "127.0.0.1:7418", "127.0.0.1:9418",
		nil, func() target.Dialect { return cassandra.Dialect{} })))
}
