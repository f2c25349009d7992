package cli

import (
	"context"
	"fmt"
	"io"
	"math"

	"github.com/spf13/cobra"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

func (a *app) replay() *cobra.Command {
	var output, dlq, job string
	var ids []string
	var most uint
	var recorded bool
	cmd := &cobra.Command{
		Use: "replay", Short: "Put rejected records back on the line", Args: noArgs,
		Long: "Put rejected records back on the line: the value that each key has now is written, and a delete that was rejected\n" +
			"is done again while its key is gone. They leave the dead-letter queue; what is rejected again comes back. Other\n" +
			"records whose key is gone stay: the delete had a change of its own, and nothing is left to write.\n\n" +
			"With --as-recorded the value that was rejected is written, but only where nothing newer was written since. This needs\n" +
			"a row index, and is refused for outputs without one, and for records whose data was not kept (dlq_payload: omit).",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := choice(output, "table", "json", "yaml"); err != nil {
				return err
			}
			if cmd.Flags().Changed("max-records") && (most < 1 || most > math.MaxUint32) {
				return misused("--max-records %d: use a number of 1 or more", most)
			}
			var res *gatewayv1.ReplayResponse
			err := a.call(cmd.Context(), func(ctx context.Context, gateway Gateway) (err error) {
				res, err = gateway.Client.Replay(ctx, &gatewayv1.ReplayRequest{
					Pipeline: a.pipeline, Job: job, DlqName: dlq, Ids: ids, MaxRecords: uint32(most), AsRecorded: recorded,
				})
				return err
			})
			if err != nil {
				return err
			}
			return reportReplay(cmd.OutOrStdout(), output, res.GetStreams())
		},
	}
	a.gatewayFlags(cmd)
	cmd.Flags().StringVar(&job, "job", "", "records of one job (default all)")
	cmd.Flags().StringVar(&dlq, "dlq-name", "", "one dead-letter queue (default all)")
	cmd.Flags().StringSliceVar(&ids, "id", nil, "one record, by its __dlq_stream_entry_id; may be repeated")
	cmd.Flags().UintVar(&most, "max-records", 0, "most records of each dead-letter queue, oldest first (default all)")
	cmd.Flags().BoolVar(&recorded, "as-recorded", false, "write the rejected value instead of the key's current one")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, json or yaml")
	logFlag(cmd, true)
	return cmd
}

// reportReplay tells what was replayed. Records that stay make the exit code 1.
func reportReplay(w io.Writer, output string, streams []*capturev1.ReplayedStream) error {
	type kept struct {
		ID     string `json:"__dlq_stream_entry_id"`
		Reason string `json:"reason"`
	}
	type stream struct {
		Name     string `json:"name"`
		Job      string `json:"job"`
		Replayed uint64 `json:"replayed"`
		Kept     []kept `json:"kept"`
	}
	out := []stream{}
	stay := false
	for _, s := range streams {
		one := stream{Name: s.GetName(), Job: s.GetJob(), Replayed: s.GetReplayed(), Kept: []kept{}}
		for _, k := range s.GetKept() {
			one.Kept = append(one.Kept, kept{k.GetId(), k.GetReason()})
			stay = true
		}
		out = append(out, one)
	}
	if output != "table" {
		if err := printAs(w, output, out); err != nil {
			return err
		}
	} else {
		if len(out) == 0 {
			fmt.Fprintln(w, "there is nothing to replay")
		}
		for _, s := range out {
			fmt.Fprintf(w, "%s: %s back on the line\n", clean(s.Name), count(int(s.Replayed), "record"))
			for _, k := range s.Kept {
				fmt.Fprintf(w, "  %s stays: %s\n", clean(k.ID), oneLine(k.Reason))
			}
		}
	}
	if stay {
		return ErrReported
	}
	return nil
}
