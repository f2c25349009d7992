package server

import (
	"slices"

	"google.golang.org/protobuf/proto"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/compile"
)

// columns are those of outputs without a mapping.
type columns map[*pipelinev1.Output][]*pipelinev1.OutputColumn

// standing says whether nothing that is written to a connection differs from what is deployed: the connection and every
// output to it are the same. What its target was found to be then stands while it cannot be asked, and outputs without a
// mapping keep the columns that they were given, which are returned. Jobs may change in all else, and outputs may go.
func standing(deployed *pipelinev1.Pipeline, r *compile.Result, c *pipelinev1.Connection) (columns, bool) {
	if !proto.Equal(deployed.GetConnections()[c.GetName()], c) {
		return nil, false
	}
	filled := columns{}
	for _, job := range r.Pipeline.GetJobs() {
		for i, out := range job.GetOutputs() {
			if out.GetConnection() != c.GetName() {
				continue
			}
			before := deployedOutput(deployed, job.GetName(), i)
			now := proto.CloneOf(out)
			if w := now.GetRelational(); w != nil && r.Unmapped[job.GetName()][out.GetPath()] {
				given := before.GetRelational().GetColumns()
				if len(given) < len(w.GetColumns()) {
					return nil, false
				}
				w.Columns = append(w.Columns, given[len(w.GetColumns()):]...)
				filled[out] = w.GetColumns()
			}
			if !proto.Equal(before, now) {
				return nil, false
			}
		}
	}
	return filled, true
}

// deployedOutput is the output of a job at an index, nil where there is none.
func deployedOutput(p *pipelinev1.Pipeline, job string, index int) *pipelinev1.Output {
	i := slices.IndexFunc(p.GetJobs(), func(j *pipelinev1.Job) bool { return j.GetName() == job })
	if i < 0 || index >= len(p.GetJobs()[i].GetOutputs()) {
		return nil
	}
	return p.GetJobs()[i].GetOutputs()[index]
}
