package jobfile

import (
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

// readCassandraWrite reads cassandra.write (spec 5.4): a table whose schema is a keyspace, mirrored by its primary key.
func (j *Job) readCassandraWrite(v yamlfile.Value, with *yamlfile.Map) *pipelinev1.Output {
	w := &pipelinev1.RelationalWrite{}
	form := &pipelinev1.CassandraForm{}
	out := &pipelinev1.Output{Path: v.Path(), Writer: &pipelinev1.Output_Relational{Relational: w}, Cassandra: form}
	if c := with.Require("connection", "write connection: <name of a connection in config.yaml>"); c.Present() {
		out.Connection, _ = c.Text()
		j.connect(v.Path(), "cassandra.write", out.Connection, c)
	}
	if k := with.Require("keyspace", "write keyspace: <keyspace>"); k.Present() {
		w.Schema, _ = k.Text()
	}
	if t := with.Require("table", "write table: <table>"); t.Present() {
		w.Table, _ = t.Text()
	}
	if f := with.Take("opcode_field"); f.Present() {
		if text, ok := f.Text(); ok {
			checkPath(f, text)
			w.OpcodeField = text
		}
	}
	if s := with.Take("skip_nulls"); s.Written() {
		form.SkipNulls, _ = s.Bool()
	}
	if a := with.Take("auto_create"); a.Written() {
		w.AutoCreate, _ = a.Bool()
	}
	own := readChoices(with, j.choices)
	w.OnFiltered, w.EmptyAsNull, w.NumericOverflow = own.filtered, own.empty, own.overflow
	j.readColumns(with, w, own.missing)
	readForeach(with, w)
	with.Done(yamlfile.Hints{Elsewhere: map[string]string{
		"schema": "write keyspace:", "database": "write keyspace:", "columns": "write mapping:", "on_missing": "write on_missing_field:",
		"load_strategy": "remove it: rows are mirrored; a history cannot be kept in Cassandra",
		"strip_nul":     "remove it: Cassandra holds NUL characters",
		"truncate":      "remove it: Cassandra's texts have no length",
		"binary":        "write it with a column: <column>: {field: <field>, binary: hex}",
		"type":          "write it with a column: <column>: {field: <field>, type: timestamp}",
		"unit":          "write it with a column: <column>: {field: <field>, unit: ms}",
	}})
	return out
}
