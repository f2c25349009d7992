package host

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// options are the flags every process has.
type options struct {
	listen, metrics     string
	logLevel, logFormat string
	grace               time.Duration
	identity            Identity
	healthy, metricsTLS bool
}

// parse reads flags, then the environment for flags that were not given.
func parse(spec Spec, args []string, stdout io.Writer) (*options, error) {
	var o options
	f := pflag.NewFlagSet(binary(spec.Name), pflag.ContinueOnError)
	f.SortFlags = false
	f.SetOutput(stdout)
	if spec.Flags != nil {
		spec.Flags(f)
	}
	f.StringVar(&o.listen, "listen", spec.Listen, "address of the gRPC server")
	f.StringVar(&o.metrics, "metrics", spec.MetricsListen, "address of /metrics; \"off\" for none")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.DurationVar(&o.grace, "grace", cmp.Or(spec.Grace, 20*time.Second), "how long an orderly end may take")
	o.identity.Flags(f)
	MetricsTLS(f, &o.metricsTLS)
	f.BoolVar(&o.healthy, "healthy", false, "ask the process that runs with these flags whether it serves, and exit with 0 or 1")
	version := f.Bool("version", false, "print the version and exit")
	f.Usage = func() {
		fmt.Fprintf(stdout, "%s: %s\n\nFlags (each is also an environment variable, for example %s):\n%s",
			binary(spec.Name), spec.Summary, Variable("log-level"), f.FlagUsages())
	}
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if *version {
		fmt.Fprintln(stdout, Version())
		return nil, pflag.ErrHelp
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if err := FromEnvironment(f); err != nil {
		return nil, err
	}
	return &o, check(&o)
}

func check(o *options) error {
	var errs []error
	if err := new(slog.Level).UnmarshalText([]byte(o.logLevel)); err != nil {
		errs = append(errs, fmt.Errorf("--log-level %q: use debug, info, warn or error", o.logLevel))
	}
	if o.logFormat != "text" && o.logFormat != "json" {
		errs = append(errs, fmt.Errorf("--log-format %q: use text or json", o.logFormat))
	}
	if o.grace <= 0 {
		errs = append(errs, fmt.Errorf("--grace %v: must be more than nothing", o.grace))
	}
	errs = append(errs, o.identity.Check(true), o.identity.CheckMetricsTLS(o.metricsTLS))
	return errors.Join(errs...)
}

// Variable is the environment variable of a flag.
func Variable(flag string) string {
	return "SLIPSTREAM_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// FromEnvironment sets every flag that was not given from its variable, where that is set.
func FromEnvironment(f *pflag.FlagSet) error {
	var errs []error
	f.VisitAll(func(flag *pflag.Flag) {
		if v, ok := os.LookupEnv(Variable(flag.Name)); ok && !flag.Changed && flag.Name != "version" {
			if err := f.Set(flag.Name, v); err != nil {
				errs = append(errs, fmt.Errorf("environment variable %s: %w", Variable(flag.Name), err))
			}
		}
	})
	return errors.Join(errs...)
}

// Logger writes records of at least level to w, as text or json. An unknown level means info.
func Logger(w io.Writer, level, format string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
