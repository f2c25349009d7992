package jobfile

import (
	"math"
	"slices"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

// DefaultConnection is the connection of redis.write where none is named (spec 2.2).
const DefaultConnection = "target"

var (
	dataTypes = []string{"hash", "json", "set", "sorted_set", "stream", "string"}
	redisType = map[string]pipelinev1.RedisType{
		"hash": pipelinev1.RedisType_REDIS_TYPE_HASH, "json": pipelinev1.RedisType_REDIS_TYPE_JSON,
		"set": pipelinev1.RedisType_REDIS_TYPE_SET, "sorted_set": pipelinev1.RedisType_REDIS_TYPE_SORTED_SET,
		"stream": pipelinev1.RedisType_REDIS_TYPE_STREAM, "string": pipelinev1.RedisType_REDIS_TYPE_STRING,
	}
	// mapped are the types that hold several fields.
	mapped = []string{"hash", "json", "stream"}
)

// Names of the columns that a row of a Redis has (pipelinev1.RedisForm).
const (
	columnKey    = "key"
	columnMember = "member"
	columnEntry  = "entry"
	columnValue  = "value"
	columnScore  = "score"
	columnExpire = "expire"
	opcodeMember = "op_code" // in the entries of a stream
)

// redisWriter reads one redis.write.
type redisWriter struct {
	job  *Job
	with *yamlfile.Map
	kind string
	told bool // the type is one, or there is none
	row  *pipelinev1.RelationalWrite
	form *pipelinev1.RedisForm
}

// readRedisWrite reads redis.write (spec 3.6, 5.5).
func (j *Job) readRedisWrite(v yamlfile.Value, with *yamlfile.Map) *pipelinev1.Output {
	j.toRedis = true
	out := &pipelinev1.Output{Path: v.Path(), Connection: DefaultConnection, Redis: &pipelinev1.RedisForm{}}
	w := &redisWriter{job: j, with: with, row: &pipelinev1.RelationalWrite{OnFiltered: j.choices.filtered}, form: out.Redis}
	out.Writer = &pipelinev1.Output_Relational{Relational: w.row}
	c := with.Take("connection")
	if c.Present() {
		out.Connection, _ = c.Text()
	}
	j.connect(v.Path(), "redis.write", out.Connection, c)
	w.types()
	nest := with.Take("nest")
	w.key(nest)
	w.args()
	if nest.Written() {
		w.nest(nest)
	}
	w.mapping()
	w.expire()
	if v := with.Take("options"); v.Written() {
		v.Items() // in the schema, and without a documented meaning
	}
	with.Done(yamlfile.Hints{Elsewhere: map[string]string{
		"keys": "write key: with expression: and language:", "table": "remove it: it belongs to relational.write",
		"schema": "remove it: it belongs to relational.write", "foreach": "remove it: it belongs to relational.write",
	}})
	return out
}

// types reads data_type and on_update, whose defaults are those of config.yaml.
func (w *redisWriter) types() {
	w.kind = w.job.defaults.DataType
	if w.kind == "" {
		w.kind = dataTypes[0]
	}
	w.told = true
	if v := w.with.Take("data_type"); v.Written() {
		word, ok := v.Choice(dataTypes...)
		if w.told = ok; ok {
			w.kind = word
		}
	}
	w.form.DataType = redisType[w.kind]
	update := w.job.defaults.OnUpdate
	if v := w.with.Take("on_update"); v.Written() {
		if word, ok := v.Choice("replace", "merge"); ok {
			update = word
		}
	}
	w.form.OnUpdate = pipelinev1.OnUpdate_ON_UPDATE_REPLACE
	if update == "merge" {
		w.form.OnUpdate = pipelinev1.OnUpdate_ON_UPDATE_MERGE
	}
	if w.kind == "stream" {
		w.row.LoadStrategy = pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND
	}
}

// add adds a column.
func (w *redisWriter) add(name string, key bool, path string) *pipelinev1.OutputColumn {
	c := &pipelinev1.OutputColumn{Column: name, Key: key, Path: path, OnMissing: pipelinev1.OnMissing_ON_MISSING_NULL}
	w.row.Columns = append(w.row.Columns, c)
	return c
}

// key reads the expression of the key: the output's own, the one at the top of the job (spec 3.2), or else the key of the
// source (A22).
func (w *redisWriter) key(nest yamlfile.Value) {
	v := w.with.Take("key")
	if nest.Written() {
		if v.Written() {
			v.Error("remove one of the two", "key and nest exclude each other")
		}
		return
	}
	e := w.job.legacyKey
	if v.Written() {
		e = readKeyExpression(v)
	}
	c := w.add(columnKey, true, v.Path())
	if e == nil {
		c.Source = &pipelinev1.OutputColumn_RedisKey{RedisKey: true}
		w.row.Table = "the key of the source"
		return
	}
	c.Source = &pipelinev1.OutputColumn_Expression{Expression: e}
	w.row.Table = e.GetText()
}

// readKeyExpression reads {expression, language, cache}.
func readKeyExpression(v yamlfile.Value) *pipelinev1.Expression {
	m, ok := v.Map()
	if !ok {
		return nil
	}
	e := readExpression(m)
	if cache := m.Take("cache"); readCache(cache) != nil {
		cache.Warn("remove it", "cache has no effect on %s: its expression is computed each time", v.Key())
	}
	m.Done(yamlfile.Hints{})
	return e
}

// args reads the arguments that a data type needs; they are names of fields.
func (w *redisWriter) args() {
	v := w.with.Take("args")
	needed := map[string][]string{"set": {columnMember}, "sorted_set": {columnMember, columnScore}, "string": {columnValue}}[w.kind]
	if !v.Written() {
		if len(needed) > 0 {
			v.Error("write args: with "+needed[0]+": <field>", "data_type: %s needs args", w.kind)
		}
		return
	}
	m, ok := v.Map()
	if !ok || !w.told {
		return
	}
	if len(needed) == 0 && len(m.Entries()) > 0 {
		v.Error("remove it: mapping: says what is written", "args do not go with data_type: %s", w.kind)
		return
	}
	for _, name := range needed {
		c := w.add(name, name == columnMember, v.Path()+"."+name)
		c.Source = &pipelinev1.OutputColumn_Field{Field: readField(m, name)}
	}
	m.Done(yamlfile.Hints{})
}

// mapping reads which fields are written, whose pairs have the source first (A9); without it all are.
func (w *redisWriter) mapping() {
	v := w.with.Take("mapping")
	if !slices.Contains(mapped, w.kind) {
		if v.Written() && w.told {
			v.Error("remove it: args: says what is written", "mapping does not go with data_type: %s", w.kind)
		}
		return
	}
	d := &pipelinev1.Document{Flat: w.kind != "json", All: !v.Written()}
	if w.kind == "stream" {
		d.Opcode = opcodeMember
	}
	if v.Written() && !v.Present() {
		v.Error("write fields below it, each after a hyphen, or remove it", "mapping has no value")
	}
	if v.Present() {
		d.Fields = readPairs(v, d.GetFlat())
	}
	w.add(columnValue, false, v.Path()).Source = &pipelinev1.OutputColumn_Document{Document: d}
}

// readPairs reads the mapping of redis.write. A plain item keeps its place; in what has one level it keeps its name.
func readPairs(v yamlfile.Value, flat bool) (fields []*pipelinev1.DocumentField) {
	items, ok := v.Items()
	if ok && len(items) == 0 {
		v.Error("write at least one field, or remove it", "mapping is empty")
	}
	for _, item := range items {
		f := &pipelinev1.DocumentField{Path: item.Path()}
		if item.Kind() != yamlfile.Mapping {
			if f.Field, ok = item.Text(); !ok {
				continue
			}
			checkPath(item, f.GetField())
			if f.Target = f.GetField(); flat {
				f.Target = strings.ReplaceAll(f.GetField(), `\.`, ".")
			}
			fields = append(fields, f)
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
		checkPath(item, e.Key)
		f.Field = e.Key
		if f.Target, ok = e.Value.Text(); !ok {
			continue
		}
		checkPath(e.Value, f.GetTarget())
		if flat {
			f.Target = strings.ReplaceAll(f.GetTarget(), `\.`, ".")
		}
		fields = append(fields, f)
	}
	return fields
}

// expire reads a number of seconds, or an expression that gives one.
func (w *redisWriter) expire() {
	v := w.with.Take("expire")
	if !v.Written() {
		return
	}
	if v.Kind() != yamlfile.Mapping {
		n, _ := v.Whole(0, math.MaxInt32)
		w.form.ExpireSeconds = uint64(max(n, 0))
		return
	}
	w.add(columnExpire, false, v.Path()).Source = &pipelinev1.OutputColumn_Expression{Expression: readKeyExpression(v)}
}

// readLegacyKey reads the block key at the top of a job, which set the key of entries before redis.write had one (spec 3.2).
func (j *Job) readLegacyKey(top *yamlfile.Map) func() {
	v := top.Take("key")
	if !v.Written() {
		return func() {}
	}
	j.legacyKey = readKeyExpression(v)
	return func() {
		if !j.toRedis {
			v.Warn("remove it", "key names the keys of redis.write, and no output of the job is one")
		}
	}
}
