// Package helm holds the Helm chart of the line, in the folder slipstream, and its tests: nothing else is in it.
//
// The tests render the chart by Helm's own library, under several sets of values, and hold what comes out to what Kubernetes
// takes (every object is decoded strictly into its Go type) and to what the line needs: who may call whom, that every selector
// finds its pods and every port its container, that a container may do nothing that it need not, that a value that is
// documented has an effect. The module is its own since Helm's library brings a good part of Kubernetes with it, two minutes
// of one processor to compile, which no other module should have to wait for; version 3 of it, since 4 brings half as much
// again and renders this chart alike.
//
// What processes read is checked in services/layout, which knows their flags: on testdata, the rendered chart, which the tests
// here keep up to date (go test -update).
package helm

// Folder is the chart's, beside this file.
const Folder = "slipstream"
