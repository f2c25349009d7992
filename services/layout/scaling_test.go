package layout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestScaling: each test that docs/scaling.md names exists.
func TestScaling(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "docs/scaling.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := proof.FindAllStringSubmatch(string(text), -1)
	if len(named) < 10 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, p := range named {
		if !strings.Contains(sources(t, filepath.Join(root(t), p[1]), "*_test.go"), "func "+p[2]+"(t ") {
			t.Errorf("docs/scaling.md names %s in %s, which does not exist", p[2], p[1])
		}
	}
}
