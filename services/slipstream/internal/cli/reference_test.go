package cli_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"slipstream/services/slipstream/internal/cli"
)

var (
	row  = regexp.MustCompile("(?m)^\\| (`[^|]+(?:\\\\\\|[^|]+)*`) \\| [^|]+\\|(.*)\\|$")
	word = regexp.MustCompile("`([a-z][a-z-]*)")
	long = regexp.MustCompile("--([a-z-]+)")
)

// TestReference: docs/reference/commands.md has every command, and no flag that its command lacks.
func TestReference(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/reference/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	root := cli.New(newLine().deps)
	known := map[string]*cobra.Command{}
	for _, cmd := range root.Commands() {
		known[cmd.Name()] = cmd
		for _, alias := range cmd.Aliases {
			known[alias] = cmd
		}
	}
	told := map[string]bool{"help": true, "version": true}
	rows := row.FindAllStringSubmatch(string(text), -1)
	if len(rows) < 20 {
		t.Fatalf("%d rows understood", len(rows))
	}
	for _, r := range rows {
		for _, name := range word.FindAllStringSubmatch(r[1], -1) {
			cmd := known[name[1]]
			if cmd == nil {
				if name[1] != "completion" { // cobra adds it when it runs
					t.Errorf("there is no command %s", name[1])
				}
				continue
			}
			told[name[1]] = true
			for _, flag := range long.FindAllStringSubmatch(r[2], -1) {
				found := cmd.Flags().Lookup(flag[1]) != nil
				for _, sub := range cmd.Commands() {
					found = found || sub.Flags().Lookup(flag[1]) != nil
				}
				if !found && !(name[1] == "run" && strings.Contains("listen http metrics", flag[1])) { // main adds those
					t.Errorf("%s has no flag --%s", name[1], flag[1])
				}
			}
		}
	}
	for name, cmd := range known { // aliases too
		if !told[name] && !cmd.Hidden {
			t.Errorf("%s is not in the reference", name)
		}
	}
}
