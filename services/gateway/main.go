// Command slipstream-gateway is the gateway service. This main is a list of choices and must stay one.
package main

import (
	"os"

	"slipstream/services/internal/host"
	"slipstream/services/internal/stage/gateway"
)

func main() { os.Exit(host.Main(gateway.Spec())) }
