package server

import (
	"slices"
	"strings"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/compile"
)

// fillColumns gives outputs without a mapping the columns of their table (spec 5.2): a member of the record named like a
// column is written to it. A column that cannot be NULL, or that has a default, keeps its value where the record has no
// such member; what the server computes is left out.
func fillColumns(r *compile.Result, tables map[tableKey]*applierv1.Table) {
	for _, job := range r.Pipeline.GetJobs() {
		for i, out := range job.GetOutputs() {
			table := tables[tableKey{job.GetName(), uint32(i)}]
			if table == nil || !r.Unmapped[job.GetName()][out.GetPath()] {
				continue
			}
			w := out.GetRelational()
			for _, column := range table.GetColumns() {
				if column.GetGenerated() || hasColumn(w, column.GetName()) {
					continue
				}
				missing := pipelinev1.OnMissing_ON_MISSING_NULL
				if !column.GetNullable() || column.GetHasDefault() {
					missing = pipelinev1.OnMissing_ON_MISSING_KEEP
				}
				w.Columns = append(w.Columns, &pipelinev1.OutputColumn{
					Column:    column.GetName(),
					Source:    &pipelinev1.OutputColumn_Field{Field: strings.ReplaceAll(column.GetName(), ".", `\.`)},
					OnMissing: missing,
					Path:      out.GetPath() + ".with.table",
				})
			}
		}
	}
}

func hasColumn(w *pipelinev1.RelationalWrite, name string) bool {
	return slices.ContainsFunc(w.GetColumns(), func(c *pipelinev1.OutputColumn) bool {
		return strings.EqualFold(c.GetColumn(), name)
	})
}
