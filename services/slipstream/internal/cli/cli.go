// Package cli is the command line of Slipstream: what an operator types (spec 7).
//
// Every command is a call of the gateway's API, or works on files alone; nothing here knows Redis or a database. Results
// go to stdout, everything else to stderr. The exit code is 0 when it worked, 1 when it did not, 2 for wrong usage.
//
// The package is handed what it cannot make itself: how to reach a gateway, how to make one that checks files without
// any service, and how to run the whole line in this process.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Exit codes.
const (
	ok      = 0
	failure = 1
	usage   = 2
)

const (
	// DefaultGateway is where the gateway is looked for when nothing else is said.
	DefaultGateway = "127.0.0.1:7400"
	// GatewayVariable names the gateway's address where the flag is not given.
	GatewayVariable = "SLIPSTREAM_GATEWAY"
)

// Gateway is a gateway to call, and how to let go of it.
type Gateway struct {
	// Client calls it.
	Client gatewayv1.GatewayServiceClient
	// Close lets go of it; nil: nothing to do.
	Close func() error
}

// Run says what `slipstream run` shall run.
type Run struct {
	// Dir holds config.yaml and jobs/.
	Dir string
	// Files are those in it, and what the flags say of the source.
	Files []*pipelinev1.File
	// Stdout is for results.
	Stdout io.Writer
	// Stderr is for logs and problems.
	Stderr io.Writer
}

// Deps is what the command line is handed.
type Deps struct {
	// Version of Slipstream.
	Version string
	// Dial makes a client of the gateway behind a door.
	Dial func(Door) (Gateway, error)
	// Here makes a gateway in this process that can only validate, for the pipeline in dir.
	Here func(ctx context.Context, dir string) (Gateway, error)
	// RunFlags adds flags to `run`; nil: none.
	RunFlags func(*pflag.FlagSet)
	// Run runs the whole line in this process until ctx ends.
	Run func(context.Context, Run) error
	// Exporter serves metrics at / and /metrics of an address until ctx ends.
	Exporter func(context.Context, Export) error
	// Stdin is read where a command asks or takes input. Default os.Stdin.
	Stdin io.Reader
	// Getenv reads the environment. Default os.Getenv.
	Getenv func(string) string
	// ConfigDir is the folder for the user's configuration, where contexts are kept. Default os.UserConfigDir.
	ConfigDir func() (string, error)
}

// ErrReported is what a command ends with that has said already what went wrong.
var ErrReported = errors.New("failed")

// usageError is a wrong command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func misused(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// Main runs a command line and returns its exit code.
func Main(ctx context.Context, deps Deps, args []string, stdout, stderr io.Writer) int {
	root := New(deps)
	root.SetArgs(spellings(args))
	if deps.Stdin != nil {
		root.SetIn(deps.Stdin)
	}
	out := &results{w: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	refuseUnknownTopics(root)
	called, err := root.ExecuteContextC(ctx)
	if err == nil && out.lost != nil {
		err = fmt.Errorf("writing the result: %w", out.lost)
	}
	var wrong usageError
	switch {
	case err == nil:
		return ok
	case errors.As(err, &wrong):
		fmt.Fprintf(stderr, "%s: %v\nsee: %s --help\n", called.CommandPath(), err, called.CommandPath())
		return usage
	case errors.Is(err, ErrReported):
		return failure
	default:
		fmt.Fprintf(stderr, "%s: %v\n", called.CommandPath(), err)
		return failure
	}
}

// New makes the root command.
func New(deps Deps) *cobra.Command {
	if deps.Getenv == nil {
		deps.Getenv = os.Getenv
	}
	if deps.ConfigDir == nil {
		deps.ConfigDir = func() (string, error) {
			dir, err := os.UserConfigDir()
			if err != nil {
				return "", errors.Join(errNoFolder, err)
			}
			return dir, nil
		}
	}
	a := &app{deps: deps}
	root := &cobra.Command{
		Use:           "slipstream",
		Short:         "Write-behind for Redis: keeps the tables of a database equal to hashes and JSON documents",
		Version:       deps.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return misused("unknown command %q; did you mean %s?", args[0], strings.Join(near, " or "))
		}
		return misused("unknown command %q", args[0])
	}
	root.SuggestionsMinimumDistance = 2
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.SetGlobalNormalizationFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "loglevel" {
			name = "log-level" // the old spelling (spec 7)
		}
		if rest, is := strings.CutPrefix(name, "rdi-"); is {
			name = "source-" + rest // as redis-di called it
		}
		return pflag.NormalizedName(name)
	})
	root.AddCommand(
		a.scaffold(), a.validate(), a.deploy(), a.run(), a.start(), a.stop(), a.status(), a.listPipelines(), a.listJobs(), a.describeJob(),
		a.getRejected(), a.replay(), a.test(), a.migrate(), a.monitor(), a.version(),
		a.trace(), a.resync(), a.reset(), a.configure(), a.listDLQs(), a.getDLQ(), a.listDLQRecords(), a.dumpSupportPackage(),
		a.setSecret(), a.info(),
	)
	group, old := a.contextCommands()
	root.AddCommand(group)
	root.AddCommand(old...)
	root.AddCommand(explained()...)
	acceptOld(root)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		tellUnused(cmd)
		if cmd.Flags().Lookup("gateway") == nil {
			return nil
		}
		if strings.HasPrefix(cmd.Name(), "add") {
			return nil // a new context takes nothing from the active one
		}
		return a.useContext(cmd)
	}
	return root
}

// spellings rewrites what users of redis-di type with one hyphen.
func spellings(args []string) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		if arg == "-log-level" || strings.HasPrefix(arg, "-log-level=") {
			arg = "-" + arg
		}
		out[i] = arg
	}
	return out
}

// app holds what the commands share.
type app struct {
	deps     Deps
	gateway  string
	pipeline string
	context  string
	door     Door
}

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return misused("%s takes no argument, but %q was given", cmd.Name(), args[0])
	}
	return nil
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), a.deps.Version)
			return err
		},
	}
}

func (a *app) run() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "run", Short: "Run the whole pipeline in one process until interrupted", Args: noArgs,
		Long: "Run capture, transformer, applier and gateway in this process, with the files in --dir, until interrupted.\n" +
			"The other commands reach it as they reach a gateway of its own.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			files, err := a.readPipeline(cmd, dir)
			if err != nil {
				return err
			}
			return a.deps.Run(cmd.Context(), Run{Dir: dir, Files: files, Stdout: cmd.OutOrStdout(), Stderr: cmd.ErrOrStderr()})
		},
	}
	filesFlags(cmd, &dir)
	if a.deps.RunFlags != nil {
		a.deps.RunFlags(cmd.Flags())
	}
	return cmd
}
