// Command slipstream-transformer is the transformer service. This main is a list of choices and must stay one.
package main

import (
	"os"

	"slipstream/services/internal/host"
	"slipstream/services/internal/stage/transformer"
)

func main() { os.Exit(host.Main(transformer.Spec())) }
