package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// mostLogDays bounds --log-days: a process remembers by lines, not by years.
const mostLogDays = 365

func (a *app) dumpSupportPackage() *cobra.Command {
	var dir string
	var rejected, seconds, most, days uint
	trace := &gatewayv1.TraceRequest{}
	cmd := &cobra.Command{
		Use: "dump-support-package", Short: "Gather what support needs into an archive, without secrets", Args: noArgs,
		Long: "Gather status, configuration, findings about the servers, versions, metrics, logs and stacks of every process into\n" +
			"slipstream-support-<pipeline>-<time>.tar.gz. No secret is in it, and no record of the application unless\n" +
			"--dump-rejected or --trace-timeout asks for some.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			req := &gatewayv1.SupportPackageRequest{Pipeline: a.pipeline, DumpRejected: uint32(min(rejected, math.MaxUint32))}
			if cmd.Flags().Changed("dump-rejected") && rejected < 1 {
				return misused("--dump-rejected %d: use a number of 1 or more", rejected)
			}
			if days < 1 || days > mostLogDays {
				return misused("--log-days is %d, not from 1 to %d", days, mostLogDays)
			}
			req.LogDays = uint32(days)
			if cmd.Flags().Changed("trace-timeout") {
				if seconds < 1 || seconds > longestTrace {
					return misused("--trace-timeout is %d, not from 1 to %d seconds", seconds, longestTrace)
				}
				trace.TimeoutMs, trace.MaxChangeRecords = uint32(seconds)*1000, uint32(min(most, math.MaxUint32))
				req.Trace = trace
			}
			name := fmt.Sprintf("slipstream-support-%s-%s.tar.gz", a.pipelineName(), time.Now().UTC().Format("20060102T150405Z"))
			path := filepath.Join(dir, name)
			if err := a.pack(cmd.Context(), path, req); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), path)
			return err
		},
	}
	a.gatewayFlags(cmd)
	dirFlag(cmd, &dir)
	cmd.Flags().Lookup("dir").Usage = "folder to write the archive to"
	cmd.Flags().UintVar(&rejected, "dump-rejected", 0, "add so many rejected records of each dead-letter queue; they hold data")
	cmd.Flags().UintVar(&seconds, "trace-timeout", 20, "follow records for so many seconds and add what is seen; it holds data (default: no trace)")
	cmd.Flags().UintVar(&days, "log-days", 2, "days to go back in the logs, as far as the processes remember them")
	traceFlags(cmd, trace, &most)
	logFlag(cmd, true)
	return cmd
}

// pack writes the archive; one that is not whole is removed. Nobody else may read it.
func (a *app) pack(ctx context.Context, path string, req *gatewayv1.SupportPackageRequest) (err error) {
	gateway, address, err := a.enter()
	if err != nil {
		return err
	}
	defer func() { err = finish(gateway, err) }()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(req.GetTrace().GetTimeoutMs())*time.Millisecond+callTimeout)
	defer cancel()
	stream, err := gateway.Client.SupportPackage(ctx, req)
	if err != nil {
		return a.explain(address, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing the archive: %w", err)
	}
	defer func() {
		if end := f.Close(); err == nil && end != nil {
			err = fmt.Errorf("writing the archive: %w", end)
		}
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	zip := gzip.NewWriter(f)
	out := tar.NewWriter(zip)
	var name string
	var body bytes.Buffer
	end := func() error {
		if name == "" {
			return nil
		}
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(body.Len()), ModTime: time.Now()}); err != nil {
			return fmt.Errorf("writing the archive: %w", err)
		}
		if _, err := body.WriteTo(out); err != nil {
			return fmt.Errorf("writing the archive: %w", err)
		}
		return nil
	}
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return a.explain(address, err)
		}
		if piece.GetPath() != name {
			if err := end(); err != nil {
				return err
			}
			name = piece.GetPath()
		}
		body.Write(piece.GetData())
	}
	return errors.Join(end(), out.Close(), zip.Close())
}
