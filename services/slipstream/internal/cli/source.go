package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/compile"
)

// sourceFlag is a flag that says something of the Redis that changes come from, and what it is called in source.yaml.
type sourceFlag struct{ name, attribute, usage string }

// sourceFlags are spelled --rdi-… by redis-di, which had no other way to say where the source is (spec 2.3, 7).
var sourceFlags = []sourceFlag{
	{"source-host", "host", "Redis that changes come from, instead of the source in the files; also --rdi-host (variable SLIPSTREAM_SOURCE_HOST, and so on)"},
	{"source-port", "port", "its port; also --rdi-port"},
	{"source-user", "user", "its user; also --rdi-user, variable RDI_REDIS_USERNAME"},
	{"source-password", "password", "its password; also --rdi-password, variable RDI_REDIS_PASSWORD"},
	{"source-cacert", "cacert", "file with the certificates that sign its own; turns TLS on; also --rdi-cacert"},
	{"source-cert", "cert", "file with the certificate to show it; also --rdi-cert"},
	{"source-key", "key", "file with the key of that certificate; also --rdi-key"},
	{"source-key-password", "key_password", "password of that key; also --rdi-key-password"},
}

// sourceVariables stand for flags that are not given, as with redis-di.
var sourceVariables = map[string]string{"source-user": "RDI_REDIS_USERNAME", "source-password": "RDI_REDIS_PASSWORD"}

// sourceVariable is the variable of a flag, as all flags of services have one.
func sourceVariable(flag string) string {
	return "SLIPSTREAM_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// filesFlags adds the flags of a command that takes the files of a pipeline.
func filesFlags(cmd *cobra.Command, dir *string) {
	dirFlag(cmd, dir)
	for _, f := range sourceFlags {
		cmd.Flags().String(f.name, "", f.usage)
	}
}

// readPipeline reads the files of a folder; with --source-host those say where the source is.
func (a *app) readPipeline(cmd *cobra.Command, dir string) ([]*pipelinev1.File, error) {
	source, err := a.source(cmd)
	if err != nil {
		return nil, err
	}
	files, err := readFiles(dir)
	if err != nil || source == nil {
		return files, err
	}
	files = slices.DeleteFunc(files, func(f *pipelinev1.File) bool { return f.GetPath() == compile.SourceFile })
	return append(files, source), nil
}

// source is the file that the flags stand for; nil when none is given.
func (a *app) source(cmd *cobra.Command) (*pipelinev1.File, error) {
	values := make(map[string]string)
	for _, f := range sourceFlags {
		if flag := cmd.Flags().Lookup(f.name); flag.Changed {
			values[f.name] = flag.Value.String()
		} else if value := a.deps.Getenv(sourceVariable(f.name)); value != "" {
			values[f.name] = value
		}
	}
	if len(values) == 0 {
		return nil, nil
	}
	if values["source-host"] == "" {
		return nil, misused("--source-host is missing: the other flags of the source need it")
	}
	if port, err := strconv.ParseUint(values["source-port"], 10, 16); err != nil || port == 0 {
		return nil, misused("--source-port %q: write the port of the source, from 1 to 65535", values["source-port"])
	}
	for name, variable := range sourceVariables {
		if _, given := values[name]; !given {
			values[name] = a.deps.Getenv(variable)
		}
	}
	var text strings.Builder
	for _, f := range sourceFlags {
		switch value := values[f.name]; {
		case value == "":
		case f.attribute == "port":
			fmt.Fprintf(&text, "%s: %s\n", f.attribute, value)
		default:
			fmt.Fprintf(&text, "%s: %q\n", f.attribute, value)
		}
	}
	return &pipelinev1.File{Path: compile.SourceFile, Text: []byte(text.String())}, nil
}
