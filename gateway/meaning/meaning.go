// Package meaning compares two generations of a job by what they mean: which rows the keys of the job have.
//
// The words:
//
//   - meaning: what decides which rows a key has: the keys that belong to the job, its blocks, its outputs. Names of files,
//     the order of columns, caches, sizes of batches, what becomes of errors and removals do not belong to it.
//   - stale: a job whose meaning changed since rows were written. Rows of keys that change get the new meaning; the others
//     keep the old one until a resync reads all keys again.
//   - stays: what a resync does not bring in line, because it upserts and deletes nothing (G7).
//
// Promises: what is not known here counts as meaning, so that a field which contracts gain later makes a job stale rather
// than wrong. What lanes repair by themselves (design D4) is told and makes nothing stale: a lane without a position
// follows initial_load, change streams that begin anew are a gap. Compare is pure.
package meaning

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Job is what changes in the meaning of a job.
type Job struct {
	// Name of the job.
	Name string
	// Changes are the differences, those of the source first.
	Changes []*pipelinev1.MeaningChange
	// Caution is what a resync of the job would do that may be unwanted, or why there can be none.
	Caution string
}

// Stale says whether rows that were written before have another meaning now, which a resync mends.
func (j Job) Stale() bool {
	return slices.ContainsFunc(j.Changes, (*pipelinev1.MeaningChange).GetNeedsResync)
}

// Compare returns the jobs of after that before has too and that mean something else now, in the order of after. A job
// that is new follows its initial_load, and one that is gone has no meaning; before may be nil.
func Compare(before, after *pipelinev1.Pipeline) []Job {
	var out []Job
	for _, job := range after.GetJobs() {
		i := slices.IndexFunc(before.GetJobs(), func(j *pipelinev1.Job) bool { return j.GetName() == job.GetName() })
		if i < 0 {
			continue
		}
		c := comparison{old: before.GetJobs()[i], new: job, oldSettings: before.GetSettings(), newSettings: after.GetSettings()}
		c.source()
		c.format()
		c.transform()
		c.outputs()
		c.tables()
		if len(c.changes) > 0 {
			out = append(out, Job{Name: job.GetName(), Changes: c.changes, Caution: Caution(job)})
		}
	}
	return out
}

// Caution says what a resync of a job would do that may be unwanted, or why there can be none; empty: nothing.
func Caution(job *pipelinev1.Job) string {
	switch {
	case !job.GetEnabled():
		return "the job is disabled: enable it to resync it"
	case job.GetSource().GetStream() != "" && (job.GetSource().GetKeyPattern() == "" || job.GetSource().GetKeyPattern() == "*"):
		return "the job follows a stream that the application writes and names no key_pattern: a resync would read every key of " +
			"the database; resync by hand if that is wanted"
	case keepsHistory(job):
		return "an output keeps history (load_strategy APPEND or TYPE2), to which a resync adds a row for each key: " +
			"resync by hand if that is wanted"
	}
	return ""
}

// Automatic says whether a deploy may resync a job when it is asked to: not where that adds to a history, and not where
// there is nothing to read.
func Automatic(job *pipelinev1.Job) bool { return Caution(job) == "" }

func keepsHistory(job *pipelinev1.Job) bool {
	return slices.ContainsFunc(job.GetOutputs(), func(o *pipelinev1.Output) bool { return appends(o) || versions(o) })
}

func appends(o *pipelinev1.Output) bool {
	return o.GetRelational().GetLoadStrategy() == pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND
}

func versions(o *pipelinev1.Output) bool {
	return o.GetRelational().GetLoadStrategy() == pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2
}

// comparison gathers the differences of two generations of one job.
type comparison struct {
	old, new                 *pipelinev1.Job
	oldSettings, newSettings *pipelinev1.Settings
	changes                  []*pipelinev1.MeaningChange
}

// stale notes a difference that a resync brings in line, but for what stays.
func (c *comparison) stale(path, message, stays string) { c.note(path, message, stays, true) }

// tell notes a difference that a resync has nothing to do with.
func (c *comparison) tell(path, message, stays string) { c.note(path, message, stays, false) }

// note adds a difference. Where every output appends, the rows are records of their time, and no resync mends them.
func (c *comparison) note(path, message, stays string, needs bool) {
	if needs && len(c.new.GetOutputs()) > 0 && !slices.ContainsFunc(c.new.GetOutputs(), func(o *pipelinev1.Output) bool { return !appends(o) }) {
		needs, stays = false, "rows written before stay as they were appended"
	}
	c.changes = append(c.changes, &pipelinev1.MeaningChange{Path: path, Message: message, NeedsResync: needs, Stays: stays})
}

// format compares what expressions see beside the value.
func (c *comparison) format() {
	if a, b := formatOf(c.old), formatOf(c.new); a != b {
		c.stale("row_format", arrow("row_format", word(a.String(), "ROW_FORMAT_"), word(b.String(), "ROW_FORMAT_")), "")
	}
	a, b := imageOf(c.old), imageOf(c.new)
	if b == pipelinev1.BeforeImage_BEFORE_IMAGE_FULL && a != b {
		c.stale("before_image", arrow("before_image", word(a.String(), "BEFORE_IMAGE_"), word(b.String(), "BEFORE_IMAGE_"))+
			": a record has no before until its key was written once more", "")
	}
}

// tables compares where targets keep what they know of a job. Nothing is carried over: lanes begin as those of a new job do.
func (c *comparison) tables() {
	if a, b := c.oldSettings.GetPositionTable(), c.newSettings.GetPositionTable(); a != b {
		again := "; no position is known there: what the change streams still have is written again"
		if keepsHistory(c.new) {
			again += ", and stands in the history twice"
		}
		c.tell("applier", arrow("position_table", a, b)+again, "")
	}
	indexed := slices.ContainsFunc(c.new.GetOutputs(), func(o *pipelinev1.Output) bool {
		return o.GetRelational().GetRowIndex()
	})
	if a, b := c.oldSettings.GetRowTable(), c.newSettings.GetRowTable(); a != b && indexed {
		c.stale("applier", arrow("row_table", a, b)+": which key owns which row is not known there until the key is written again",
			"rows of keys that are removed, or move to another row, before that")
	}
}

func formatOf(j *pipelinev1.Job) pipelinev1.RowFormat {
	return cmp.Or(j.GetRowFormat(), pipelinev1.RowFormat_ROW_FORMAT_PARTIAL)
}

func imageOf(j *pipelinev1.Job) pipelinev1.BeforeImage {
	return cmp.Or(j.GetBeforeImage(), pipelinev1.BeforeImage_BEFORE_IMAGE_KEYS)
}

// equal compares messages of which some fields were taken out.
func equal[M proto.Message](a, b M, strip func(M)) bool {
	a, b = proto.CloneOf(a), proto.CloneOf(b)
	strip(a)
	strip(b)
	return proto.Equal(a, b)
}
