package compile_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/compile"
)

var update = flag.Bool("update", false, "write the golden files")

// noReferences resolves the references of the golden files and nothing else.
func noReferences(s string) (string, error) {
	switch s {
	case "${env:BATCH}":
		return "250", nil
	case "${env:WORDS}":
		return "s3cret words", nil
	default:
		return "", errors.New("reference " + s + " is not set")
	}
}

// TestGolden compiles each testdata/*.txt: files separated by lines "-- name --", and below "-- want --" the problems as
// the command line would print them, then "-- pipeline --" where there are no errors. Run with -update after a change,
// and read the difference.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(cases) == 0 {
		t.Fatalf("cases: %v, %v", cases, err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files, input := split(string(text))
			got := render(compile.Files("default", files, noReferences))
			if *update {
				if err := os.WriteFile(name, []byte(input+got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := strings.TrimPrefix(string(text), input); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// split takes a case apart; input is the text up to the expectation.
func split(text string) (files []*pipelinev1.File, input string) {
	input, _, _ = strings.Cut(text, "-- want --\n")
	for part := range strings.SplitSeq("\n"+input, "\n-- ") {
		name, body, ok := strings.Cut(part, " --\n")
		if !ok {
			continue
		}
		files = append(files, &pipelinev1.File{Path: name, Text: []byte(body)})
	}
	return files, input
}

func render(r *compile.Result) string {
	var b strings.Builder
	b.WriteString("-- want --\n")
	for _, p := range r.Problems {
		word := "error"
		if p.GetSeverity() == pipelinev1.Severity_SEVERITY_WARNING {
			word = "warning"
		}
		fmt.Fprintf(&b, "%s:%d: %s: %s: %s\n\t%s\n", p.GetFile(), p.GetLine(), word, p.GetPath(), p.GetMessage(), p.GetFix())
	}
	if compile.Failed(r.Problems) {
		return b.String()
	}
	b.WriteString("-- pipeline --\n")
	shown := proto.CloneOf(r.Pipeline)
	shown.Files = nil
	// protojson varies its blanks on purpose; the texts of these files hold no double blanks that matter.
	text, err := protojson.MarshalOptions{Multiline: true, Indent: " "}.Marshal(shown)
	if err != nil {
		return err.Error()
	}
	b.WriteString(strings.ReplaceAll(string(text), ":  ", ": ") + "\n")
	return b.String()
}
