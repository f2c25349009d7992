package layout

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// priorities are those of the checklist (spec 13), row 1 first.
const priorities = "MMMMMMMMBMMSMSMMMSMMMMMSMMSSMMMSSMMMMSSMMSMSMSSBMMMMMSMSMSSSBSSSBBBBBBS"

// theirs are rows of other issues, which may wait for them without a proof.
var theirs = []int{29, 30, 31, 32, 33, 39, 41, 42, 43, 44}

var (
	row         = regexp.MustCompile(`(?m)^\| (\d+) \| (.+) \| ([MSB]) \| (.+) \|$`)
	named       = regexp.MustCompile(`\*(case|files|example)\* ` + "`([^`]+)`")
	conformance = regexp.MustCompile(`\*Conformance\* "([^"]+)"`)
	tested      = regexp.MustCompile("`([a-z0-9/]+) (Test[A-Za-z0-9_]+)`")
	awaited     = regexp.MustCompile(`(?i)not yet \((issue \d+|a later issue)\)|beyond, not planned`)
)

// TestCompatibility: docs/compatibility.md has each row of the checklist once, in order and with its priority; every proof that
// it names exists; and a row without one says what it waits for, which rows that are done may not.
func TestCompatibility(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "compatibility.md"))
	if err != nil {
		t.Fatal(err)
	}
	golden := cases(t, filepath.Join(root, "transformer", "testdata"))
	applied := sources(t, filepath.Join(root, "applier", "applytest"), "*.go")
	rows := row.FindAllStringSubmatch(string(text), -1)
	if len(rows) != len(priorities) || strings.Count(string(text), "\n| ") != len(rows)+1 {
		t.Errorf("%d rows, the checklist has %d", len(rows), len(priorities))
	}
	for i, r := range rows {
		if r[1] != strconv.Itoa(i+1) {
			t.Fatalf("row %s stands where row %d should", r[1], i+1)
		}
		if r[3] != priorities[i:i+1] {
			t.Errorf("row %s has priority %s, not %s", r[1], r[3], priorities[i:i+1])
		}
		proofs := 0
		for _, p := range named.FindAllStringSubmatch(r[4], -1) {
			proofs++
			known := golden[p[2]]
			switch p[1] {
			case "files":
				known = exists(filepath.Join(root, "gateway", "compile", "testdata", p[2]+".txt"))
			case "example":
				known = exists(filepath.Join(root, "deploy", "jobs", p[2]+".yaml"))
			}
			if !known {
				t.Errorf("row %s names %s %q, which does not exist", r[1], p[1], p[2])
			}
		}
		for _, p := range conformance.FindAllStringSubmatch(r[4], -1) {
			proofs++
			if !strings.Contains(applied, `{"`+p[1]+`", `) {
				t.Errorf("row %s names the conformance case %q, which does not exist", r[1], p[1])
			}
		}
		for _, p := range tested.FindAllStringSubmatch(r[4], -1) {
			proofs++
			if !strings.Contains(sources(t, filepath.Join(root, p[1]), "*_test.go"), "func "+p[2]+"(t ") {
				t.Errorf("row %s names %s in %s, which does not exist", r[1], p[2], p[1])
			}
		}
		waits := awaited.MatchString(r[4])
		if proofs == 0 && (!waits || r[3] != "B" && !slices.Contains(theirs, i+1)) {
			t.Errorf("row %s has no proof", r[1])
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// cases are the golden cases of a folder by file and name.
func cases(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("golden cases in %s: %v", folder, err)
	}
	all := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var list []struct {
			Name string `yaml:"name"`
		}
		if err := yaml.Unmarshal(text, &list); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, c := range list {
			all[strings.TrimSuffix(filepath.Base(file), ".yaml")+"/"+c.Name] = true
		}
	}
	return all
}
