package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// deployedJSON is a pipeline in `list-pipelines -o json`.
type deployedJSON struct {
	Name       string `json:"name"`
	Generation uint64 `json:"generation"`
	Running    bool   `json:"running"`
}

func (a *app) listPipelines() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "list-pipelines", Short: "List the deployed pipelines", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := choice(output, "table", "json", "yaml"); err != nil {
				return err
			}
			var res *gatewayv1.ListPipelinesResponse
			err := a.call(cmd.Context(), func(ctx context.Context, gateway Gateway) (err error) {
				res, err = gateway.Client.ListPipelines(ctx, &gatewayv1.ListPipelinesRequest{})
				return err
			})
			if err != nil {
				return err
			}
			all, rows := []deployedJSON{}, [][]string{}
			for _, p := range res.GetPipelines() {
				all = append(all, deployedJSON{Name: p.GetName(), Generation: p.GetGeneration(), Running: p.GetRunning()})
				state := map[bool]string{true: "started", false: "stopped"}[p.GetRunning()]
				rows = append(rows, []string{p.GetName(), strconv.FormatUint(p.GetGeneration(), 10), state})
			}
			if output != "table" {
				return printAs(cmd.OutOrStdout(), output, all)
			}
			table(cmd.OutOrStdout(), "Pipelines", []string{"Name", "Generation", "State"}, rows)
			return nil
		},
	}
	a.gatewayFlags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, json or yaml")
	logFlag(cmd, true)
	return cmd
}
