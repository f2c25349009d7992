package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"

	"slipstream/gateway/compile"
)

// findingJSON is what configure found.
type findingJSON struct {
	Connection string `json:"connection"`
	Subject    string `json:"subject"`
	State      string `json:"state"`
	Found      string `json:"found"`
	Wanted     string `json:"wanted,omitempty"`
	Message    string `json:"message,omitempty"`
	Fix        string `json:"fix,omitempty"`
}

func (a *app) configure() *cobra.Command {
	var dir, output string
	var deployed, dry bool
	cmd := &cobra.Command{
		Use: "configure", Short: "Look at the source: version, modules, events, permissions; set what may be set", Args: noArgs,
		Long: "Look at the Redis that changes come from, and at that of connections.streams: version, modules, keyspace events,\n" +
			"permissions, eviction, persistence, backlog. Keyspace events that are off are turned on, unless --dry-run; nothing\n" +
			"else is changed. The exit code is 1 when something is found that cannot work.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := choice(output, "table", "json", "yaml"); err != nil {
				return err
			}
			req := &gatewayv1.ConfigureRequest{Pipeline: a.pipeline, DryRun: dry}
			var err error
			if !deployed {
				if req.Files, err = a.readPipeline(cmd, dir); err != nil {
					return err
				}
			}
			var res *gatewayv1.ConfigureResponse
			ask := func(ctx context.Context, gateway Gateway) (err error) {
				res, err = gateway.Client.Configure(ctx, req)
				return err
			}
			if _, named := a.address(); named || deployed {
				err = a.call(cmd.Context(), ask)
			} else {
				err = a.here(cmd.Context(), dir, ask)
			}
			if err != nil {
				return err
			}
			PrintProblems(cmd.ErrOrStderr(), dir, res.GetProblems())
			return reportFindings(cmd.OutOrStdout(), output, res)
		},
	}
	a.gatewayFlags(cmd)
	filesFlags(cmd, &dir)
	cmd.Flags().BoolVar(&deployed, "deployed", false, "look at the servers of the pipeline as deployed instead of the files in --dir")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "change nothing")
	outputFlag(cmd, &output)
	logFlag(cmd, true)
	return cmd
}

func reportFindings(w io.Writer, output string, res *gatewayv1.ConfigureResponse) error {
	bad := compile.Failed(res.GetProblems())
	out := []findingJSON{}
	for _, f := range res.GetFindings() {
		bad = bad || f.GetState() == capturev1.FindingState_FINDING_STATE_ERROR
		out = append(out, findingJSON{
			Connection: f.GetConnection(), Subject: f.GetSubject(), State: word(f.GetState().String(), "FINDING_STATE_"),
			Found: f.GetFound(), Wanted: f.GetWanted(), Message: f.GetMessage(), Fix: f.GetFix(),
		})
	}
	if output != "table" {
		if err := printAs(w, output, out); err != nil {
			return err
		}
	} else {
		var rows [][]string
		for _, f := range out {
			rows = append(rows, []string{f.Connection, f.Subject, f.State, f.Found, f.Wanted})
		}
		table(w, "Servers", []string{"Connection", "Subject", "State", "Found", "Wanted"}, rows)
		for _, f := range out {
			if f.State == "ok" {
				continue
			}
			fmt.Fprintf(w, "\n%s, %s: %s\n", oneLine(f.Connection), oneLine(f.Subject), clean(f.Message))
			if f.Fix != "" {
				fmt.Fprintf(w, "    %s\n", clean(f.Fix))
			}
		}
	}
	if bad {
		return ErrReported
	}
	return nil
}
