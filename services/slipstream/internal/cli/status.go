package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

func (a *app) status() *cobra.Command {
	var output string
	var live bool
	var p paging
	cmd := &cobra.Command{
		Use: "status", Aliases: []string{"describe"}, Short: "Show the state of the pipeline: connections, streams, lanes, gaps", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := choice(output, "table", "json", "yaml"); err != nil {
				return err
			}
			if err := p.check(cmd, live, output); err != nil {
				return err
			}
			show := printStatus
			if p.given {
				show = p.print
			}
			if output != "table" {
				show = func(w io.Writer, address string, res *gatewayv1.StatusResponse) error {
					if live && output == "yaml" {
						fmt.Fprintln(w, "---")
					}
					return printStatusAs(w, output, address, res)
				}
			}
			address, _ := a.address()
			if live {
				return a.watch(cmd.Context(), cmd.OutOrStdout(), show)
			}
			var res *gatewayv1.StatusResponse
			err := a.call(cmd.Context(), func(ctx context.Context, gateway Gateway) (err error) {
				res, err = gateway.Client.Status(ctx, &gatewayv1.StatusRequest{Pipeline: a.pipeline})
				return err
			})
			if err != nil {
				return err
			}
			return show(cmd.OutOrStdout(), address, res)
		},
	}
	a.gatewayFlags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, json or yaml")
	cmd.Flags().BoolVarP(&live, "live", "l", false, "show it again every second until interrupted")
	p.flags(cmd)
	logFlag(cmd, false)
	return cmd
}

// repaint moves the cursor home and clears the screen.
const repaint = "\x1b[H\x1b[2J"

// watch shows every status until ctx ends. On a terminal each takes the place of the one before.
func (a *app) watch(
	ctx context.Context, w io.Writer, show func(io.Writer, string, *gatewayv1.StatusResponse) error,
) error {
	gateway, address, err := a.enter()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := gateway.Client.WatchStatus(ctx, &gatewayv1.WatchStatusRequest{Pipeline: a.pipeline})
	for err == nil {
		var res *gatewayv1.WatchStatusResponse
		if res, err = stream.Recv(); err != nil {
			break
		}
		if terminal(w) {
			_, _ = io.WriteString(w, repaint)
		}
		err = show(w, address, res.GetStatus())
	}
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled) {
		err = nil // interrupted: that is how one leaves
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("the gateway at %s ended the watch", address)
	}
	return finish(gateway, a.explain(address, err))
}

func terminal(w io.Writer) bool {
	if r, is := w.(*results); is {
		w = r.w
	}
	f, is := w.(*os.File)
	if !is {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
