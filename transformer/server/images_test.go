package server

import (
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/proto/flow"
)

// imaged is a lane whose job writes what a field was before (before_image: full).
func imaged() *flowv1.Open {
	open := openFrame()
	j := open.GetJob()
	j.RowFormat, j.BeforeImage, j.Transform = pipelinev1.RowFormat_ROW_FORMAT_FULL, pipelinev1.BeforeImage_BEFORE_IMAGE_FULL, nil
	w := j.GetOutputs()[0].GetRelational()
	w.RowIndex = true
	w.Columns = []*pipelinev1.OutputColumn{field("serial", "after.serial", true), field("was", "before.site", false)}
	return open
}

// TestImages: before comes from the target, and for a second change of a key in one batch from the first (design D8).
func TestImages(t *testing.T) {
	batches := make(chan *applierv1.RowBatch, 4)
	asked := make(chan *applierv1.BeforeRequest, 4)
	x := start(t, func(r *flow.Receiver[*applierv1.RowBatch], _ *flowv1.Open) error {
		if err := r.Opened(&flowv1.Opened{Epoch: 1}); err != nil {
			return err
		}
		for {
			d, err := r.Next()
			switch {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return err
			case d.Before != nil:
				asked <- d.Before
				err = r.Before(&applierv1.BeforeResponse{Id: d.Before.GetId(), Images: [][]byte{[]byte(`{"site":"old"}`), nil}})
			case d.Batch != nil:
				batches <- d.Batch
				err = settle(r, d.Batch)
			}
			if err != nil {
				return err
			}
		}
	})
	c, err := x.open(t, imaged())
	if err != nil {
		t.Fatal(err)
	}
	err = c.Send(t.Context(), batchOf(1, pump(updated, "1", "north", ""), pump(updated, "22", "south", ""), pump(updated, "1", "west", "")))
	if err != nil {
		t.Fatal(err)
	}
	if q := hear(t, asked); q.GetOutput() != 0 || len(q.GetKeys()) != 2 || string(q.GetKeys()[0]) != "pump:1" || string(q.GetKeys()[1]) != "pump:22" {
		t.Errorf("asked %v", q)
	}
	table := hear(t, batches).GetTables()[0]
	if string(table.GetColumns()[1].GetText()) != "oldnorth" { // of the first, none of the second, of the third
		t.Errorf("before: %q", table.GetColumns()[1])
	}
	if got := string(table.GetOwners().GetText()); got != "pump:1pump:22pump:1" {
		t.Errorf("owners %q", got)
	}
	if got := string(table.GetBefore().GetText()); !strings.Contains(got, `"site":"south"`) || !strings.Contains(got, `"site":"west"`) {
		t.Errorf("images %q", got)
	}
	if err := c.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
}

// TestPreview shows each record at every block, and the rows by connection.
func TestPreview(t *testing.T) {
	x := start(t, settling(nil))
	j := proto.CloneOf(openFrame().GetJob())
	second := proto.CloneOf(j.GetOutputs()[0])
	second.Path, second.Connection = "output[1]", "other"
	second.GetRelational().Columns[0] = field("serial", "label.number", true)
	j.Outputs = append(j.Outputs, second)
	res, err := x.client.Preview(t.Context(), &transformerv1.PreviewRequest{
		Job: j, Batch: batchOf(1, pump(created, "1", "north", `{"text":"N"}`), pump(updated, "22", "hidden", `{}`), pump(updated, "3", "south", `{`)),
	})
	if err != nil || len(res.GetProblems()) > 0 || len(res.GetChanges()) != 3 || len(res.GetRows()) != 2 {
		t.Fatalf("%v, %v", res, err)
	}
	first := res.GetChanges()[0]
	if string(first.GetRecord()) != `{"label":"{\"text\":\"N\"}","serial":"1","site":"north"}` || first.GetOpcode() != "c" || len(first.GetBlocks()) != 2 {
		t.Errorf("first %v", first)
	}
	if got := string(first.GetBlocks()[1].GetRecord()); got != `{"label":{"text":"N"},"serial":"1","site":"north"}` {
		t.Errorf("after the second block: %s", got)
	}
	if rejects := first.GetRejects(); len(rejects) != 1 || rejects[0].GetOutput() != 1 || rejects[0].GetColumn() != "serial" {
		t.Errorf("rejected by the second output: %v", rejects)
	}
	if second := res.GetChanges()[1]; second.GetFilteredBy() != "transform[0] filter" || second.GetOpcode() != "" || len(second.GetBlocks()) != 0 {
		t.Errorf("second %v", second)
	}
	if third := res.GetChanges()[2]; len(third.GetRejects()) != 1 || third.GetRejects()[0].GetBlock() != "transform[1] add_field" {
		t.Errorf("third %v", third)
	}
	if rows := res.GetRows()[0]; rows.GetConnection() != "pg" || rows.GetBatch().GetTables()[0].GetCount() != 1 {
		t.Errorf("rows %v", rows)
	}

	j.Transform[0].GetFilter().Expression.Text = "site <>"
	res, err = x.client.Preview(t.Context(), &transformerv1.PreviewRequest{Job: j, Batch: &changev1.Batch{}})
	if err != nil || len(res.GetProblems()) == 0 || len(res.GetRows()) > 0 {
		t.Errorf("does not compile: %v, %v", res, err)
	}
	if _, err := x.client.Preview(t.Context(), &transformerv1.PreviewRequest{}); err == nil {
		t.Error("nothing was previewed")
	}
}
