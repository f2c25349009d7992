package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// jobJSON is a job in `list-jobs -o json`; its members are the columns of spec 9.2.
type jobJSON struct {
	Name            string   `json:"name"`
	KeyPattern      string   `json:"key_pattern"`
	Stream          string   `json:"stream,omitempty"`
	Excluded        []string `json:"excluded_commands"`
	RowFormat       string   `json:"row_format"`
	Transformations int      `json:"transformations"`
	Filter          bool     `json:"filter"`
	Targets         []string `json:"targets"`
	Tables          []string `json:"tables"`
	Enabled         bool     `json:"enabled"`
	// Stale is set where the job needs a resync.
	Stale *staleJSON `json:"stale,omitempty"`
}

func summary(job *pipelinev1.Job) jobJSON {
	out := jobJSON{
		Name: job.GetName(), KeyPattern: job.GetSource().GetKeyPattern(), Stream: job.GetSource().GetStream(),
		Excluded:  append([]string{}, job.GetSource().GetExcludeCommands()...),
		RowFormat: word(job.GetRowFormat().String(), "ROW_FORMAT_"), Transformations: len(job.GetTransform()),
		Targets: []string{}, Tables: []string{}, Enabled: job.GetEnabled(),
	}
	for _, b := range job.GetTransform() {
		out.Filter = out.Filter || b.GetFilter() != nil
	}
	for _, o := range job.GetOutputs() {
		if !slices.Contains(out.Targets, o.GetConnection()) {
			out.Targets = append(out.Targets, o.GetConnection())
		}
		table := o.GetRelational().GetTable()
		if schema := o.GetRelational().GetSchema(); schema != "" {
			table = schema + "." + table
		}
		out.Tables = append(out.Tables, table)
	}
	return out
}

func (a *app) listJobs() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "list-jobs", Short: "List the deployed jobs", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := choice(output, "table", "json", "yaml"); err != nil {
				return err
			}
			var res *gatewayv1.ListJobsResponse
			err := a.call(cmd.Context(), func(ctx context.Context, gateway Gateway) (err error) {
				res, err = gateway.Client.ListJobs(ctx, &gatewayv1.ListJobsRequest{Pipeline: a.pipeline})
				return err
			})
			if err != nil {
				return err
			}
			jobs := make([]jobJSON, 0, len(res.GetJobs()))
			for _, job := range res.GetJobs() {
				one := summary(job)
				for _, s := range res.GetStale() {
					if s.GetJob() == job.GetName() {
						stale := staleOf(s)
						one.Stale = &stale
					}
				}
				jobs = append(jobs, one)
			}
			if output != "table" {
				return printAs(cmd.OutOrStdout(), output, jobs)
			}
			printJobs(cmd.OutOrStdout(), jobs)
			return nil
		},
	}
	a.gatewayFlags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, json or yaml")
	logFlag(cmd, true)
	return cmd
}

func printJobs(w io.Writer, jobs []jobJSON) {
	yes := map[bool]string{true: "Yes", false: "No"}
	rows := [][]string{}
	for _, j := range jobs {
		pattern := j.KeyPattern
		if j.Stream != "" {
			pattern += " in stream " + j.Stream
		}
		rows = append(rows, []string{
			j.Name, pattern, strings.Join(j.Excluded, ","), j.RowFormat, strconv.Itoa(j.Transformations), yes[j.Filter],
			strings.Join(j.Targets, ","), strings.Join(j.Tables, ","), yes[j.Enabled],
		})
	}
	table(w, "Write-behind Jobs", []string{
		"Name", "Key Pattern", "Excluded Commands", "Row Format", "Transformations", "Filter", "Target(s)", "Table(s)", "Enabled",
	}, rows)
	for _, j := range jobs {
		if j.Stale != nil {
			fmt.Fprintf(w, "job %s needs a resync: its meaning changed with generation %d\n", clean(j.Name), j.Stale.Generation)
		}
	}
}

func (a *app) describeJob() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "describe-job NAME", Short: "Print a deployed job as YAML",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return misused("describe-job needs one name, not %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := choice(output, "yaml", "json"); err != nil {
				return err
			}
			var res *gatewayv1.DescribeJobResponse
			err := a.call(cmd.Context(), func(ctx context.Context, gateway Gateway) (err error) {
				res, err = gateway.Client.DescribeJob(ctx, &gatewayv1.DescribeJobRequest{Pipeline: a.pipeline, Job: args[0]})
				return err
			})
			if err != nil {
				return err
			}
			text := strings.TrimSuffix(res.GetYaml(), "\n")
			if output == "json" {
				text = protojson.MarshalOptions{Multiline: true, UseProtoNames: true}.Format(res.GetJob())
			}
			if s := res.GetStale(); s != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "job %s needs a resync since generation %d:\n", clean(s.GetJob()), s.GetGeneration())
				for _, c := range s.GetChanges() {
					fmt.Fprintf(cmd.ErrOrStderr(), "    %s: %s\n", clean(c.GetPath()), clean(c.GetMessage()))
				}
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			return err
		},
	}
	a.gatewayFlags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "yaml", "yaml, or json for the job as compiled")
	logFlag(cmd, true)
	cmd.ValidArgsFunction = a.completeJob
	return cmd
}
