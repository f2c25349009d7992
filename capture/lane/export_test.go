package lane

import "github.com/prometheus/client_golang/prometheus"

// Observe is observe, for tests.
func Observe(o prometheus.Observer, value float64, trace string) { observe(o, value, trace) }
