package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"
)

// traced is a record that is followed.
type traced struct {
	t        *tracing
	number   uint64
	told     *capturev1.TracedChange
	outcome  chan *capturev1.TracedOutcome // capacity 1
	stages   []*gatewayv1.TraceResponse    // gathered, not sent yet
	filtered bool
}

// change is the change, nil where its value could not be read.
func (r *traced) change() *changev1.Change {
	if changes := r.told.GetBatch().GetChanges(); len(changes) == 1 {
		return changes[0]
	}
	return nil
}

// began is when the event happened, as far as is known.
func (r *traced) began() int64 {
	if c := r.change(); c != nil {
		return c.GetFirstTsMs()
	}
	return r.told.GetReadMs()
}

// run shows the record on its way, then waits for what becomes of it.
func (r *traced) run() {
	if r.change() != nil {
		ctx, cancel := context.WithTimeout(r.t.ctx, showWithin)
		r.source()
		r.show(ctx)
		cancel()
		r.flush()
	}
	var o *capturev1.TracedOutcome
	select {
	case o = <-r.outcome:
	case <-r.t.within.Done():
		select {
		case o = <-r.outcome: // it came at the last moment
		default:
		}
	}
	r.end(o)
	r.flush()
}

func (r *traced) flush() {
	r.t.out(r.stages...)
	r.stages = nil
}

// stage adds a stage. A time of 0 is none.
func (r *traced) stage(step gatewayv1.TraceStep, atMs int64, text string) *gatewayv1.TraceStage {
	stage := &gatewayv1.TraceStage{
		Record: r.number, Key: r.change().GetKey(), Step: step, Text: text,
		Job: r.told.GetLane().GetJob(), Connection: r.told.GetLane().GetConnection(),
	}
	if atMs != 0 {
		stage.AtMs, stage.ElapsedMs = atMs, atMs-r.began()
	}
	r.stages = append(r.stages, &gatewayv1.TraceResponse{Event: &gatewayv1.TraceResponse_Stage{Stage: stage}})
	return stage
}

// source shows what capture knows: stages 1 to 4 of spec 9.3.
func (r *traced) source() {
	c := r.change()
	what := "event performed at the source"
	if c.GetFolded() > 1 {
		what = fmt.Sprintf("the first of %d events performed at the source, which one change carries", c.GetFolded())
	}
	r.stage(gatewayv1.TraceStep_TRACE_STEP_EVENT, c.GetFirstTsMs(), what)
	stream, id := r.told.GetStream(), fmt.Sprintf("%d-%d", c.GetId().GetMs(), c.GetId().GetSeq())
	if c.GetSide() {
		stream += ":r"
	}
	r.stage(gatewayv1.TraceStep_TRACE_STEP_RECORDED, c.GetTsMs(), fmt.Sprintf("%s recorded as %s", cmp.Or(c.GetCommand(), "it"), id))
	captured := r.stage(gatewayv1.TraceStep_TRACE_STEP_CAPTURED, r.told.GetReadMs(), "captured record")
	captured.Document = captureJSON(r.told.GetBatch())
	if captured.GetDocument() == nil {
		captured.Text = "the key is gone"
	}
	r.stage(gatewayv1.TraceStep_TRACE_STEP_RECEIVED, r.told.GetReadMs(),
		fmt.Sprintf("received %s event in stream %s, in a batch of %d", letters[c.GetOp()], stream, r.told.GetBatchChanges()))
}

var letters = map[changev1.Op]string{
	changev1.Op_OP_CREATE: "c", changev1.Op_OP_UPDATE: "u", changev1.Op_OP_DELETE: "d", changev1.Op_OP_READ: "r",
}

// show shows what transformer and applier make of the record: stages 5 to 8 of spec 9.3.
func (r *traced) show(ctx context.Context) {
	name, connection := r.told.GetLane().GetJob(), r.told.GetLane().GetConnection()
	job, err := choose(r.t.pipeline, name)
	if err != nil {
		r.stage(gatewayv1.TraceStep_TRACE_STEP_UNSHOWN, 0, "the job is not in the generation deployed last")
		return
	}
	r.stage(gatewayv1.TraceStep_TRACE_STEP_JOB, 0, fmt.Sprintf("job %s writes it to %s", name, strings.Join(tablesOf(job, connection), ", ")))
	peer := r.t.s.config.Transformer.Client
	if peer == nil {
		r.stage(gatewayv1.TraceStep_TRACE_STEP_UNSHOWN, 0, "the gateway knows no transformer; give it one with --transformer")
		return
	}
	shown, err := peer.Preview(ctx, &transformerv1.PreviewRequest{
		Job: job, Batch: r.told.GetBatch(), Lookups: lookups(r.t.pipeline, job),
	})
	if err != nil || len(shown.GetChanges()) != 1 {
		r.stage(gatewayv1.TraceStep_TRACE_STEP_UNSHOWN, 0, "the transformer does not show its blocks: "+reason(err))
		return
	}
	if job.GetBeforeImage() == pipelinev1.BeforeImage_BEFORE_IMAGE_FULL && len(r.change().GetBefore()) == 0 {
		r.stage(gatewayv1.TraceStep_TRACE_STEP_UNSHOWN, 0, "the before image, which the lane alone has seen: what reads before is shown as if there were none")
	}
	r.blocks(shown.GetChanges()[0])
	for _, rows := range shown.GetRows() {
		if rows.GetConnection() == connection && len(rows.GetBatch().GetTables()) > 0 {
			r.statements(ctx, job, rows)
		}
	}
}

