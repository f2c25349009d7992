package cli

import (
	"context"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/compile"
)

func (a *app) validate() *cobra.Command {
	var dir, output string
	var offline, plan bool
	cmd := &cobra.Command{
		Use: "validate", Short: "Check config.yaml and jobs and list every problem", Args: noArgs,
		Long: "Check config.yaml and jobs and list every problem: form, expressions, source, tables, permissions. Nothing is changed.\n\n" +
			"With --gateway (or " + GatewayVariable + ") the services behind it check; without, this process does.\n" +
			"With --offline form and expressions are checked, and nothing is connected to.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := choice(output, "table", "json", "yaml"); err != nil {
				return err
			}
			if plan && offline {
				return misused("a plan is made by the targets: give either --plan or --offline")
			}
			files, err := a.readPipeline(cmd, dir)
			if err != nil {
				return err
			}
			var res *gatewayv1.ValidateResponse
			_, named := a.address()
			ask := func(ctx context.Context, gateway Gateway) (err error) {
				res, err = gateway.Client.Validate(ctx, &gatewayv1.ValidateRequest{
					Pipeline: a.pipeline, Files: files, Offline: offline, Plan: plan,
				})
				return err
			}
			if named {
				err = a.call(cmd.Context(), ask)
			} else {
				err = a.here(cmd.Context(), dir, ask)
			}
			if err != nil {
				return err
			}
			return reportValid(cmd.OutOrStdout(), dir, output, res, validated{everything: !offline, plan: plan})
		},
	}
	a.gatewayFlags(cmd)
	filesFlags(cmd, &dir)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, json or yaml")
	cmd.Flags().BoolVar(&offline, "offline", false, "check form and expressions only; connect to nothing")
	cmd.Flags().BoolVar(&plan, "plan", false, "show the statements that deploy and the first lanes would run to create what is missing")
	logFlag(cmd, true)
	return cmd
}

// here calls a gateway made in this process.
func (a *app) here(ctx context.Context, dir string, f func(context.Context, Gateway) error) error {
	gateway, err := a.deps.Here(ctx, dir)
	if err != nil {
		return fmt.Errorf("checking without a gateway: %w", err)
	}
	return finish(gateway, a.explain("in this process", f(ctx, gateway)))
}

// validated is what was asked for.
type validated struct{ everything, plan bool }

func reportValid(w io.Writer, dir, output string, res *gatewayv1.ValidateResponse, asked validated) error {
	failed := compile.Failed(res.GetProblems())
	if output != "table" {
		answer := map[string]any{"valid": !failed, "problems": problemsJSON(res.GetProblems())}
		if asked.plan {
			answer["plan"] = planJSON(res.GetPlan())
		}
		if err := printAs(w, output, answer); err != nil {
			return err
		}
	} else {
		PrintProblems(w, dir, res.GetProblems())
		if !failed {
			what := "form and expressions; source and tables are checked without --offline"
			if asked.everything {
				what = "form, expressions, source and tables"
			}
			fmt.Fprintf(w, "valid: %s, %s (%s)\n", count(len(res.GetPipeline().GetJobs()), "job"),
				count(len(res.GetPipeline().GetConnections()), "connection"), what)
		}
		if asked.plan && !failed {
			printPlan(w, "would be run", res.GetPlan())
		}
	}
	if failed {
		return ErrReported
	}
	return nil
}

func problemsJSON(problems []*pipelinev1.Problem) []map[string]any {
	out := make([]map[string]any, 0, len(problems))
	for _, p := range problems {
		out = append(out, map[string]any{
			"severity": strings.ToLower(strings.TrimPrefix(p.GetSeverity().String(), "SEVERITY_")),
			"file":     p.GetFile(), "line": p.GetLine(), "path": p.GetPath(), "message": p.GetMessage(), "fix": p.GetFix(),
			"job": p.GetJob(), "connection": p.GetConnection(),
		})
	}
	return out
}

