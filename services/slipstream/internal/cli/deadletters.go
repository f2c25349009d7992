package cli

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/spf13/cobra"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// queueJSON is a dead-letter queue without its records.
type queueJSON struct {
	Name     string `json:"name"`
	Job      string `json:"job"`
	Length   uint64 `json:"length"`
	Capacity uint32 `json:"capacity"`
	Oldest   int64  `json:"oldest_ms"`
	Newest   int64  `json:"newest_ms"`
	Orphaned bool   `json:"orphaned"`
}

func (a *app) listDLQs() *cobra.Command {
	return a.queues("list-dlqs", "List the dead-letter queues", noArgs)
}

func (a *app) getDLQ() *cobra.Command {
	return a.queues("get-dlq NAME", "Show one dead-letter queue, without its records", oneQueue)
}

func oneQueue(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return misused("%s needs the name of one dead-letter queue, not %d; list-dlqs lists them", cmd.Name(), len(args))
	}
	return nil
}

func (a *app) queues(use, short string, args cobra.PositionalArgs) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := choice(output, "table", "json", "yaml"); err != nil {
				return err
			}
			var res *gatewayv1.ListDeadLetterStreamsResponse
			err := a.call(cmd.Context(), func(ctx context.Context, gateway Gateway) (err error) {
				res, err = gateway.Client.ListDeadLetterStreams(ctx, &gatewayv1.ListDeadLetterStreamsRequest{Pipeline: a.pipeline})
				return err
			})
			if err != nil {
				return err
			}
			streams := res.GetStreams()
			if len(args) == 1 {
				streams = slices.DeleteFunc(streams, func(s *capturev1.DeadLetterStream) bool { return s.GetName() != args[0] })
				if len(streams) == 0 {
					return fmt.Errorf("there is no dead-letter queue %q; list-dlqs lists them", args[0])
				}
			}
			out := make([]queueJSON, 0, len(streams))
			rows := [][]string{}
			for _, s := range streams {
				out = append(out, queueJSON{
					Name: s.GetName(), Job: s.GetJob(), Length: s.GetLength(), Capacity: s.GetCapacity(), Oldest: s.GetOldestMs(),
					Newest: s.GetNewestMs(), Orphaned: s.GetOrphaned(),
				})
				job := s.GetJob()
				if s.GetOrphaned() {
					job += " (not deployed)"
				}
				rows = append(rows, []string{
					s.GetName(), job, number(s.GetLength()), number(uint64(s.GetCapacity())), moment(s.GetOldestMs()), moment(s.GetNewestMs()),
				})
			}
			if output != "table" {
				return printAs(cmd.OutOrStdout(), output, out)
			}
			table(cmd.OutOrStdout(), "Dead-letter queues", []string{"Name", "Job", "Records", "Most", "Oldest", "Newest"}, rows)
			return nil
		},
	}
	a.gatewayFlags(cmd)
	outputFlag(cmd, &output)
	logFlag(cmd, true)
	return cmd
}

// listDLQRecords is get-rejected of one queue, page by page, with the flags that newer users know (spec 7).
func (a *app) listDLQRecords() *cobra.Command {
	var output, order string
	var limit, offset uint
	cmd := &cobra.Command{
		Use: "list-dlq-records NAME", Short: "Show the records of one dead-letter queue, page by page", Args: oneQueue,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := choice(output, "table", "json", "yaml"); err != nil {
				return err
			}
			if order != "asc" && order != "desc" {
				return misused("--sort-order %q: use asc or desc", order)
			}
			if limit < 1 || limit > math.MaxUint32 || offset > math.MaxUint32 {
				return misused("--limit %d --offset %d: use a limit of 1 or more", limit, offset)
			}
			return a.showRejected(cmd, output, &gatewayv1.ListRejectedRequest{
				Pipeline: a.pipeline, DlqName: args[0], MaxRecords: uint32(limit), Offset: uint32(offset), Oldest: order == "asc",
			})
		},
	}
	a.gatewayFlags(cmd)
	cmd.Flags().UintVar(&limit, "limit", 20, "most records")
	cmd.Flags().UintVar(&offset, "offset", 0, "records to pass over first")
	cmd.Flags().StringVar(&order, "sort-order", "desc", "asc: oldest first; desc: newest first")
	outputFlag(cmd, &output)
	logFlag(cmd, true)
	return cmd
}
