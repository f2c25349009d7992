// Package job is a job of a pipeline as a program: changes of a lane in, rows, rejects and counts out (design D5, D7).
//
// Words: a [Program] is compiled once and shared; a [Lane] runs it and has what may not be shared, such as the SQLite of
// SQL expressions; a [Result] is what became of a batch, kept until the batch is settled.
//
// What holds:
//
//   - A lane writes one connection: the program knows the job's outputs to that connection only, under the index they
//     have in the job.
//   - A change becomes a record once, and only where something needs one. Hashes and deletes of a job without blocks,
//     whose outputs take plain fields, go straight into columns.
//   - What fails costs the record, not the batch: for all outputs where a block fails (Reject.output is -1), for one
//     where its columns do (G5, A15).
//   - The same change gives the same rows again, with the same uuids and the same now (design D5).
//
// Fields cut from the Redis key by source.keys are members of the value: of the root in partial format, of after in full
// format, also on a delete, whose after is null only where no such fields are.
package job

import (
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/transformer/block"
	"slipstream/transformer/finding"
	"slipstream/transformer/row"
)

// Program is a compiled job, immutable.
type Program struct {
	name    string
	full    bool
	keys    *keyFields
	chain   block.Chain
	outputs []*row.Output
	// analyses tell how the rows of each output of the job are found again.
	analyses []*transformerv1.OutputAnalysis
	// binary are the hash fields whose values are raw bytes, base64 text in records (spec 1.6).
	binary map[string]bool
	// planned: hashes need no record.
	planned bool
	// images: records have before (before_image: full), and which output keeps it; -1: none on this connection.
	images int
	// indexed and unfilters tell whether any output keeps a row index, or deletes the rows of records a filter drops.
	indexed, unfilters bool
}

// Images is the output that keeps before images on the program's connection, where the job has them.
func (p *Program) Images() (output uint32, ok bool) { return uint32(max(p.images, 0)), p.images >= 0 }

// Compile compiles the outputs of a job that write to a connection. It returns every problem of the whole job; the
// program is nil if one of them is an error.
func Compile(job *pipelinev1.Job, connection string) (*Program, []*pipelinev1.Problem) {
	found := finding.NewList(job.GetName())
	all := compile(job, found)
	p := *all
	p.outputs, p.images = nil, -1
	full := job.GetBeforeImage() == pipelinev1.BeforeImage_BEFORE_IMAGE_FULL
	for _, o := range all.outputs {
		if o.Connection != connection {
			continue
		}
		if full && o.Indexed() && p.images < 0 {
			p.images = int(o.Index)
			o.KeepImages()
		}
		p.outputs = append(p.outputs, o)
		p.planned = p.planned && o.Planned() && p.images < 0
		p.indexed = p.indexed || o.Indexed()
		p.unfilters = p.unfilters || o.RemovesFiltered()
	}
	if len(p.outputs) == 0 && !found.Failed() {
		found.Error("output", "name the connection in an output of the job", "no output writes to connection %q", connection)
	}
	if found.Failed() {
		return nil, found.Problems()
	}
	return &p, found.Problems()
}

// Check returns every problem of a job and, where it has no error, what its outputs need to find their rows.
func Check(job *pipelinev1.Job) ([]*pipelinev1.Problem, []*transformerv1.OutputAnalysis) {
	found := finding.NewList(job.GetName())
	all := compile(job, found)
	if len(all.outputs) == 0 && !found.Failed() {
		found.Error("output", "add an output with uses: relational.write", "the job writes nowhere")
	}
	if found.Failed() {
		return found.Problems(), nil
	}
	return found.Problems(), all.analyses
}

func compile(job *pipelinev1.Job, found *finding.List) *Program {
	p := &Program{
		name: job.GetName(),
		full: job.GetRowFormat() == pipelinev1.RowFormat_ROW_FORMAT_FULL,
		keys: compileKeys(job.GetSource().GetKeys(), found),
	}
	p.chain = block.Compile(job, found)
	for _, name := range job.GetSource().GetBinaryFields() {
		if p.binary == nil {
			p.binary = make(map[string]bool)
		}
		p.binary[name] = true
	}
	p.planned = len(p.chain) == 0 && len(p.binary) == 0
	for i := range job.GetOutputs() {
		if o := row.Compile(job, i, found); o != nil {
			p.outputs = append(p.outputs, o)
		}
	}
	if !found.Failed() {
		p.analyse(job, found)
	}
	return p
}

// analyse looks how the rows of each output can be found again.
func (p *Program) analyse(job *pipelinev1.Job, found *finding.List) {
	known := block.NewKnowledge(p.full, p.keys.names)
	p.chain.Known(known)
	mentions := p.full && p.chain.Mentions(block.Before)
	for _, o := range p.outputs {
		a := o.Analyse(known)
		a.MentionsBefore = a.MentionsBefore || mentions
		o.Warn(a, job, found)
		p.analyses = append(p.analyses, a)
	}
}
