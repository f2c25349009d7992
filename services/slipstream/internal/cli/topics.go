package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// refuseUnknownTopics makes wrong usage of what the two commands that come with cobra would answer with a page of help: help for a
// command that there is not, and completion for a shell that they do not know. Outputs are set before.
func refuseUnknownTopics(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Args = func(_ *cobra.Command, args []string) error {
				if found, rest, err := root.Find(args); err != nil || len(rest) > 0 || len(args) > 0 && found == root {
					return misused("there is no command %q", strings.Join(args, " "))
				}
				return nil
			}
		case "completion":
			cmd.Args = noShell
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

func noShell(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var shells []string
	for _, shell := range cmd.Commands() {
		shells = append(shells, shell.Name())
	}
	slices.Sort(shells)
	return misused("no completion for %q: use %s", args[0], strings.Join(shells, " or "))
}
