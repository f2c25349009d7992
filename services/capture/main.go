// Command slipstream-capture is the capture service. This main is a list of choices and must stay one.
package main

import (
	"os"

	"slipstream/services/internal/host"
	"slipstream/services/internal/stage/capture"
)

func main() { os.Exit(host.Main(capture.Spec())) }
