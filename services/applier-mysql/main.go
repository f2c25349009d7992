// Command slipstream-applier-mysql writes to MySQL and MariaDB. It links no other driver. This main is a list of choices
// and must stay one.
package main

import (
	"os"

	target "slipstream/applier"
	"slipstream/applier/mysql"
	"slipstream/services/internal/host"
	"slipstream/services/internal/stage/applier"
)

func main() {
	os.Exit(host.Main(applier.Spec("applier-mysql", "writes rows to MySQL and MariaDB", "127.0.0.1:7413", "127.0.0.1:9413",
		nil, func() target.Dialect { return mysql.Dialect{} })))
}
