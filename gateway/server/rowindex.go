package server

import (
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// keepIndexes decides which outputs keep a row index (design D8): those whose rows cannot be found by the Redis key alone,
// and with before_image: full one output of each connection, which holds the images.
func keepIndexes(p *pipelinev1.Pipeline, f *findings) {
	for _, job := range p.GetJobs() {
		if job.GetBeforeImage() == pipelinev1.BeforeImage_BEFORE_IMAGE_NONE {
			continue
		}
		full := job.GetBeforeImage() == pipelinev1.BeforeImage_BEFORE_IMAGE_FULL
		holds := make(map[string]bool) // connections that have an output for images
		for i, out := range job.GetOutputs() {
			w, a := out.GetRelational(), f.analyses[tableKey{job.GetName(), uint32(i)}]
			if w == nil || a == nil || !a.GetIndexable() {
				continue
			}
			w.RowIndex = !a.GetDerivable() || full && !holds[out.GetConnection()]
			holds[out.GetConnection()] = true
		}
		if !full {
			continue
		}
		warned := make(map[string]bool)
		for i, out := range job.GetOutputs() {
			connection := out.GetConnection()
			if f.analyses[tableKey{job.GetName(), uint32(i)}] == nil || holds[connection] || warned[connection] {
				continue
			}
			warned[connection] = true
			f.add(&pipelinev1.Problem{
				Severity: pipelinev1.Severity_SEVERITY_WARNING, Job: job.GetName(), Path: "before_image",
				Message: "no output to connection " + connection + " mirrors rows, so nothing there holds before images",
				Fix:     "add an output without load_strategy APPEND or TYPE2, or write before_image: keys",
			})
		}
	}
}
