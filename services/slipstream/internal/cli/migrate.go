package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"slipstream/gateway/migrate"
)

func (a *app) migrate() *cobra.Command {
	var dir string
	var dry bool
	cmd := &cobra.Command{
		Use: "migrate", Short: "Rewrite files of older and other generations, keeping comments", Args: noArgs,
		Long: "Rewrite config.yaml and jobs of older and other generations as this one writes them: keyspace, targets, processors,\n" +
			"batch, data_only, a key at the top of a job, and so on. Everything else in the files stays as it is, comments included,\n" +
			"and what is written means the same to validate as before. A file for which that cannot be had is left alone and named,\n" +
			"with exit code 1. Files are replaced; --dry-run says what would change.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			files, err := readFiles(dir)
			if err != nil {
				return err
			}
			if len(files) == 0 {
				return fmt.Errorf("reading the files: there is no config.yaml and no job in %s", dir)
			}
			failed := false
			for _, f := range files {
				name := filepath.Join(dir, filepath.FromSlash(f.GetPath()))
				text, changes, err := migrate.File(f.GetPath(), f.GetText())
				if err == nil && !dry && !bytes.Equal(text, f.GetText()) {
					err = replace(name, text)
				}
				if err != nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", clean(name), err)
					failed = true
					continue
				}
				if !bytes.Equal(text, f.GetText()) && len(changes) == 0 {
					changes = []string{"a byte order mark is gone"}
				}
				if len(changes) == 0 {
					fmt.Fprintf(cmd.OutOrStdout(), "%s: nothing to change\n", clean(name))
				}
				for _, change := range changes {
					fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", clean(name), clean(change))
				}
			}
			if failed {
				return ErrReported
			}
			return nil
		},
	}
	dirFlag(cmd, &dir)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would change, and write nothing")
	logFlag(cmd, true)
	return cmd
}

// replace writes a file as a whole or not at all, with the permissions that it had.
func replace(name string, text []byte) (err error) {
	if name, err = filepath.EvalSymlinks(name); err != nil {
		return fmt.Errorf("writing it: %w", err)
	}
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("writing it: %w", err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(name), ".migrate-*")
	if err != nil {
		return fmt.Errorf("writing it: %w", err)
	}
	_, err = temporary.Write(text)
	err = errors.Join(err, temporary.Chmod(info.Mode().Perm()), temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("writing it: %w", errors.Join(err, os.Remove(temporary.Name())))
	}
	return nil
}
