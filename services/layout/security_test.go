package layout

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// threat is a row of the table of docs/security.md, with what holds it.
var threat = regexp.MustCompile(`(?m)^\| ([A-Z].*) \| (.*) \| (.*) \|$`)

// TestSecurity: each threat that docs/security.md names has a test, and each test it names exists.
func TestSecurity(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	cases := sources(t, filepath.Join(root, "applier", "applytest"), "*.go")
	rows := threat.FindAllStringSubmatch(string(text), -1)
	if len(rows) < 10 {
		t.Errorf("only %d threats were found: is the table as it was?", len(rows))
	}
	for _, row := range rows {
		held := false
		for _, p := range proof.FindAllStringSubmatch(row[3], -1) {
			held = true
			if !strings.Contains(sources(t, filepath.Join(root, p[1]), "*_test.go"), "func "+p[2]+"(t ") {
				t.Errorf("%q names %s in %s, which does not exist", row[1], p[2], p[1])
			}
		}
		for _, c := range quoted.FindAllStringSubmatch(row[3], -1) {
			held = true
			if !strings.Contains(cases, `{"`+c[1]+`", `) {
				t.Errorf("%q names the conformance case %q, which does not exist", row[1], c[1])
			}
		}
		if !held {
			t.Errorf("nothing holds %q", row[1])
		}
	}
}
