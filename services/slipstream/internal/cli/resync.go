package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// requestedJSON is a sweep that was asked for, or why none was.
type requestedJSON struct {
	Job    string `json:"job"`
	Sweep  string `json:"sweep,omitempty"`
	Reason string `json:"reason,omitempty"`
}

func (a *app) resync() *cobra.Command {
	var output string
	var all, wait bool
	cmd := &cobra.Command{
		Use: "resync JOB...", Short: "Read all keys of jobs again, in the background",
		Long: "Read all keys of jobs again, in the background, while changes go on as ever. Rows are written, none is deleted.\n" +
			"`slipstream status` shows how far that is; with --wait this command does, and ends when the targets have it.",
		Args: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 0) != all {
				return misused("name the jobs, or give --all")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := choice(output, "table", "json", "yaml"); err != nil {
				return err
			}
			var res *gatewayv1.ResyncResponse
			err := a.call(cmd.Context(), func(ctx context.Context, gateway Gateway) (err error) {
				res, err = gateway.Client.Resync(ctx, &gatewayv1.ResyncRequest{Pipeline: a.pipeline, Jobs: args})
				return err
			})
			if err != nil {
				return err
			}
			return a.requested(cmd, output, "is read again", res.GetSweeps(), wait)
		},
	}
	a.gatewayFlags(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "every job that is enabled and has keys")
	cmd.Flags().BoolVar(&wait, "wait", false, "end when the targets have what was read")
	outputFlag(cmd, &output)
	logFlag(cmd, true)
	cmd.ValidArgsFunction = a.completeJobs
	return cmd
}

func (a *app) reset() *cobra.Command {
	var output string
	var force, wait bool
	cmd := &cobra.Command{
		Use: "reset [JOB...]", Short: "Set totals to zero and repeat the initial load of the jobs that have one",
		Long: "Set the totals of jobs, of all where none is named, to zero, and load the existing keys again where the job has an\n" +
			"initial_load. Positions stay: they are the target's, so nothing is lost and nothing comes twice. Dead letters stay.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := choice(output, "table", "json", "yaml"); err != nil {
				return err
			}
			if err := confirm(cmd, force, "reset "+cmp.Or(strings.Join(args, ", "), "all jobs")+" of pipeline "+a.pipelineName()); err != nil {
				return err
			}
			var res *gatewayv1.ResetResponse
			err := a.call(cmd.Context(), func(ctx context.Context, gateway Gateway) (err error) {
				res, err = gateway.Client.Reset(ctx, &gatewayv1.ResetRequest{Pipeline: a.pipeline, Jobs: args})
				return err
			})
			if err != nil {
				return err
			}
			return a.requested(cmd, output, "is reset and loaded again", res.GetSweeps(), wait)
		},
	}
	a.gatewayFlags(cmd)
	forceFlag(cmd, &force)
	cmd.Flags().BoolVar(&wait, "wait", false, "end when the targets have what was loaded")
	outputFlag(cmd, &output)
	logFlag(cmd, true)
	cmd.ValidArgsFunction = a.completeJobs
	return cmd
}

func forceFlag(cmd *cobra.Command, force *bool) {
	cmd.Flags().BoolVarP(force, "force", "f", false, "do not ask")
}

// confirm asks whether something shall be done; who cannot be asked must say --force.
func confirm(cmd *cobra.Command, force bool, what string) error {
	if force {
		return nil
	}
	if in, is := cmd.InOrStdin().(*os.File); is && !terminal(in) {
		return misused("%s: nobody can be asked here, so give --force", what)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s? [y/N] ", what)
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "nothing was done")
	return ErrReported
}

// requested prints which sweeps were asked for, and waits for them if told to.
func (a *app) requested(cmd *cobra.Command, output, done string, sweeps []*capturev1.RequestedSweep, wait bool) error {
	out := make([]requestedJSON, 0, len(sweeps))
	var rows [][]string
	waiting := map[string]bool{}
	for _, s := range sweeps {
		out = append(out, requestedJSON{Job: s.GetJob(), Sweep: s.GetId(), Reason: s.GetReason()})
		what := done
		if s.GetId() == "" {
			what = "not loaded: " + s.GetReason()
		} else {
			waiting[s.GetId()] = true
		}
		rows = append(rows, []string{s.GetJob(), what, s.GetId()})
	}
	if output != "table" {
		if err := printAs(cmd.OutOrStdout(), output, out); err != nil {
			return err
		}
	} else {
		table(cmd.OutOrStdout(), "Jobs", []string{"Name", "State", "Sweep"}, rows)
	}
	if !wait || len(waiting) == 0 {
		return nil
	}
	return a.settled(cmd.Context(), cmd.ErrOrStderr(), waiting)
}

// settled waits until sweeps are settled, and tells how far they are.
func (a *app) settled(ctx context.Context, w io.Writer, waiting map[string]bool) error {
	gateway, address, err := a.enter()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := gateway.Client.WatchStatus(ctx, &gatewayv1.WatchStatusRequest{Pipeline: a.pipeline})
	said := map[string]string{}
	for err == nil && len(waiting) > 0 {
		var res *gatewayv1.WatchStatusResponse
		if res, err = stream.Recv(); err != nil {
			break
		}
		for _, s := range res.GetStatus().GetStatus().GetSweeps() {
			if !waiting[s.GetId()] {
				continue
			}
			now := fmt.Sprintf("%s: %d of %d keys looked at, %d found", s.GetJob(), s.GetScanned(), s.GetTotal(), s.GetMatched())
			switch {
			case s.GetWaits() != "":
				now = s.GetJob() + ": " + s.GetWaits()
			case s.GetSettledMs() != 0:
				now += "; the targets have them"
				delete(waiting, s.GetId())
			case s.GetEndedMs() != 0:
				now += "; waiting for the targets"
			}
			if said[s.GetId()] != now {
				said[s.GetId()] = now
				fmt.Fprintln(w, now)
			}
		}
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w; what was asked for goes on, and status shows how far it is", errInterrupted)
	}
	return finish(gateway, a.explain(address, err))
}
