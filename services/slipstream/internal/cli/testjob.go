package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"

	"slipstream/gateway/compile"
)

// mostTested bounds --n: what a test shows is read by a person.
const mostTested = 1000

func (a *app) test() *cobra.Command {
	var dir, records, keys, output string
	var deployed, offline, diff bool
	var most uint
	cmd := &cobra.Command{
		Use: "test [job]", Short: "Run a job on some records or live keys and show what would happen; nothing is written",
		Long: "Run a job on some records or live keys and show each record before and after every block, the statements that would\n" +
			"run, and with --diff the rows they would change, found out in a transaction that is rolled back.\n\n" +
			"--records names a file (- for stdin) with records, as JSON, JSON lines or YAML:\n" +
			"    {\"key\": \"emp:1\", \"opcode\": \"u\", \"value\": {\"id\": \"1\"}, \"before\": {…}, \"type\": \"hash\"}\n" +
			"Only key is needed, and value unless the opcode is d. An object of strings is a hash, anything else JSON.\n" +
			"Without --records, keys of the source are read: --keys narrows the job's own pattern.\n\n" +
			"The exit code is 1 when a record is rejected or a connection cannot be tried.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return misused("test needs one job, not %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := choice(output, "table", "json", "yaml"); err != nil {
				return err
			}
			if most < 1 || most > mostTested {
				return misused("--n %d: use a number from 1 to %d", most, mostTested)
			}
			if records != "" && keys != "" {
				return misused("give either --records or --keys")
			}
			if diff && offline {
				return misused("--diff reads the target: give either --diff or --offline")
			}
			req := &gatewayv1.TestJobRequest{Keys: keys, MaxKeys: uint32(most), Diff: diff, Offline: offline, Pipeline: a.pipeline}
			if len(args) == 1 {
				req.Job = args[0]
			}
			var err error
			if records != "" {
				if req.Records, err = readRecords(records, cmd.InOrStdin()); err != nil {
					return err
				}
			}
			if !deployed {
				if req.Files, err = a.readPipeline(cmd, dir); err != nil {
					return err
				}
			}
			res, err := a.testJob(cmd.Context(), dir, req)
			if err != nil {
				return err
			}
			return reportTest(cmd.OutOrStdout(), dir, output, res)
		},
	}
	a.gatewayFlags(cmd)
	filesFlags(cmd, &dir)
	cmd.Flags().BoolVar(&deployed, "deployed", false, "test the job as deployed instead of the files in --dir")
	cmd.Flags().StringVar(&records, "records", "", "file with records to run the job on; - is stdin")
	cmd.Flags().StringVar(&keys, "keys", "", "glob of live keys to run the job on (default: the job's own pattern)")
	cmd.Flags().UintVar(&most, "n", 20, "most live keys")
	cmd.Flags().BoolVar(&diff, "diff", false, "show the rows before and after; the transaction is rolled back")
	cmd.Flags().BoolVar(&offline, "offline", false, "transform only; connect to no target")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, json or yaml")
	logFlag(cmd, true)
	return cmd
}

// testJob asks the gateway that is named, or one in this process where files are tested.
func (a *app) testJob(ctx context.Context, dir string, req *gatewayv1.TestJobRequest) (res *gatewayv1.TestJobResponse, err error) {
	ask := func(ctx context.Context, gateway Gateway) error {
		res, err = gateway.Client.TestJob(ctx, req)
		return err
	}
	if _, named := a.address(); named || len(req.GetFiles()) == 0 {
		err = a.call(ctx, ask)
	} else {
		err = a.here(ctx, dir, ask)
	}
	return res, err
}

func reportTest(w io.Writer, dir, output string, res *gatewayv1.TestJobResponse) error {
	if output != "table" {
		if err := printAs(w, output, testJSON(res)); err != nil {
			return err
		}
	} else {
		PrintProblems(w, dir, res.GetProblems())
		printTest(w, res)
	}
	bad := compile.Failed(res.GetProblems())
	for _, change := range res.GetChanges() {
		bad = bad || len(change.GetRejects()) > 0
	}
	for _, c := range res.GetConnections() {
		bad = bad || c.GetPreview().GetFault() != nil || len(c.GetPreview().GetRejects()) > 0
	}
	if bad {
		return ErrReported
	}
	return nil
}
