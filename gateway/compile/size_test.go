package compile_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/compile"
)

// TestLargeFilesEndSoon reads files as large as allowed, made to be slow: a gateway serves many.
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
			start := time.Now()
			r := compile.Files("p", []*pipelinev1.File{
				{Path: compile.ConfigFile, Text: []byte(goodConfig)}, {Path: "jobs/a.yaml", Text: []byte(text)},
			}, noReferences)
			if took := time.Since(start); took > time.Minute {
				t.Errorf("took %v", took)
			} else {
				t.Logf("took %v, %d problems", took, len(r.Problems))
			}
		})
	}
}
