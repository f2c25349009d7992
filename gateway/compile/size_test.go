package compile_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/compile"
)

// TestLargeFilesEndSoon reads files as large as allowed, made to be slow: a gateway serves many. A
// minute of the processor is far more than any of them takes, with the race detector too, and far less than what the worst
// took before the work on a file was bounded.
func TestLargeFilesEndSoon(t *testing.T) {
	many := func(line string) string {
		var b strings.Builder
		for i := 0; b.Len() < 120<<10; i++ {
			fmt.Fprintf(&b, line, i)
		}
		return b.String()
	}
	const head = "source: {redis: {trigger: write-behind, key_pattern: a}}\n"
	cases := map[string]string{
		"unknown keys": many("k%d:\n"),
		"blocks":       head + "transform:\n" + many("- {uses: filter, with: {language: sql, expression: a%d > 5}}\n"),
		"columns":      head + "output:\n- uses: relational.write\n  with: {connection: pg, table: t, keys: [id], mapping: [" + many("c%d,") + "]}\n",
		"brackets":     "a: " + strings.Repeat("[]", 1000) + "\n" + many("# %d []\n"),
		"quotes":       head + `x: "` + many("%d\\\" ") + "\n",
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			start := cpu(t)
			r := compile.Files("p", []*pipelinev1.File{
				{Path: compile.ConfigFile, Text: []byte(goodConfig)}, {Path: "jobs/a.yaml", Text: []byte(text)},
			}, noReferences)
			if took := cpu(t) - start; took > time.Minute {
				t.Errorf("took %v", took)
			} else {
				t.Logf("took %v, %d problems", took, len(r.Problems))
			}
		})
	}
}

// cpu is the processor time that the process has used: other processes on the machine do not count.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
