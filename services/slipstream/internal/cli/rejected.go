package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func (a *app) getRejected() *cobra.Command {
	var output, dlq, job string
	var most uint
	var oldest bool
	cmd := &cobra.Command{
		Use: "get-rejected", Short: "Show rejected records and why they were rejected", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := choice(output, "table", "json", "yaml"); err != nil {
				return err
			}
			if cmd.Flags().Changed("max-records") && (most < 1 || most > math.MaxUint32) {
				return misused("--max-records %d: use a number of 1 or more", most)
			}
			return a.showRejected(cmd, output, &gatewayv1.ListRejectedRequest{
				Pipeline: a.pipeline, Job: job, MaxRecords: uint32(most), Oldest: oldest, DlqName: dlq,
			})
		},
	}
	a.gatewayFlags(cmd)
	// -o is --oldest here, as users know it (spec 7); everywhere else it is --output.
	cmd.Flags().BoolVarP(&oldest, "oldest", "o", false, "oldest first instead of newest first")
	cmd.Flags().UintVar(&most, "max-records", 0, "most records of each dead-letter queue (default all)")
	cmd.Flags().StringVar(&dlq, "dlq-name", "", "one dead-letter queue (default all)")
	cmd.Flags().StringVar(&job, "job", "", "records of one job (default all)")
	cmd.Flags().StringVar(&output, "output", "table", "table, json or yaml")
	logFlag(cmd, true)
	return cmd
}

// showRejected prints the dead letters that a request names.
func (a *app) showRejected(cmd *cobra.Command, output string, req *gatewayv1.ListRejectedRequest) error {
	var res *gatewayv1.ListRejectedResponse
	err := a.call(cmd.Context(), func(ctx context.Context, gateway Gateway) (err error) {
		res, err = gateway.Client.ListRejected(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	if output != "table" {
		return printRejectedAs(cmd.OutOrStdout(), output, res.GetStreams())
	}
	printRejected(cmd.OutOrStdout(), res.GetStreams())
	return nil
}

// field is a member of a dead letter, named as it is stored (spec 9.4).
type field struct {
	name  string
	value any // string, number, or json.RawMessage
}

func fields(e *capturev1.DeadLetter) []field {
	r := e.GetReject()
	output := r.GetWriter()
	if r.GetOutput() >= 0 {
		output = strconv.Itoa(int(r.GetOutput())) + " " + output
	}
	return append([]field{
		{"__dlq_stream_entry_id", e.GetId()},
		{"timestamp", e.GetTimestampMs()},
		{"job", e.GetJob()},
		{"output", output},
		{"connection", r.GetConnection()},
		{"table", r.GetTable()},
		{"opcode", r.GetOpcode()},
		{"command", r.GetCommand()},
		{"key", shown(r.GetKey())},
		{"reason_rejected", r.GetReason()},
		{"error_class", r.GetErrorClass()},
		{"block", r.GetBlock()},
		{"column", r.GetColumn()},
		{"sqlstate", r.GetCode()},
		{"attempts", r.GetAttempts()},
		{"source_id", r.GetSourceId()},
		{"record", document(r.GetRecord())},
		{"transformed", document(r.GetTransformed())},
	}, payloadFields(e)...)
}

// payloadFields say what is not shown of a dead letter, and why. One that is stored in clear has none of them.
func payloadFields(e *capturev1.DeadLetter) []field {
	var how, why string
	switch e.GetPayload() {
	case pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_OMIT:
		how, why = "omit", "it was not stored"
	case pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_ENCRYPT:
		how, why = "encrypt", cmp.Or(e.GetPayloadTrouble(), "it is encrypted, and shown to operators only")
	default:
		if len(e.GetWithheld()) == 0 {
			return nil
		}
		how, why = "unknown", e.GetPayloadTrouble()
	}
	out := []field{{"payload", how}}
	if e.GetPayloadKey() != "" {
		out = append(out, field{"payload_key", e.GetPayloadKey()})
	}
	if len(e.GetWithheld()) > 0 {
		out = append(out, field{"withheld", strings.Join(e.GetWithheld(), " ")}, field{"withheld_because", why})
	}
	return out
}

// document is JSON as it is, and anything else as text.
func document(text []byte) any {
	if json.Valid(text) {
		return json.RawMessage(text)
	}
	return shown(text)
}

func printRejected(w io.Writer, streams []*capturev1.DeadLetterStream) {
	if len(streams) == 0 {
		fmt.Fprintln(w, "no record was rejected")
	}
	for _, s := range streams {
		fmt.Fprintf(w, "%s: %s\n", clean(s.GetName()), count(int(s.GetLength()), "rejected record"))
		for _, e := range s.GetEntries() {
			fmt.Fprintln(w)
			for _, f := range fields(e) {
				text := fmt.Sprint(f.value)
				if raw, is := f.value.(json.RawMessage); is {
					text = string(raw)
				}
				if f.name == "timestamp" {
					text = moment(e.GetTimestampMs())
				}
				if text != "" {
					fmt.Fprintf(w, "  %-21s  %s\n", f.name, oneLine(text))
				}
			}
		}
		fmt.Fprintln(w)
	}
}

func printRejectedAs(w io.Writer, output string, streams []*capturev1.DeadLetterStream) error {
	type stream struct {
		Name    string           `json:"name"`
		Length  uint64           `json:"length"`
		Records []map[string]any `json:"records"`
	}
	out := []stream{}
	for _, s := range streams {
		one := stream{Name: s.GetName(), Length: s.GetLength(), Records: []map[string]any{}}
		for _, e := range s.GetEntries() {
			record := make(map[string]any)
			for _, f := range fields(e) {
				record[f.name] = f.value
			}
			one.Records = append(one.Records, record)
		}
		out = append(out, one)
	}
	return printAs(w, output, out)
}
