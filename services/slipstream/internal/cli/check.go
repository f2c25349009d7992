package cli

import (
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/spf13/cobra"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/compile"
)

func (a *app) validate() *cobra.Command {
	var dir, output string
	var offline bool
	cmd := &cobra.Command{
		Use: "validate", Short: "Check config.yaml and jobs and list every problem", Args: noArgs,
		Long: "Check config.yaml and jobs and list every problem: form, expressions, source, tables, permissions. Nothing is changed.\n\n" +
			"With --gateway (or " + GatewayVariable + ") the services behind it check; without, this process does.\n" +
			"With --offline form and expressions are checked, and nothing is connected to.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := choice(output, "table", "json"); err != nil {
				return err
			}
			files, err := readFiles(dir)
			if err != nil {
				return err
			}
			var res *gatewayv1.ValidateResponse
			_, named := a.address()
			ask := func(ctx context.Context, gateway Gateway) (err error) {
				res, err = gateway.Client.Validate(ctx, &gatewayv1.ValidateRequest{Pipeline: a.pipeline, Files: files, Offline: offline})
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
			return reportValid(cmd.OutOrStdout(), dir, output, res, !offline)
		},
	}
	a.gatewayFlags(cmd)
	dirFlag(cmd, &dir)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	cmd.Flags().BoolVar(&offline, "offline", false, "check form and expressions only; connect to nothing")
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

func reportValid(w io.Writer, dir, output string, res *gatewayv1.ValidateResponse, everything bool) error {
	failed := compile.Failed(res.GetProblems())
	if output == "json" {
		if err := printJSON(w, map[string]any{"valid": !failed, "problems": problemsJSON(res.GetProblems())}); err != nil {
			return err
		}
	} else {
		PrintProblems(w, dir, res.GetProblems())
		if !failed {
			what := "form and expressions; source and tables are checked without --offline"
			if everything {
				what = "form, expressions, source and tables"
			}
			fmt.Fprintf(w, "valid: %s, %s (%s)\n", count(len(res.GetPipeline().GetJobs()), "job"),
				count(len(res.GetPipeline().GetConnections()), "connection"), what)
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
	var dry bool
	cmd := &cobra.Command{
		Use: "deploy", Short: "Check config.yaml and jobs, and run them if nothing is wrong", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			files, err := readFiles(dir)
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
				res, err = gateway.Client.Deploy(ctx, &gatewayv1.DeployRequest{Pipeline: a.pipeline, Files: files, DryRun: dry})
				return err
			})
			if err != nil {
				return err
			}
			if PrintProblems(stderr, dir, res.GetProblems()) {
				fmt.Fprintln(stderr, "nothing was deployed")
				return ErrReported
			}
			fmt.Fprintln(cmd.OutOrStdout(), deployed(a.pipelineName(), res, dry))
			if informs(cmd) {
				fmt.Fprintln(stderr, "INFO - Task `deploy` completed successfully.")
			}
			return nil
		},
	}
	a.gatewayFlags(cmd)
	dirFlag(cmd, &dir)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "check and tell, but deploy nothing")
	logFlag(cmd, true)
	return cmd
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
