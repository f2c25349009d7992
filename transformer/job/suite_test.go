package job

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"slipstream/transformer/jmespath"
)

// least is how many cases the suite has at least.
const least = 150

// sections are what a case may name: the sections of the spec, its decisions A1 to A25, those of the design, the guarantees, and
// QS for the quickstart.
func sections() map[string]bool {
	list := strings.Fields("QS 7 13")
	for chapter, last := range map[int]int{1: 6, 2: 5, 3: 7, 4: 9, 5: 6, 6: 4, 8: 2, 9: 4, 10: 3, 11: 5, 12: 3} {
		for i := range last {
			list = append(list, fmt.Sprintf("%d.%d", chapter, i+1))
		}
	}
	for letter, last := range map[string]int{"A": 25, "D": 13, "G": 10} {
		for i := range last {
			list = append(list, fmt.Sprint(letter, i+1))
		}
	}
	known := map[string]bool{}
	for _, s := range list {
		known[s] = true
	}
	return known
}

// TestSuite: the golden suite is as large as promised, each case names what it proves, each section that is the transformer's
// has a case, and so has each function.
func TestSuite(t *testing.T) {
	all, known := cases(t), sections()
	if len(all) < least {
		t.Errorf("%d cases, promised are %d", len(all), least)
	}
	proved := map[string]bool{}
	for name, g := range all {
		named := strings.Fields(g.Spec)
		if len(named) == 0 {
			t.Errorf("%s names no section", name)
		}
		for _, s := range named {
			if !known[s] {
				t.Errorf("%s names section %q, which does not exist", name, s)
			}
			proved[s] = true
		}
		if len(g.Rows)+len(g.Rejects)+len(g.Problems) == 0 && g.Filtered == 0 && len(g.Records) > 0 {
			t.Errorf("%s expects nothing", name)
		}
	}
	for _, s := range strings.Fields("1.3 1.6 3.4 3.6 3.7 4.1 4.2 4.3 4.4 4.5 4.6 4.8 4.9 5.1 5.2 5.3 6.1 6.2 6.3 6.4 9.4") {
		if !proved[s] {
			t.Errorf("no case proves section %s", s)
		}
	}
	text := ""
	for _, file := range []string{"function.yaml", "jmespath.yaml"} {
		read, err := os.ReadFile(filepath.Join("../testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		text += string(read)
	}
	called := regexp.MustCompile(`[a-z0-9_]+\(`).FindAllString(text, -1)
	for _, name := range jmespath.Functions() {
		if !slices.Contains(called, name+"(") {
			t.Errorf("no case calls %s()", name)
		}
	}
}
