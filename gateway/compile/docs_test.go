package compile_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/compile"
)

// TestReference compiles the examples of the reference: the blocks that begin with a comment naming their file.
func TestReference(t *testing.T) {
	var files []*pipelinev1.File
	text := ""
	for _, name := range []string{"config.md", "jobs.md"} {
		page, err := os.ReadFile("../../docs/reference/" + name)
		if err != nil {
			t.Fatal(err)
		}
		text += string(page)
	}
	for i, block := range strings.Split(text, "```") {
		if body, ok := strings.CutPrefix(block, "yaml\n# "); ok && i%2 == 1 {
			path, yaml, _ := strings.Cut(body, "\n")
			files = append(files, &pipelinev1.File{Path: path, Text: []byte(yaml)})
		}
	}
	if len(files) < 3 {
		t.Fatalf("%d examples found", len(files))
	}
	r := compile.Files("default", files, noReferences)
	for _, p := range r.Problems {
		t.Errorf("%s:%d: %s: %s", p.GetFile(), p.GetLine(), p.GetPath(), p.GetMessage())
	}
}

// TestReferenceIsWhole looks for every key that a file may hold in the reference, by way of the hints that list them.
func TestReferenceIsWhole(t *testing.T) {
	const bad = "zzzzzzzzzzzzzzzz: 1\n"
	files := []*pipelinev1.File{
		{Path: "config.yaml", Text: []byte("connections:\n" +
			"  source:\n    type: redis\n    " + bad + "  a:\n    type: postgresql\n    " + bad + "  b:\n    type: sqlite\n    " + bad +
			"applier:\n  " + bad + bad)},
		{Path: "jobs/a.yaml", Text: []byte(bad + "source:\n  redis:\n    " + bad + "  keys:\n    " + bad + "  " + bad +
			"transform:\n" +
			"- uses: filter\n  with:\n    " + bad + "- uses: add_field\n  with:\n    " + bad + "- uses: remove_field\n  with:\n    " + bad +
			"- uses: rename_field\n  with:\n    " + bad + "- uses: map\n  with:\n    " + bad +
			"- uses: redis.lookup\n  with:\n    " + bad + "    when:\n      " + bad + "    cache:\n      " + bad + "    batch:\n      " + bad +
			"output:\n- uses: relational.write\n  with:\n    " + bad +
			"    keys: [{a: {field: b, " + strings.TrimSpace(bad) + "}}]\n    inactive_record_mapping:\n    - " + bad)},
	}
	var pages string
	for _, name := range []string{"config.md", "jobs.md"} {
		page, err := os.ReadFile("../../docs/reference/" + name)
		if err != nil {
			t.Fatal(err)
		}
		pages += string(page)
	}
	lists := 0
	for _, p := range compile.Files("default", files, noReferences).Problems {
		_, list, ok := strings.Cut(p.GetFix(), "allowed here: ")
		if !ok {
			continue
		}
		lists++
		for key := range strings.SplitSeq(list, ", ") {
			if key != "type" && !regexp.MustCompile(`\b`+key+`\b`).MatchString(pages) {
				t.Errorf("%s of %s is not in the reference", key, p.GetPath())
			}
		}
	}
	if lists < 19 {
		t.Errorf("%d lists of keys were found, want 19", lists)
	}
}
