package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// ContextVariable names the context to use where --context is not given.
const ContextVariable = "SLIPSTREAM_CONTEXT"

// savedContext is a gateway and how to be let in, under a name. No secret is in it: a token is named by its file.
type savedContext struct {
	Gateway   string `yaml:"gateway,omitempty" json:"gateway"`
	Pipeline  string `yaml:"pipeline,omitempty" json:"pipeline,omitempty"`
	TLS       bool   `yaml:"tls,omitempty" json:"tls,omitempty"`
	CA        string `yaml:"tls-ca,omitempty" json:"tls-ca,omitempty"`
	Cert      string `yaml:"tls-cert,omitempty" json:"tls-cert,omitempty"`
	Key       string `yaml:"tls-key,omitempty" json:"tls-key,omitempty"`
	TokenFile string `yaml:"token-file,omitempty" json:"token-file,omitempty"`
}

// contexts is the file of all of them.
type contexts struct {
	Current  string                  `yaml:"current-context,omitempty"`
	Contexts map[string]savedContext `yaml:"contexts"`
}

// contextFile is where contexts are kept.
func (a *app) contextFile() (string, error) {
	dir, err := a.deps.ConfigDir()
	if err != nil {
		return "", fmt.Errorf("looking for the folder of contexts: %w", err)
	}
	return filepath.Join(dir, "slipstream", "contexts.yaml"), nil
}

func (a *app) contexts() (contexts, error) {
	c := contexts{Contexts: map[string]savedContext{}}
	path, err := a.contextFile()
	if err != nil {
		return c, err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("reading contexts: %w", err)
	}
	if err := yaml.UnmarshalWithOptions(text, &c, yaml.Strict()); err != nil {
		return c, fmt.Errorf("reading contexts: %s: %w; correct or remove it", path, err)
	}
	if c.Contexts == nil {
		c.Contexts = map[string]savedContext{}
	}
	return c, nil
}

func (a *app) saveContexts(c contexts) error {
	path, err := a.contextFile()
	if err != nil {
		return err
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("writing contexts: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("writing contexts: %w", err)
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("writing contexts: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("writing contexts: %w", err)
	}
	return nil
}

// useContext fills in what neither flag nor variable says from the context that is named or active.
func (a *app) useContext(cmd *cobra.Command) error {
	all, err := a.contexts()
	if err != nil && (a.context != "" || !errors.Is(err, errNoFolder)) {
		return err
	}
	name := a.context
	if name == "" {
		name = a.deps.Getenv(ContextVariable)
	}
	asked := name != ""
	if !asked {
		name = all.Current
	}
	c, known := all.Contexts[name]
	if !known {
		if asked {
			return misused("there is no context %q; `slipstream context list` lists them", name)
		}
		return nil
	}
	fill := func(flag, variable string, to *string, value string) {
		if !cmd.Flags().Changed(flag) && (variable == "" || a.deps.Getenv(variable) == "") && value != "" {
			*to = value
		}
	}
	fill("gateway", GatewayVariable, &a.gateway, c.Gateway)
	fill("pipeline", "", &a.pipeline, c.Pipeline)
	fill("tls-ca", "SLIPSTREAM_TLS_CA", &a.door.CA, c.CA)
	fill("tls-cert", "SLIPSTREAM_TLS_CERT", &a.door.Cert, c.Cert)
	fill("tls-key", "SLIPSTREAM_TLS_KEY", &a.door.Key, c.Key)
	if a.deps.Getenv(tokenVariable) == "" {
		fill("token-file", tokenFileVariable, &a.door.tokenFile, c.TokenFile)
	}
	if !cmd.Flags().Changed("tls") && c.TLS {
		a.door.TLS = true
	}
	return nil
}

// errNoFolder says that this user has no folder for configuration; then there are no contexts.
var errNoFolder = errors.New("this user has no folder for configuration")

// contextCommands are the commands on contexts, under their own name and under those of redis-di (spec 7).
func (a *app) contextCommands() (group *cobra.Command, old []*cobra.Command) {
	group = &cobra.Command{
		Use: "context", Short: "Save gateways under names, and choose one", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(a.addContext("add NAME"), a.listContexts("list"), a.setContext("use NAME"), a.deleteContext("remove NAME"), a.deleteContexts("remove-all"))
	old = []*cobra.Command{
		a.addContext("add-context NAME"), a.listContexts("list-contexts"), a.setContext("set-context NAME"),
		a.deleteContext("delete-context NAME"), a.deleteContexts("delete-all-contexts"),
	}
	for _, cmd := range old {
		cmd.Hidden = true
	}
	return group, old
}

func oneContext(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return misused("%s needs the name of one context, not %d", cmd.Name(), len(args))
	}
	return nil
}

func (a *app) addContext(use string) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: "Save a gateway and how to be let in under a name", Args: oneContext,
		Long: "Save the address of a gateway, a pipeline and the files of TLS and token under a name. Secrets are not saved. The first\n" +
			"context becomes the active one.",
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := a.contexts()
			if err != nil {
				return err
			}
			address, named := a.address()
			if !named {
				return misused("--gateway is missing: name the gateway")
			}
			all.Contexts[args[0]] = savedContext{
				Gateway: address, Pipeline: a.pipeline, TLS: a.door.TLS, CA: a.door.CA, Cert: a.door.Cert, Key: a.door.Key,
				TokenFile: a.door.tokenFile,
			}
			if all.Current == "" {
				all.Current = args[0]
			}
			if err := a.saveContexts(all); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "context %s is saved; %s is active\n", args[0], all.Current)
			return err
		},
	}
	a.gatewayFlags(cmd)
	logFlag(cmd, true)
	return cmd
}

