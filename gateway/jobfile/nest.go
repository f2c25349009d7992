package jobfile

import (
	"regexp"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

var nestPath = regexp.MustCompile(`^\$\.[a-zA-Z0-9_]+$`)

// nest reads nest (spec 5.6): the record becomes an entry of a map in the document of its parent, whose key is
// <table of the parent>:<parent_key>:<value>.
func (w *redisWriter) nest(v yamlfile.Value) {
	if w.kind != "json" || w.form.GetOnUpdate() != pipelinev1.OnUpdate_ON_UPDATE_MERGE {
		v.Error("write data_type: json and on_update: merge", "nest needs a JSON document that is merged")
	}
	m, ok := v.Map()
	if !ok {
		return
	}
	table := ""
	if parent, ok := m.Require("parent", "write parent: with table: below").Map(); ok {
		if t := parent.Require("table", "write table: <table of the parent>"); t.Present() {
			table, _ = t.Text()
		}
		for _, key := range []string{"server_name", "schema"} { // of databases, and no part of the key
			if x := parent.Take(key); x.Present() {
				x.Text()
			}
		}
		parent.Done(yamlfile.Hints{})
	}
	parentKey, at := readField(m, "parent_key"), v.Path()+".parent_key"
	field := parentKey
	if child := m.Take("child_key"); child.Present() {
		if text, ok := child.Text(); ok {
			checkPath(child, text)
			field, at = text, child.Path()
		}
	}
	key := w.add(columnKey, true, at)
	key.Prefix = table + ":" + parentKey + ":"
	key.Source = &pipelinev1.OutputColumn_Field{Field: field}
	w.row.Table = key.GetPrefix() + field
	w.add(columnEntry, true, v.Path()+".nesting_key").Source = &pipelinev1.OutputColumn_Field{Field: readField(m, "nesting_key")}
	if p := m.Require("path", "write path: $.<member>"); p.Present() {
		if text, ok := p.Text(); ok && !nestPath.MatchString(text) {
			p.Error("write $. and one name", "path: %q is not one level of a JSONPath", text)
		} else {
			w.form.NestPath = text
		}
	}
	if s := m.Take("structure"); s.Written() {
		s.Choice("map")
	}
	m.Done(yamlfile.Hints{})
}
