package jobfile

import (
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

// readStrategy reads what decides the operation (spec 5.2): load_strategy, or a field of the record.
func (j *Job) readStrategy(with *yamlfile.Map, w *pipelinev1.RelationalWrite) {
	opcode, strategy := with.Take("opcode_field"), with.Take("load_strategy")
	if opcode.Present() {
		if text, ok := opcode.Text(); ok {
			checkPath(opcode, text)
			w.OpcodeField = text
		}
	}
	if opcode.Written() && strategy.Written() {
		opcode.Error("remove one of the two", "opcode_field and load_strategy exclude each other")
	}
	if strategy.Written() {
		w.LoadStrategy = word(strategy, pipelinev1.LoadStrategy_LOAD_STRATEGY_UNSPECIFIED, names[pipelinev1.LoadStrategy]{
			{"UPSERT", pipelinev1.LoadStrategy_LOAD_STRATEGY_UPSERT},
			{"APPEND", pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND},
			{"REPLACE", pipelinev1.LoadStrategy_LOAD_STRATEGY_REPLACE},
			{"TYPE2", pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2},
		})
	}
	j.checkHistory(strategy, w.GetLoadStrategy())
	readHistory(with, w)
}

// checkHistory wants a job whose output keeps every version of a row to see every version: where the changes of a key are
// folded, how many rows there are would depend on how fast the line is (design D1).
func (j *Job) checkHistory(v yamlfile.Value, strategy pipelinev1.LoadStrategy) {
	switch strategy {
	case pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND, pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2:
	default:
		return
	}
	source := j.Spec.GetSource()
	if source == nil || source.GetStream() != "" || source.GetValues() == pipelinev1.Values_VALUES_EACH {
		return
	}
	text, _ := v.Loose()
	v.Error("write values: each below source: redis:, or let the application write a stream",
		"load_strategy: %s keeps every change, but the job folds the changes of a key into the last", text)
}

// readHistory reads what TYPE2 closes rows with.
func readHistory(with *yamlfile.Map, w *pipelinev1.RelationalWrite) {
	active, inactive := with.Take("active_record_indicator"), with.Take("inactive_record_mapping")
	historized := w.GetLoadStrategy() == pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2
	for _, v := range []yamlfile.Value{active, inactive} {
		if v.Written() && !historized {
			v.Error("remove it, or write load_strategy: TYPE2", "%s belongs to load_strategy: TYPE2", v.Key())
		}
	}
	if active.Present() {
		w.ActiveRecordIndicator, _ = active.Text()
	}
	if !inactive.Present() {
		return
	}
	items, ok := inactive.Items()
	if !ok {
		return
	}
	for _, item := range items {
		m, ok := item.Map()
		if !ok {
			continue
		}
		x := &pipelinev1.InactiveRecordMapping{}
		source := m.Require("source", "write source: <SQL expression>")
		if source.Kind() == yamlfile.Boolean || source.Kind() == yamlfile.Integer || source.Kind() == yamlfile.Float {
			x.Source, _ = source.JSON() // a constant of SQL
		} else if source.Present() {
			x.Source, _ = source.Text()
		}
		if target := m.Take("target"); target.Present() {
			x.Target, _ = target.Text()
		}
		m.Done(yamlfile.Hints{})
		w.InactiveRecordMapping = append(w.InactiveRecordMapping, x)
	}
}
