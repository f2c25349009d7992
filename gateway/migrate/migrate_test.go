package migrate_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipstream/gateway/migrate"
)

var update = flag.Bool("update", false, "write the golden files")

// TestGolden rewrites the files of each testdata/*.txt, which begin with lines "-- name --". Below "-- want --" stand the changes
// and the text of each, or why it was not rewritten. Run with -update after a change, and read the difference.
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
			input, want, _ := strings.Cut(string(text), "-- want --\n")
			var got strings.Builder
			for part := range strings.SplitSeq("\n"+input, "\n-- ") {
				path, body, ok := strings.Cut(part, " --\n")
				if !ok {
					continue
				}
				out, changes, err := migrate.File(path, []byte(body))
				got.WriteString("-- " + path + " --\n")
				for _, change := range changes {
					got.WriteString("# change: " + change + "\n")
				}
				if err != nil {
					got.WriteString("# error: " + err.Error() + "\n")
				}
				got.WriteString(strings.TrimSuffix(string(out), "\n") + "\n")
				again, more, second := migrate.File(path, out)
				if string(again) != string(out) || len(more) > 0 || (second == nil) != (err == nil) {
					t.Errorf("%s: rewriting it again: %v, %v\n%s", path, more, second, again)
				}
			}
			if *update {
				if err := os.WriteFile(name, []byte(input+"-- want --\n"+got.String()), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got.String() != want {
				t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
			}
		})
	}
}