func (a *app) setContext(use string) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: "Make a context the active one", Args: oneContext,
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := a.contexts()
			if err != nil {
				return err
			}
			if _, known := all.Contexts[args[0]]; !known {
				return fmt.Errorf("there is no context %q", args[0])
			}
			all.Current = args[0]
			if err := a.saveContexts(all); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "context %s is active\n", args[0])
			return err
		},
	}
	logFlag(cmd, true)
	cmd.ValidArgsFunction = a.completeContexts
	return cmd
}

func (a *app) listContexts(use string) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: use, Short: "List the saved contexts", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := choice(output, "table", "json", "yaml"); err != nil {
				return err
			}
			all, err := a.contexts()
			if err != nil {
				return err
			}
			if output != "table" {
				return printAs(cmd.OutOrStdout(), output, map[string]any{"current-context": all.Current, "contexts": all.Contexts})
			}
			var rows [][]string
			for _, name := range slices.Sorted(maps.Keys(all.Contexts)) {
				mark := ""
				if name == all.Current {
					mark = "*"
				}
				rows = append(rows, []string{mark, name, all.Contexts[name].Gateway, all.Contexts[name].Pipeline})
			}
			table(cmd.OutOrStdout(), "Contexts", []string{"Active", "Name", "Gateway", "Pipeline"}, rows)
			return nil
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) deleteContext(use string) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: use, Short: "Forget a context", Args: oneContext,
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := a.contexts()
			if err != nil {
				return err
			}
			if _, known := all.Contexts[args[0]]; !known {
				return fmt.Errorf("there is no context %q", args[0])
			}
			if err := confirm(cmd, force, "forget context "+args[0]); err != nil {
				return err
			}
			delete(all.Contexts, args[0])
			if all.Current == args[0] {
				all.Current = ""
			}
			if err := a.saveContexts(all); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "context %s is forgotten\n", args[0])
			return err
		},
	}
	forceFlag(cmd, &force)
	logFlag(cmd, true)
	cmd.ValidArgsFunction = a.completeContexts
	return cmd
}

func (a *app) deleteContexts(use string) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: use, Short: "Forget every context", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := confirm(cmd, force, "forget every context"); err != nil {
				return err
			}
			if err := a.saveContexts(contexts{Contexts: map[string]savedContext{}}); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "every context is forgotten")
			return err
		},
	}
	forceFlag(cmd, &force)
	logFlag(cmd, true)
	return cmd
}
