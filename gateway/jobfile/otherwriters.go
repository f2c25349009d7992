package jobfile

import (
	"math"
	"regexp"
	"slices"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

// The writers below are read and checked to the last attribute, so that a file is found to be right or wrong as a whole;
// then they are refused, because no applier in this version runs them.

func unsupported(uses yamlfile.Value, writer string) {
	uses.Error("remove the output", "%s is not supported yet by this version", writer)
}

var dataTypes = []string{"hash", "json", "set", "sorted_set", "stream", "string"}

// readRedisWrite checks redis.write (spec 3.6, 5.5).
func (j *Job) readRedisWrite(with *yamlfile.Map) {
	j.toRedis = true
	if c := with.Take("connection"); c.Present() {
		c.Text()
	}
	kind := ""
	if v := with.Take("data_type"); v.Written() {
		kind, _ = v.Choice(dataTypes...)
	}
	nest := with.Take("nest")
	if key := with.Take("key"); key.Written() {
		if nest.Written() {
			key.Error("remove one of the two", "key and nest exclude each other")
		}
		readKeyExpression(key)
	}
	readArgs(with.Take("args"), kind)
	if m := with.Take("mapping"); m.Written() {
		if kind != "" && !slices.Contains([]string{"hash", "json", "stream"}, kind) {
			m.Error("remove it: args: says what is written", "mapping does not go with data_type: %s", kind)
		}
		readPairs(m)
	}
	update := ""
	if v := with.Take("on_update"); v.Written() {
		update, _ = v.Choice("replace", "merge")
	}
	if v := with.Take("expire"); v.Written() {
		if v.Kind() == yamlfile.Mapping {
			readKeyExpression(v)
		} else {
			v.Whole(0, math.MaxInt32)
		}
	}
	if v := with.Take("options"); v.Written() {
		v.Items() // in the schema, and without a documented meaning
	}
	if nest.Written() {
		readNest(nest)
		if kind != "json" || update != "merge" {
			nest.Error("write data_type: json and on_update: merge", "nest needs a JSON document that is merged")
		}
	}
	with.Done(yamlfile.Hints{Elsewhere: map[string]string{
		"keys": "write key: with expression: and language:", "table": "remove it: it belongs to relational.write",
		"schema": "remove it: it belongs to relational.write", "foreach": "remove it: it belongs to relational.write",
	}})
}

// readKeyExpression checks {expression, language, cache}.
func readKeyExpression(v yamlfile.Value) {
	if m, ok := v.Map(); ok {
		readExpression(m)
		readCache(m.Take("cache"))
		m.Done(yamlfile.Hints{})
	}
}

// readArgs checks the arguments that a data type needs; they are names of fields.
func readArgs(v yamlfile.Value, kind string) {
	needed := map[string][]string{"set": {"member"}, "sorted_set": {"member", "score"}, "string": {"value"}}[kind]
	if !v.Written() {
		if len(needed) > 0 {
			v.Error("write args: with "+needed[0]+": <field>", "data_type: %s needs args", kind)
		}
		return
	}
	m, ok := v.Map()
	if !ok {
		return
	}
	for _, key := range needed {
		readField(m, key)
	}
	if kind != "" {
		m.Done(yamlfile.Hints{})
	}
}

// readPairs checks the mapping of redis.write, whose pairs have the source first (A9).
func readPairs(v yamlfile.Value) {
	items, _ := v.Items()
	for _, item := range items {
		if item.Kind() != yamlfile.Mapping {
			if text, ok := item.Text(); ok {
				checkPath(item, text)
			}
			continue
		}
		m, ok := item.Map()
		if !ok {
			continue
		}
		if len(m.Entries()) != 1 {
			item.Error("begin each with a hyphen: - <field>: <name in Redis>", "%s has %d entries, not one", item.Key(), len(m.Entries()))
			continue
		}
		e := m.Entries()[0]
		if text, ok := e.Value.Text(); ok {
			checkPath(e.Value, text)
		}
		checkPath(item, e.Key)
	}
}

var nestPath = regexp.MustCompile(`^\$\.[a-zA-Z0-9_]+$`)

// readNest checks nest (spec 5.6).
func readNest(v yamlfile.Value) {
	m, ok := v.Map()
	if !ok {
		return
	}
	if parent, ok := m.Require("parent", "write parent: with table: below").Map(); ok {
		if table := parent.Require("table", "write table: <table of the parent>"); table.Present() {
			table.Text()
		}
		for _, key := range []string{"server_name", "schema"} {
			if x := parent.Take(key); x.Present() {
				x.Text()
			}
		}
		parent.Done(yamlfile.Hints{})
	}
	readField(m, "parent_key")
	readField(m, "nesting_key")
	if child := m.Take("child_key"); child.Present() {
		if text, ok := child.Text(); ok {
			checkPath(child, text)
		}
	}
	if p := m.Require("path", "write path: $.<member>"); p.Present() {
		if text, ok := p.Text(); ok && !nestPath.MatchString(text) {
			p.Error("write $. and one name", "path: %q is not one level of a JSONPath", text)
		}
	}
	if s := m.Take("structure"); s.Written() {
		s.Choice("map")
	}
	m.Done(yamlfile.Hints{})
}

// readCassandraWrite checks cassandra.write (spec 5.4).
func (j *Job) readCassandraWrite(with *yamlfile.Map) {
	for _, key := range []string{"connection", "keyspace", "table"} {
		if v := with.Require(key, "write "+key+": <name>"); v.Present() {
			v.Text()
		}
	}
	keys := with.Require("keys", "write keys: with the columns of the primary key, each after a hyphen")
	var columns []*pipelinev1.OutputColumn
	if keys.Present() {
		if items, ok := keys.Items(); ok && len(items) == 0 {
			keys.Error("write at least one column", "keys is empty")
		}
		columns = readList(keys, nil, true, 0)
	}
	if m := with.Take("mapping"); m.Written() {
		readList(m, columns, false, 0)
	}
	if v := with.Take("opcode_field"); v.Present() {
		if text, ok := v.Text(); ok {
			checkPath(v, text)
		}
	}
	if v := with.Take("skip_nulls"); v.Written() {
		v.Bool()
	}
	if v := with.Take("foreach"); v.Present() {
		v.Text()
	}
	with.Done(yamlfile.Hints{Elsewhere: map[string]string{"schema": "write keyspace:", "database": "write keyspace:"}})
}

// readLegacyKey checks the block key at the top of a job, which set the key of entries before redis.write had one (spec 3.2).
func (j *Job) readLegacyKey(top *yamlfile.Map) {
	v := top.Take("key")
	if !v.Written() {
		return
	}
	readKeyExpression(v)
	if !j.toRedis {
		v.Warn("remove it", "key names the keys of redis.write, and no output of the job is one")
	}
}
