// Package e2e tests the whole line: a Redis, a pipeline, a target, and an application that writes; one story, two harnesses,
// in one process (design D12) and as separate processes. The servers are real, and so are the kills.
//
// Comparison reads every key and every row and shares no code with the line.
package e2e
