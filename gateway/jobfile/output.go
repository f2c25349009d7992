package jobfile

import (
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

var (
	writers     = []string{"relational.write", "redis.write", "cassandra.write"}
	writerHints = map[string]string{
		"filter": "write it below transform:", "add_field": "write it below transform:", "map": "write it below transform:",
		"remove_field": "write it below transform:", "rename_field": "write it below transform:",
	}
)

func (j *Job) readOutputs(top *yamlfile.Map) {
	v := top.Require("output", "write output: with a block relational.write")
	if !v.Present() {
		return
	}
	items, ok := v.Items()
	if !ok {
		return
	}
	if len(items) == 0 {
		v.Error("write at least one block relational.write", "output is empty")
	}
	for _, item := range items {
		before := j.File.Errors()
		out := j.readWriter(item)
		if out != nil && j.File.Errors() == before {
			j.Spec.Outputs = append(j.Spec.Outputs, out)
		}
	}
}

// readWriter reads a block of output (spec 3.6).
func (j *Job) readWriter(v yamlfile.Value) *pipelinev1.Output {
	uses, with, ok := block(v, writers, writerHints)
	if !ok {
		return nil
	}
	switch uses {
	case "redis.write":
		return j.readRedisWrite(v, with)
	case "cassandra.write":
		return j.readCassandraWrite(v, with)
	}
	return j.readRelational(v, with)
}

// connect notes which connection an output writes to.
func (j *Job) connect(path, writer, name string, v yamlfile.Value) {
	j.Connections[path] = Connection{Writer: writer, Name: name, Value: v}
}

// readRelational reads relational.write (spec 5.2).
func (j *Job) readRelational(v yamlfile.Value, with *yamlfile.Map) *pipelinev1.Output {
	out := &pipelinev1.Output{Path: v.Path()}
	w := &pipelinev1.RelationalWrite{}
	out.Writer = &pipelinev1.Output_Relational{Relational: w}
	if c := with.Require("connection", "write connection: <name of a connection in config.yaml>"); c.Present() {
		out.Connection, _ = c.Text()
		j.connect(v.Path(), "relational.write", out.Connection, c)
	}
	if s := with.Take("schema"); s.Present() && s.Kind() != yamlfile.String {
		s.Text()
	} else if s.Present() {
		// Blank means the connection's default (A20).
		text, _ := s.Loose()
		w.Schema = strings.TrimSpace(text)
	}
	if t := with.Require("table", "write table: <table>"); t.Present() {
		w.Table, _ = t.Text()
	}
	own := readChoices(with, j.choices)
	w.OnFiltered, w.EmptyAsNull, w.NumericOverflow = own.filtered, own.empty, own.overflow
	readConversions(with, w)
	j.readStrategy(with, w)
	j.readColumns(with, w, own.missing)
	readForeach(with, w)
	with.Done(yamlfile.Hints{
		Elsewhere: map[string]string{
			"truncate":     "write it with a column: <column>: {field: <field>, truncate: true}",
			"binary":       "write it with a column: <column>: {field: <field>, binary: hex}",
			"type":         "write it with a column: <column>: {field: <field>, type: timestamp}",
			"unit":         "write it with a column: <column>: {field: <field>, unit: ms}",
			"batch_size":   "write write_batch_size: below applier: in config.yaml",
			"before_image": "write it at the top of the job",
			"data_type":    "remove it: it belongs to redis.write", "key": "write keys: with the key columns",
			"args": "remove it: it belongs to redis.write", "expire": "remove it: it belongs to redis.write",
			"on_update": "remove it: it belongs to redis.write", "nest": "remove it: it belongs to redis.write",
			"keyspace": "write schema:", "on_missing": "write on_missing_field:", "columns": "write mapping:",
			"database": "write schema:, or the database in the connection",
		},
	})
	return out
}

// readForeach reads foreach (spec 5.3): "name: expression", split at the first colon.
func readForeach(with *yamlfile.Map, w *pipelinev1.RelationalWrite) {
	v, sync := with.Take("foreach"), with.Take("foreach_sync")
	mode := ""
	if sync.Written() {
		mode, _ = sync.Choice("parent", "none")
	}
	if !v.Written() {
		if sync.Written() {
			sync.Error("remove it, or write foreach:", "foreach_sync needs foreach")
		}
		return
	}
	if v.Kind() == yamlfile.Mapping {
		v.Error(`put it in quotes: foreach: "<name>: <JMESPath expression>"`, "foreach must be text, not a map")
		return
	}
	text, ok := v.Text()
	if !ok {
		return
	}
	name, expression, found := strings.Cut(text, ":")
	name, expression = strings.TrimSpace(name), strings.TrimSpace(expression)
	if !found || name == "" || expression == "" || strings.HasSuffix(text, ":") {
		v.Error(`write foreach: "<name>: <JMESPath expression>"`, "foreach: %q is not a name, a colon and an expression", text)
		return
	}
	parents := markParents(w, name)
	w.Foreach = &pipelinev1.Foreach{Name: name, Expression: expression, Sync: parents > 0 && mode != "none", Leave: mode == "none"}
	if mode == "parent" && parents == 0 {
		sync.Error("add the parent's key columns to keys:, or write foreach_sync: none",
			"foreach_sync: parent needs a key column that does not come from %s", name)
	}
}

// markParents marks the key columns that identify the parent: those that do not come from the element.
func markParents(w *pipelinev1.RelationalWrite, name string) (parents int) {
	for _, c := range w.GetColumns() {
		if !c.GetKey() {
			continue
		}
		switch {
		case c.GetExpression() != nil:
			c.Parent = !mentions(c.GetExpression(), name)
		case c.GetField() != "":
			names := splitPath(c.GetField())
			if len(names) > 1 && names[0] == "after" {
				names = names[1:]
			}
			c.Parent = names[0] != name
		default:
			c.Parent = true
		}
		if c.GetParent() {
			parents++
		}
	}
	return parents
}