func tablesOf(job *pipelinev1.Job, connection string) (out []string) {
	for _, o := range job.GetOutputs() {
		if o.GetConnection() == connection {
			out = append(out, strings.Trim(connection+" "+o.GetRelational().GetTable(), " "))
		}
	}
	return out
}

// blocks shows the record before, after each block and after all of them.
func (r *traced) blocks(c *transformerv1.PreviewedChange) {
	if len(c.GetRecord()) > 0 {
		r.stage(gatewayv1.TraceStep_TRACE_STEP_BEFORE, 0, "before transformation").Document = c.GetRecord()
	}
	last := c.GetRecord()
	for _, b := range c.GetBlocks() {
		last = b.GetRecord()
		r.stage(gatewayv1.TraceStep_TRACE_STEP_BLOCK, 0, b.GetBlock()).Document = last
	}
	switch {
	case c.GetFilteredBy() != "":
		r.filtered = true
		r.stage(gatewayv1.TraceStep_TRACE_STEP_FILTERED, 0, "dropped by "+c.GetFilteredBy())
	case c.GetOpcode() != "" && len(last) > 0:
		r.stage(gatewayv1.TraceStep_TRACE_STEP_AFTER, 0, "after transformation, opcode "+c.GetOpcode()).Document = last
	}
}

// statements shows what the target runs for the record.
func (r *traced) statements(ctx context.Context, job *pipelinev1.Job, rows *transformerv1.PreviewedRows) {
	res := r.t.s.tryRows(ctx, r.t.pipeline, job, rows, r.told.GetLane(), false)
	if res.GetFault() != nil {
		r.stage(gatewayv1.TraceStep_TRACE_STEP_UNSHOWN, 0, "the applier does not show its statements: "+res.GetFault().GetMessage())
	}
	for _, s := range res.GetStatements() {
		r.stage(gatewayv1.TraceStep_TRACE_STEP_STATEMENT, 0, fmt.Sprintf("output[%d]", s.GetOutput())).Statement = s.GetText()
	}
}

// end shows what became of the record: stages 9 and 10 of spec 9.3. Nothing is known of one that is still under way.
func (r *traced) end(o *capturev1.TracedOutcome) {
	for _, reject := range o.GetRejects() {
		stage := r.stage(gatewayv1.TraceStep_TRACE_STEP_REJECTED, o.GetAtMs(), rejection(reject))
		stage.Reject = reject
		if len(stage.GetKey()) == 0 {
			stage.Key = reject.GetKey()
		}
	}
	switch {
	case o == nil:
	case o.GetInterrupted():
		r.stage(gatewayv1.TraceStep_TRACE_STEP_INTERRUPTED, o.GetAtMs(), "the lane broke; the change is read again")
	case o.GetSettled():
		took := float64(o.GetCommitNs()) / float64(time.Millisecond)
		what := "durable at the target; its transaction"
		if r.filtered || len(o.GetRejects()) > 0 { // not all of it is a row
			what = "its batch is durable at the target; the transaction"
		}
		r.stage(gatewayv1.TraceStep_TRACE_STEP_RESULT, o.GetAtMs(), fmt.Sprintf("%s took %.1f ms", what, took))
		r.stage(gatewayv1.TraceStep_TRACE_STEP_COMPLETED, o.GetAtMs(), "processing completed")
	default:
		r.stage(gatewayv1.TraceStep_TRACE_STEP_COMPLETED, o.GetAtMs(), "processing completed")
	}
	r.t.finish(o, r.filtered, time.Duration(max(0, o.GetAtMs()-r.began()))*time.Millisecond)
}

func rejection(x *flowv1.Reject) string {
	where := cmp.Or(x.GetBlock(), strings.Trim(x.GetWriter()+" "+x.GetTable(), " "))
	text := "rejected"
	if where != "" {
		text += " by " + where
	}
	if x.GetReason() == "" { // not for the eyes of the caller
		return strings.TrimSpace(text + ", error class " + x.GetErrorClass() + " " + x.GetCode())
	}
	return text + ": " + x.GetReason()
}

// captureJSON is the value of a batch's only change as JSON; nil where it carries none.
func captureJSON(batch *changev1.Batch) []byte {
	c := batch.GetChanges()[0]
	switch c.GetType() {
	case changev1.ValueType_VALUE_TYPE_JSON:
		return c.GetDocument()
	case changev1.ValueType_VALUE_TYPE_HASH:
	default:
		return nil
	}
	var out bytes.Buffer
	out.WriteByte('{')
	var begin uint32
	for i, name := range batch.GetShapes()[0].GetFields() {
		if i >= len(c.GetEnds()) {
			break
		}
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(quoted(name))
		out.WriteByte(':')
		out.Write(quoted(c.GetValues()[begin:c.GetEnds()[i]]))
		begin = c.GetEnds()[i]
	}
	out.WriteByte('}')
	return out.Bytes()
}

func quoted(b []byte) []byte {
	text, err := json.Marshal(strings.ToValidUTF8(string(b), "\uFFFD"))
	if err != nil {
		return []byte(`""`) // a string always encodes
	}
	return text
}
