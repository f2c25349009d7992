package schema_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// file is a file of a pipeline.
type file struct {
	name   string
	config bool
	text   []byte
}

// files are those of the golden cases of the package compile, of the demo and of the samples.
func files(t *testing.T) []file {
	t.Helper()
	var all []file
	for _, name := range glob(t, "../compile/testdata/*.txt") {
		input, _, _ := strings.Cut("\n"+read(t, name), "-- want --\n")
		for part := range strings.SplitSeq(input, "\n-- ") {
			if inner, body, ok := strings.Cut(part, " --\n"); ok {
				all = append(all, file{name: filepath.Base(name) + ": " + inner, config: inner == "config.yaml", text: []byte(body)})
			}
		}
	}
	return append(all, shown(t)...)
}

// shown are the files that users see, which are all right.
func shown(t *testing.T) []file {
	t.Helper()
	var all []file
	for _, pattern := range []string{"demo", "samples/*"} {
		for _, name := range glob(t, "../../deploy/"+pattern+"/config.yaml") {
			all = append(all, file{name: name, config: true, text: []byte(read(t, name))})
		}
		for _, name := range glob(t, "../../deploy/"+pattern+"/jobs/*.y*ml") {
			all = append(all, file{name: name, text: []byte(read(t, name))})
		}
	}
	return all
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v, %v", pattern, names, err)
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
