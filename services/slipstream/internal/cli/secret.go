package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"slipstream/proto/secret"
)

// secretNames are the names that a secret may have: each is a file.
var secretNames = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*$`)

// setSecret writes a secret where ${secrets:name} is looked for (spec 2.4). That is a folder of the machine, or the volume, that
// services see: a secret is never sent to a service (G10), so there is no call for it.
func (a *app) setSecret() *cobra.Command {
	var dir, name, value, literal, file string
	cmd := &cobra.Command{
		Use: "set-secret [NAME [VALUE]]", Short: "Store a secret that ${secrets:NAME} refers to, in a folder of this machine",
		Long: "Store a secret in the folder that " + secret.DirVariable + " names, as a file that only its owner may read; services\n" +
			"that have the same folder and variable resolve ${secrets:NAME} with it at their next connection. It is sent\n" +
			"nowhere. Without a value the secret is read from --file or standard input, and is then in no list of processes.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 2 {
				return misused("set-secret needs a name and a value, not %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				name = args[0]
			}
			given := cmd.Flags().Changed("secret-value")
			ways := 0
			for _, way := range []bool{given, len(args) == 2, cmd.Flags().Changed("literal"), file != ""} {
				if way {
					ways++
				}
			}
			if len(args) == 2 {
				value, given = args[1], true
			} else if cmd.Flags().Changed("literal") {
				value, given = literal, true
			}
			switch {
			case !secretNames.MatchString(name):
				return misused("the name %q is not made of letters, digits, ., - and _", name)
			case ways > 1:
				return misused("give the value once: as an argument, with --secret-value, --literal or --file")
			}
			if dir == "" {
				dir = a.deps.Getenv(secret.DirVariable)
			}
			if dir == "" {
				return misused("name the folder of the secrets with --secrets-dir or %s", secret.DirVariable)
			}
			if !given {
				var err error
				if value, err = readSecret(cmd.InOrStdin(), file); err != nil {
					return err
				}
			}
			if err := storeSecret(dir, name, value); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "secret %s is stored in %s; write ${secrets:%s} to refer to it\n", name, dir, name)
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "secrets-dir", "", "folder of the secrets (variable "+secret.DirVariable+")")
	cmd.Flags().StringVar(&name, "secret-name", "", "name, where it is no argument")
	cmd.Flags().StringVar(&value, "secret-value", "", "value, where it is no argument")
	cmd.Flags().StringVar(&literal, "literal", "", "value, where it is no argument")
	cmd.Flags().StringVar(&file, "file", "", "file with the value; - for standard input")
	logFlag(cmd, true)
	return cmd
}

func readSecret(in io.Reader, file string) (string, error) {
	var text []byte
	var err error
	if file == "" || file == "-" {
		text, err = io.ReadAll(in)
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return "", fmt.Errorf("reading the secret: %w", err)
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if value == "" {
		return "", errors.New("reading the secret: it is empty")
	}
	return value, nil
}

// storeSecret writes the file whole or not at all.
func storeSecret(dir, name, value string) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("storing secret %s: %w", name, err)
	}
	f, err := os.CreateTemp(dir, ".new-*") // readable by its owner alone
	if err != nil {
		return fmt.Errorf("storing secret %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("storing secret %s: %w", name, err), os.Remove(f.Name()))
		}
	}()
	if _, err := f.WriteString(value); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, name))
}
