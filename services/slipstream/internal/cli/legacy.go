package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// clusterFlags are those that reached the management of a cluster in redis-di (spec 7).
var clusterFlags = []string{"cluster-host", "cluster-api-port", "cluster-user", "cluster-password"}

// acceptOld adds the flags of redis-di that a command has no use for, so that scripts go on; what is given is said to be
// unused.
func acceptOld(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		acceptOld(cmd)
		if cmd.Flags().Lookup("gateway") == nil && cmd.Name() != "set-secret" {
			continue
		}
		for _, f := range sourceFlags {
			acceptFlag(cmd, f.name)
		}
		for _, name := range clusterFlags {
			acceptFlag(cmd, name)
		}
	}
}

const unused = "unused"

func acceptFlag(cmd *cobra.Command, name string) {
	if cmd.Flags().Lookup(name) != nil {
		return
	}
	cmd.Flags().String(name, "", "of redis-di; not used by this command")
	flag := cmd.Flags().Lookup(name)
	flag.Hidden = true
	flag.Annotations = map[string][]string{unused: {"yes"}}
}

// tellUnused says which flags of redis-di were given for nothing.
func tellUnused(cmd *cobra.Command) {
	var given []string
	for _, name := range append(slices.Clone(clusterFlags), sourceNames()...) {
		if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed && len(flag.Annotations[unused]) > 0 {
			given = append(given, "--"+strings.Replace(name, "source-", "rdi-", 1))
		}
	}
	if len(given) > 0 {
		why := "which asks the gateway (--gateway), and that knows its Redis"
		if cmd.Flags().Lookup("gateway") == nil {
			why = "which works on this machine alone"
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "note: %s: not used by %s, %s\n", strings.Join(given, ", "), cmd.CommandPath(), why)
	}
}

func sourceNames() (out []string) {
	for _, f := range sourceFlags {
		out = append(out, f.name)
	}
	return out
}

// explained are commands of redis-di that managed its database in a cluster. There is none here; scripts that create or
// upgrade may go on, one that deletes must learn that nothing was.
func explained() (out []*cobra.Command) {
	for use, why := range map[string]string{
		"create":  "Slipstream needs no database of its own: it runs beside your Redis. See `slipstream configure`, then `slipstream deploy`.",
		"upgrade": "To upgrade, start the services of the new version; there is no database to upgrade.",
		"delete":  "Nothing was deleted: Slipstream has no database of its own. `slipstream stop` stops processing.",
	} {
		cmd := &cobra.Command{
			Use: use, Short: "Explain what takes the place of redis-di " + use, Hidden: true,
			FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
			RunE: func(cmd *cobra.Command, _ []string) error {
				fmt.Fprintln(cmd.ErrOrStderr(), why)
				if cmd.Name() == "delete" {
					return ErrReported
				}
				return nil
			},
		}
		out = append(out, cmd)
	}
	return out
}

// completeWithin bounds what completion may ask of a gateway: somebody has pressed a key.
const completeWithin = 2 * time.Second

// completeJobs offers the deployed jobs.
func (a *app) completeJobs(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if err := a.useContext(cmd); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	gateway, _, err := a.enter()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
	defer cancel()
	res, err := gateway.Client.ListJobs(ctx, &gatewayv1.ListJobsRequest{Pipeline: a.pipeline})
	if finish(gateway, err) != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []cobra.Completion
	for _, job := range res.GetJobs() {
		if !slices.Contains(args, job.GetName()) {
			names = append(names, job.GetName())
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeJob offers the deployed jobs where one is to be named.
func (a *app) completeJob(cmd *cobra.Command, args []string, start string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeJobs(cmd, args, start)
}

// completeContexts offers the saved contexts.
func (a *app) completeContexts(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	all, err := a.contexts()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(all.Contexts)), cobra.ShellCompDirectiveNoFileComp
}
