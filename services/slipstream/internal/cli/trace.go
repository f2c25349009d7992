package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

const longestTrace = 600 // seconds (spec 7)

// traceFlags adds the flags that say which records to follow.
func traceFlags(cmd *cobra.Command, req *gatewayv1.TraceRequest, most *uint) {
	cmd.Flags().UintVar(most, "max-change-records", 10, "most records of each capture instance")
	cmd.Flags().BoolVar(&req.OnlyRejected, "trace-only-rejected", false, "only records that are rejected")
}

func (a *app) trace() *cobra.Command {
	req := &gatewayv1.TraceRequest{}
	var output string
	var most, seconds uint
	cmd := &cobra.Command{
		Use: "trace", Short: "Follow single records through the line and show every stage", Args: noArgs,
		Long: "Follow records that lanes read from now on: the event, the record as captured, before and after every block, the\n" +
			"statements with their values, and what became of it. It ends after --timeout, or when so many records were\n" +
			"followed. Nothing is held up by it. Blocks and statements are shown by the code that the lanes run, which a\n" +
			"lookup or the row index may tell something newer.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := choice(output, "table", "json", "yaml"); err != nil {
				return err
			}
			if seconds < 1 || seconds > longestTrace {
				return misused("--timeout is %d, not from 1 to %d seconds", seconds, longestTrace)
			}
			if most < 1 || most > math.MaxUint32 {
				return misused("--max-change-records %d: use a number of 1 or more", most)
			}
			req.Pipeline, req.TimeoutMs, req.MaxChangeRecords = a.pipeline, uint32(seconds)*1000, uint32(most)
			return a.follow(cmd.Context(), cmd.OutOrStdout(), output, req)
		},
	}
	a.gatewayFlags(cmd)
	traceFlags(cmd, req, &most)
	cmd.Flags().UintVar(&seconds, "timeout", 20, "seconds, from 1 to 600")
	cmd.Flags().StringVar(&req.Job, "job", "", "records of one job (default all)")
	cmd.Flags().StringVar(&req.Keys, "keys", "", "glob of keys (default all)")
	outputFlag(cmd, &output)
	logFlag(cmd, true)
	return cmd
}

// follow shows a trace until it ends.
func (a *app) follow(ctx context.Context, w io.Writer, output string, req *gatewayv1.TraceRequest) error {
	gateway, address, err := a.enter()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(req.GetTimeoutMs())*time.Millisecond+callTimeout)
	defer cancel()
	stream, err := gateway.Client.Trace(ctx, req)
	for err == nil {
		var e *gatewayv1.TraceResponse
		if e, err = stream.Recv(); err != nil {
			break
		}
		switch output {
		case "json":
			_, err = fmt.Fprintln(w, compactJSON(e))
		case "yaml":
			if _, err = io.WriteString(w, "---\n"); err == nil {
				err = printAs(w, output, json.RawMessage(compactJSON(e)))
			}
		default:
			printTrace(w, e)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return finish(gateway, a.explain(address, err))
}

// compactJSON is a message on one line; protojson varies its spaces on purpose.
func compactJSON(e *gatewayv1.TraceResponse) string {
	var out bytes.Buffer
	text := []byte(protojson.MarshalOptions{UseProtoNames: true}.Format(e))
	if err := json.Compact(&out, text); err != nil {
		return string(text)
	}
	return out.String()
}

// printTrace prints what spec 9.3 shows.
func printTrace(w io.Writer, e *gatewayv1.TraceResponse) {
	switch {
	case e.GetStarted() != nil:
		fmt.Fprintf(w, "Starting trace for %d second(s)\nPolling records\n", e.GetStarted().GetTimeoutMs()/1000)
	case e.GetStage() != nil:
		printStage(w, e.GetStage())
	case e.GetSummary() != nil:
		s := e.GetSummary()
		for _, u := range s.GetUnreachable() {
			fmt.Fprintf(w, "not followed: capture at %s\n", oneLine(u))
		}
		fmt.Fprintf(w, "\nTotal: %s; settled %d (filtered %d), rejected %d, still under way %d\n",
			count(int(s.GetRecords()), "record"), s.GetSettled(), s.GetFiltered(), s.GetRejected(), s.GetUnfinished())
		if s.GetSettled() > 0 {
			fmt.Fprintf(w, "Latency: minimum %.0f ms, average %.0f ms, maximum %.0f ms\n",
				s.GetLatencyMinMs(), s.GetLatencyAvgMs(), s.GetLatencyMaxMs())
		}
		fmt.Fprintln(w, "Done")
	}
}

func printStage(w io.Writer, s *gatewayv1.TraceStage) {
	if s.GetStep() == gatewayv1.TraceStep_TRACE_STEP_EVENT {
		fmt.Fprintln(w)
	}
	at := ""
	if s.GetAtMs() != 0 {
		at = fmt.Sprintf("%s +%d ms  ", time.UnixMilli(s.GetAtMs()).UTC().Format("15:04:05.000"), s.GetElapsedMs())
	}
	text := oneLine(s.GetText())
	switch s.GetStep() {
	case gatewayv1.TraceStep_TRACE_STEP_STATEMENT:
		text += ": " + oneLine(s.GetStatement())
	case gatewayv1.TraceStep_TRACE_STEP_UNSHOWN:
		text = "not shown: " + text
	}
	fmt.Fprintf(w, "[%d] %s  %s%s\n", s.GetRecord(), oneLine(shown(s.GetKey())), at, text)
	if len(s.GetDocument()) > 0 {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, s.GetDocument(), "      ", "  "); err != nil {
			pretty.Reset()
			pretty.Write(s.GetDocument())
		}
		fmt.Fprintf(w, "      %s\n", strings.TrimSpace(clean(pretty.String())))
	}
}
