package cli

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// infoJSON is what `info -o json` prints.
type infoJSON struct {
	Version    string        `json:"version"`
	Gateway    string        `json:"gateway"`
	Serves     string        `json:"gateway_version"`
	Pipeline   string        `json:"pipeline"`
	Status     string        `json:"status"`
	Generation uint64        `json:"generation"`
	Jobs       int           `json:"jobs"`
	Capture    string        `json:"capture"`
	Source     string        `json:"source"`
	Services   []infoService `json:"services"`
}

type infoService struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Version string `json:"version"`
	Status  string `json:"status"`
}

// info tells in a few lines which versions run where; status tells the rest.
func (a *app) info() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "info", Short: "Show which versions run where, and whether the pipeline is started", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := choice(output, "table", "json", "yaml"); err != nil {
				return err
			}
			address, _ := a.address()
			var res *gatewayv1.StatusResponse
			err := a.call(cmd.Context(), func(ctx context.Context, gateway Gateway) (err error) {
				res, err = gateway.Client.Status(ctx, &gatewayv1.StatusRequest{Pipeline: a.pipeline})
				return err
			})
			if err != nil {
				return err
			}
			st := res.GetStatus()
			out := infoJSON{
				Version: a.deps.Version, Gateway: address, Serves: res.GetVersion(), Pipeline: a.pipelineName(),
				Status: runStatus(st), Generation: st.GetGeneration(), Jobs: len(st.GetJobs()), Capture: method(st.GetRecorder()),
				Source: st.GetSourceAddress(), Services: []infoService{},
			}
			for _, s := range res.GetServices() {
				out.Services = append(out.Services, infoService{s.GetName(), s.GetAddress(), s.GetVersion(), s.GetStatus()})
			}
			if output != "table" {
				return printAs(cmd.OutOrStdout(), output, out)
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, line := range [][2]string{
				{"slipstream", out.Version},
				{"Gateway", out.Serves + " at " + out.Gateway},
				{"Pipeline", out.Pipeline + ", " + out.Status},
				{"Generation", fmt.Sprintf("%d, with %s", out.Generation, count(out.Jobs, "job"))},
				{"Capture", out.Capture},
				{"Source", out.Source},
			} {
				fmt.Fprintf(t, "%s:\t%s\n", line[0], oneLine(line[1]))
			}
			_ = t.Flush() // it writes to where it was written before
			rows := [][]string{}
			for _, s := range out.Services {
				rows = append(rows, []string{s.Name, s.Address, s.Version, s.Status})
			}
			table(cmd.OutOrStdout(), "Services", []string{"Name", "Address", "Version", "Status"}, rows)
			return nil
		},
	}
	a.gatewayFlags(cmd)
	outputFlag(cmd, &output)
	logFlag(cmd, true)
	return cmd
}
