package cli

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// levels are the words of redis-di, from the most to the least talkative (spec 7).
var levels = []string{"DEBUG", "INFO", "WARN", "ERROR", "CRITICAL"}

// level is the flag --log-level.
type level string

func (l *level) String() string { return string(*l) }
func (l *level) Type() string   { return "level" }

func (l *level) Set(s string) error {
	word := strings.ToUpper(s)
	if word == "WARNING" {
		word = "WARN"
	}
	if !slices.Contains(levels, word) {
		return misused("use one of %s", strings.Join(levels, ", "))
	}
	*l = level(word)
	return nil
}

// logFlag adds --log-level, which says how much a command tells of its progress on stderr. short adds -l, which means
// --live elsewhere.
func logFlag(cmd *cobra.Command, short bool) {
	l := level("INFO")
	name := ""
	if short {
		name = "l"
	}
	cmd.Flags().VarP(&l, "log-level", name, "how much to tell on stderr: "+strings.Join(levels, ", "))
}

// informs says whether progress is to be told.
func informs(cmd *cobra.Command) bool {
	flag := cmd.Flags().Lookup("log-level")
	return flag == nil || slices.Index(levels, flag.Value.String()) <= slices.Index(levels, "INFO")
}

// logger tells on stderr what goes wrong while a command serves, as much of it as --log-level says.
func logger(cmd *cobra.Command) *slog.Logger {
	least := slog.LevelInfo
	if flag := cmd.Flags().Lookup("log-level"); flag != nil {
		least = map[string]slog.Level{
			"DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo, "WARN": slog.LevelWarn, "ERROR": slog.LevelError, "CRITICAL": slog.LevelError + 4,
		}[flag.Value.String()]
	}
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: least}))
}
