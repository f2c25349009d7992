package cli

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slipstream/gateway/compile"
	"slipstream/gateway/configfile"
)

//go:embed templates
var templates embed.FS

const sampleJob = compile.JobsFolder + "/sample.yaml"

// The database types of spec 7, those with a template first.
var (
	scaffolded = []string{"postgresql", "sqlite", "mysql", "mariadb", "sqlserver", "oracle", "cassandra", "redis"}
	promised   = []string{"db2"}
)

func (a *app) scaffold() *cobra.Command {
	var kind, strategy, dir, preview string
	cmd := &cobra.Command{
		Use: "scaffold", Short: "Write a config.yaml and a sample job to start from", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case kind == "":
				return misused("--db-type is missing: use %s", strings.Join(scaffolded, " or "))
			case !slices.Contains(scaffolded, kind) && slices.Contains(promised, kind):
				return fmt.Errorf("--db-type %s is not supported yet by this version; use %s", kind, strings.Join(scaffolded, " or "))
			case !slices.Contains(scaffolded, kind):
				return misused("--db-type %q: use %s", kind, strings.Join(scaffolded, " or "))
			case strategy != "write_behind":
				return misused("--strategy %q: Slipstream has one strategy, write_behind", strategy)
			case (dir == "") == (preview == ""):
				return misused("give either --dir or --preview")
			}
			files, err := scaffoldFiles(kind)
			if err != nil {
				return err
			}
			if preview == "" {
				return writeFiles(cmd, dir, files)
			}
			text, known := files[preview]
			if !known {
				return misused("--preview %q: use %s or %s", preview, compile.ConfigFile, sampleJob)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&kind, "db-type", "", "type of the database written to: "+strings.Join(scaffolded, " or "))
	f.StringVar(&strategy, "strategy", "write_behind", "write_behind")
	f.StringVar(&dir, "dir", "", "folder to write the files to")
	f.StringVar(&preview, "preview", "", "print one file instead: "+compile.ConfigFile+" or "+sampleJob)
	logFlag(cmd, true)
	return cmd
}

// scaffoldFiles are the files for a type of database, by path.
func scaffoldFiles(kind string) (map[string]string, error) {
	read := func(name string) (string, error) {
		text, err := templates.ReadFile("templates/" + name)
		return string(text), err
	}
	source, err1 := read("source.yaml")
	target, err2 := read(kind + ".yaml")
	applier, err3 := read("applier.yaml")
	sample := "job.yaml"
	if kind == configfile.Cassandra || kind == configfile.Redis {
		sample = "job_" + kind + ".yaml" // whose writer is another
	}
	job, err4 := read(sample)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, fmt.Errorf("reading the templates: %w", err)
	}
	return map[string]string{compile.ConfigFile: source + target + applier, sampleJob: job}, nil
}

// writeFiles writes files that are not there yet; where one is, nothing is written.
func writeFiles(cmd *cobra.Command, dir string, files map[string]string) error {
	names := []string{compile.ConfigFile, sampleJob}
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s exists already; remove it, or give another folder with --dir", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("writing the files: %w", err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, compile.JobsFolder), 0o777); err != nil {
		return fmt.Errorf("writing the files: %w", err)
	}
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.WriteFile(path, []byte(files[name]), 0o666); err != nil {
			return fmt.Errorf("writing the files: %w", err)
		}
		fmt.Fprintln(cmd.OutOrStdout(), path)
	}
	return nil
}