func (a *app) deploy() *cobra.Command {
	var dir string
	var dry, start, wait, tables, resync bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "deploy", Short: "Check config.yaml and jobs, and run them if nothing is wrong", Args: noArgs,
		Long: "Check config.yaml and jobs, and run them if nothing is wrong. Lanes change to the new generation at a batch border.\n\n" +
			"A job whose meaning changes, which is the rows that its keys have, is reported as needing a resync: rows of keys\n" +
			"that do not change keep the old meaning until all keys are read again. With --resync that is done in the\n" +
			"background, for every job that needs it but those that keep history, while changes go on as ever.\n\n" +
			"With --wait it ends when every lane runs the new generation, and tells meanwhile what hinders; after --timeout, or\n" +
			"when interrupted, it fails, and the generation stays deployed.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case !tables:
				return misused("--validate-tables=false: tables are always looked at, since their columns say how values are written")
			case !start:
				return misused("--start=false: a deploy always starts the pipeline; `slipstream validate` checks without")
			case wait && dry:
				return misused("with --dry-run nothing is deployed: there is nothing to --wait for")
			case wait && timeout <= 0, !wait && cmd.Flags().Changed("timeout"):
				return misused("--timeout %s: give a time such as 2m, and --wait", timeout)
			}
			files, err := a.readPipeline(cmd, dir)
			if err != nil {
				return err
			}
			address, _ := a.address()
			stderr := cmd.ErrOrStderr()
			if informs(cmd) {
				for _, f := range files {
					if compile.IsJobFile(f.GetPath()) {
						fmt.Fprintf(stderr, "INFO - Reading %s job\n", path.Base(f.GetPath()))
					}
				}
				fmt.Fprintf(stderr, "INFO - Deploying settings to %s\n", address)
			}
			var res *gatewayv1.DeployResponse
			err = a.call(cmd.Context(), func(ctx context.Context, gateway Gateway) (err error) {
				res, err = gateway.Client.Deploy(ctx, &gatewayv1.DeployRequest{Pipeline: a.pipeline, Files: files, DryRun: dry, Resync: resync})
				return err
			})
			if err != nil {
				return err
			}
			if PrintProblems(stderr, dir, res.GetProblems()) {
				fmt.Fprintln(stderr, "nothing was deployed")
				return ErrReported
			}
			if verb := "was run"; len(res.GetCreated()) > 0 {
				if dry {
					verb = "would be run"
				}
				printPlan(cmd.OutOrStdout(), verb, res.GetCreated())
			}
			printChanged(cmd.OutOrStdout(), res)
			fmt.Fprintln(cmd.OutOrStdout(), deployed(a.pipelineName(), res, dry))
			printNeeds(cmd.OutOrStdout(), res.GetStale(), resync, dry)
			if resync && !res.GetCompared() {
				return fmt.Errorf("the gateway at %s is of an older version, which resyncs nothing by itself: upgrade it, or run slipstream resync", address)
			}
			if wait {
				if err := a.awaitDeployed(cmd, res.GetGeneration(), timeout); err != nil {
					return err
				}
			}
			if informs(cmd) {
				fmt.Fprintln(stderr, "INFO - Task `deploy` completed successfully.")
			}
			return nil
		},
	}
	a.gatewayFlags(cmd)
	filesFlags(cmd, &dir)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "check and tell, but deploy nothing")
	cmd.Flags().BoolVar(&resync, "resync", false, "resync the jobs that need it, in the background")
	cmd.Flags().BoolVar(&start, "start", true, "start the pipeline where it is stopped; a deploy always does")
	cmd.Flags().BoolVar(&tables, "validate-tables", true, "look at the tables; a deploy always does")
	cmd.Flags().BoolVar(&wait, "wait", false, "end when every lane runs what was deployed")
	cmd.Flags().DurationVar(&timeout, "timeout", 2*time.Minute, "how long to wait with --wait")
	logFlag(cmd, true)
	return cmd
}

// awaitDeployed waits for a generation; 0 is the one that was deployed before, since nothing has changed.
func (a *app) awaitDeployed(cmd *cobra.Command, generation uint64, timeout time.Duration) error {
	if generation == 0 {
		err := a.call(cmd.Context(), func(ctx context.Context, gateway Gateway) error {
			res, err := gateway.Client.Start(ctx, &gatewayv1.StartRequest{Pipeline: a.pipeline})
			generation = res.GetGeneration()
			return err
		})
		if err != nil {
			return err
		}
	}
	return a.takeUp(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), generation, timeout)
}

// printPlan shows statements that create what is missing, ready to be run by hand.
func printPlan(w io.Writer, verb string, plan []*gatewayv1.ConnectionPlan) {
	if len(plan) == 0 {
		fmt.Fprintln(w, "nothing is missing: no statement "+verb)
	}
	for _, c := range plan {
		fmt.Fprintf(w, "on connection %s %s:\n", clean(c.GetConnection()), verb)
		for _, s := range c.GetStatements() {
			fmt.Fprintf(w, "    %s\n", strings.ReplaceAll(clean(s.GetText()), "\n", "\n    "))
		}
	}
}

func planJSON(plan []*gatewayv1.ConnectionPlan) []map[string]any {
	out := []map[string]any{}
	for _, c := range plan {
		for _, s := range c.GetStatements() {
			out = append(out, map[string]any{"connection": c.GetConnection(), "job": s.GetJob(), "statement": s.GetText()})
		}
	}
	return out
}

func deployed(name string, res *gatewayv1.DeployResponse, dry bool) string {
	switch {
	case !res.GetChanged():
		return fmt.Sprintf("pipeline %s is unchanged", name)
	case dry:
		return fmt.Sprintf("pipeline %s would change; nothing was deployed", name)
	default:
		return fmt.Sprintf("pipeline %s: generation %d is deployed", name, res.GetGeneration())
	}
}
