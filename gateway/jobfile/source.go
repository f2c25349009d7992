package jobfile

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

// commands are those of spec 1.4 that RDI acts on, extensions those it does not know.
var (
	commands = []string{
		"del", "unlink", "hset", "hsetnx", "hmset", "hdel", "hincrby", "hincrbyfloat",
		"json.set", "json.del", "json.numincrby", "json.strappend", "json.toggle",
		"json.arrappend", "json.arrinsert", "json.arrpop", "json.arrtrim",
	}
	extensions = []string{"json.merge", "json.mset", "json.nummultby", "json.numpowby", "json.clear"}
)

// ingest are attributes of jobs that go the other way, from a database to Redis (spec 3.3).
var ingest = []string{"server_name", "db", "schema", "table", "case_insensitive"}

const triggerLine = "write trigger: write-behind"

func (j *Job) readSource(top *yamlfile.Map) {
	before := j.File.Errors()
	v := top.Require("source", "write source: redis: with trigger: write-behind and key_pattern:")
	if !v.Present() {
		return
	}
	m, ok := v.Map()
	if !ok {
		return
	}
	src := &pipelinev1.Source{
		OnExpire:    pipelinev1.RemovalPolicy_REMOVAL_POLICY_IGNORE,
		OnEvict:     pipelinev1.RemovalPolicy_REMOVAL_POLICY_IGNORE,
		InitialLoad: pipelinev1.InitialLoad_INITIAL_LOAD_NONE,
	}
	j.Spec.Source = src
	redis, inner := j.readRedis(m, src)
	j.readRowFormat(m, inner)
	if redis {
		inner.Done(yamlfile.Hints{
			Elsewhere: map[string]string{"connection": "remove it: it belongs to read-through jobs", "keys": "write it below source:, beside redis:", "pattern": "write key_pattern:"},
		})
	}
	if keys := m.Take("keys"); keys.Present() {
		src.Keys = readKeys(keys)
	}
	elsewhere := map[string]string{
		"trigger": "write it below redis:", "key_pattern": "write it below redis:", "exclude_commands": "write it below redis:",
		"stream": "write it below redis:",
	}
	for _, key := range ingest {
		elsewhere[key] = "remove it: it belongs to jobs that read a database; this one reads Redis keys"
	}
	elsewhere["connection"] = "remove it: it belongs to read-through jobs"
	m.Done(yamlfile.Hints{Elsewhere: elsewhere})
	j.SourceOK = j.File.Errors() == before
}

// readRedis reads source.redis, or its old spelling source.keyspace (spec 12.1).
func (j *Job) readRedis(m *yamlfile.Map, src *pipelinev1.Source) (ok bool, inner *yamlfile.Map) {
	v, old := m.Take("redis"), m.Take("keyspace")
	pattern, exclude := "key_pattern", "exclude_commands"
	if old.Present() {
		if v.Present() {
			old.Error("remove one of the two", "redis and keyspace mean the same")
			return false, nil
		}
		old.Deprecated("write redis: with trigger: write-behind, key_pattern: and exclude_commands:", "keyspace is an old name")
		if trigger := m.Take("trigger"); trigger.Written() { // an intermediate draft had it here
			readTrigger(m)
		}
		v, pattern, exclude = old, "pattern", "exclude-commands"
	} else if !v.Present() {
		m.Require("redis", "write redis: with trigger: write-behind and key_pattern:")
		return false, nil
	}
	inner, ok = v.Map()
	if !ok {
		return false, nil
	}
	if !old.Present() {
		readTrigger(inner)
	}
	readStream(inner, src, pattern)
	readExcluded(inner.Take(exclude), src)
	either := func(key string) yamlfile.Value { return eitherPlace(m, inner, key) }
	src.OnExpire = readPolicy(either("on_expire"))
	src.OnEvict = readPolicy(either("on_evict"))
	readValues(either, src)
	j.readImage(either("before_image"), j.topImage)
	readTypes(either("types"), src)
	if load := either("initial_load"); load.Written() {
		switch word, _ := load.Choice("none", "always", "if_empty"); word {
		case "always":
			src.InitialLoad = pipelinev1.InitialLoad_INITIAL_LOAD_ALWAYS
		case "if_empty":
			src.InitialLoad = pipelinev1.InitialLoad_INITIAL_LOAD_IF_EMPTY
		}
	}
	readDatabase(either("database"), either("databases"), src)
	return true, inner
}

// readDatabase reads the logical database; databases is the same as a list, of one for now.
func readDatabase(one, several yamlfile.Value, src *pipelinev1.Source) {
	if one.Written() {
		n, _ := one.Whole(0, math.MaxInt32)
		src.Database = uint32(n)
	}
	if !several.Written() {
		return
	}
	if one.Written() {
		several.Error("remove one of the two", "database and databases mean the same")
	}
	items, ok := several.Items()
	if !ok {
		return
	}
	if len(items) != 1 {
		several.Error("write database: <number>, and a job for each further database",
			"a job reads one database in this version, not %d", len(items))
	}
	for _, item := range items {
		n, _ := item.Whole(0, math.MaxInt32)
		src.Database = uint32(n)
	}
}

// eitherPlace takes one of our own attributes, which the spec lists without saying whether they stand below redis: or beside
// it (spec 3.4): both places are right, one of them at a time.
func eitherPlace(source, redis *yamlfile.Map, key string) yamlfile.Value {
	inside, beside := redis.Take(key), source.Take(key)
	if !beside.Written() {
		return inside
	}
	if inside.Written() {
		beside.Error("write it once, below redis:", "%s is written below redis: and beside it", key)
	}
	return beside
}

// readTrigger wants the one word that makes a job write-behind (A7).
func readTrigger(m *yamlfile.Map) {
	v := m.Require("trigger", triggerLine)
	if !v.Present() {
		return
	}
	if text, ok := v.Text(); !ok || text == "write-behind" {
		return
	} else if text == "read-through" {
		v.Error(triggerLine, "trigger: read-through is not supported yet by this version")
	} else {
		v.Error(triggerLine, "trigger: %q is unknown", text)
	}
}

// readStream reads what the job listens to: keys by pattern, or a stream that the application writes (design D3). The
// latter names its keys itself, so a pattern only narrows it.
func readStream(m *yamlfile.Map, src *pipelinev1.Source, pattern string) {
	if v := m.Take("stream"); v.Written() {
		src.Stream, _ = v.Text()
		src.KeyPattern = "*"
		if p := m.Take(pattern); !p.Written() {
			return
		}
	}
	if v := m.Require(pattern, "write "+pattern+`: "<prefix>:*"`); v.Present() {
		src.KeyPattern, _ = v.Text()
	}
}

func readExcluded(v yamlfile.Value, src *pipelinev1.Source) {
	if !v.Present() {
		return
	}
	items, ok := v.Items()
	if !ok {
		return
	}
	for _, item := range items {
		word, ok := item.Choice(slices.Concat(commands, extensions)...)
		if !ok {
			continue
		}
		if slices.Contains(src.ExcludeCommands, word) {
			item.Error("write it once", "%s is written twice", word)
			continue
		}
		src.ExcludeCommands = append(src.ExcludeCommands, word)
	}
	left := slices.ContainsFunc(commands, func(c string) bool { return !slices.Contains(src.ExcludeCommands, c) })
	if !left {
		v.Error("leave at least one command", "exclude_commands excludes every command, so the job would do nothing")
	}
}

func readPolicy(v yamlfile.Value) pipelinev1.RemovalPolicy {
	if v.Written() {
		if word, _ := v.Choice("ignore", "delete"); word == "delete" {
			return pipelinev1.RemovalPolicy_REMOVAL_POLICY_DELETE
		}
	}
	return pipelinev1.RemovalPolicy_REMOVAL_POLICY_IGNORE
}

// readValues reads which values reach the target, and what a flush does (spec 1.5, 1.6, design D1).
func readValues(take func(string) yamlfile.Value, src *pipelinev1.Source) {
	src.Values, src.OnFlush = pipelinev1.Values_VALUES_LATEST, pipelinev1.FlushPolicy_FLUSH_POLICY_STOP
	if v := take("values"); v.Written() {
		src.Values = word(v, src.GetValues(), names[pipelinev1.Values]{
			{"latest", pipelinev1.Values_VALUES_LATEST}, {"each", pipelinev1.Values_VALUES_EACH},
		})
	}
	if v := take("on_flush"); v.Written() {
		if text, _ := v.Loose(); strings.EqualFold(text, "delete") {
			v.Error("write on_flush: stop or on_flush: ignore", "on_flush: delete would empty the tables: no flush of Redis ever deletes rows")
		} else {
			src.OnFlush = word(v, src.GetOnFlush(), names[pipelinev1.FlushPolicy]{
				{"stop", pipelinev1.FlushPolicy_FLUSH_POLICY_STOP}, {"ignore", pipelinev1.FlushPolicy_FLUSH_POLICY_IGNORE},
			})
		}
	}
	if v := take("on_unknown_delete"); v.Written() {
		if text, ok := v.Choice("ignore", "delete"); ok && text == "delete" {
			v.Error("write on_unknown_delete: ignore, or remove it", "on_unknown_delete: delete is not supported yet by this version")
		}
	}
	v := take("binary_fields")
	if !v.Written() {
		return
	}
	items, ok := v.Items()
	if ok && len(items) == 0 {
		v.Error("write at least one field, or remove it", "binary_fields is empty")
	}
	for _, item := range items {
		if name, ok := item.Text(); ok && !slices.Contains(src.BinaryFields, name) {
			src.BinaryFields = append(src.BinaryFields, name)
		}
	}
}

func readTypes(v yamlfile.Value, src *pipelinev1.Source) {
	if !v.Written() {
		return
	}
	items, ok := v.Items()
	if !ok {
		return
	}
	for _, item := range items {
		word, ok := item.Choice("hash", "json", "set", "sorted_set", "string", "list")
		if !ok {
			continue
		}
		if word != "hash" && word != "json" {
			item.Error("write hash or json", "type %s is not supported yet by this version", word)
			continue
		}
		if !slices.Contains(src.Types, word) {
			src.Types = append(src.Types, word)
		}
	}
	if ok && len(items) == 0 {
		v.Error("write hash, json or both, or remove it", "types is empty")
	}
}

// readRowFormat accepts both positions (A2).
func (j *Job) readRowFormat(source, redis *yamlfile.Map) {
	values := []yamlfile.Value{source.Take("row_format")}
	if redis != nil {
		values = append(values, redis.Take("row_format"))
	}
	var words []string
	for _, v := range values {
		if !v.Written() {
			continue
		}
		word, ok := v.Choice("partial", "data_only", "full")
		if !ok {
			continue
		}
		if word == "data_only" {
			word = "partial"
		}
		if len(words) > 0 && words[0] != word {
			v.Error("write it once, beside redis:", "row_format is %s here and %s beside redis", word, words[0])
		}
		words = append(words, word)
	}
	if len(words) > 0 && words[0] == "full" {
		j.Spec.RowFormat = pipelinev1.RowFormat_ROW_FORMAT_FULL
	}
}

// readKeys reads source.keys (spec 3.4); fields may be a map or a list of one-entry maps.
func readKeys(v yamlfile.Value) *pipelinev1.KeyFields {
	m, ok := v.Map()
	if !ok {
		return nil
	}
	keys := &pipelinev1.KeyFields{Fields: make(map[string]uint32)}
	delimiter, expression := m.Take("delimiter"), m.Take("expression")
	highest := int64(math.MaxInt32)
	switch {
	case delimiter.Written() && expression.Written():
		expression.Error("remove one of the two", "delimiter and expression exclude each other")
	case expression.Written():
		if text, ok := expression.Text(); ok {
			compiled, err := regexp.Compile(text)
			if err != nil {
				expression.Error("write a regular expression of RE2 syntax, with a group for each field", "expression: %v", err)
			} else {
				highest = int64(compiled.NumSubexp())
			}
			keys.Expression = text
		}
	case delimiter.Written():
		// A blank is a legal delimiter, so this is not Text.
		if text, ok := delimiter.Loose(); ok {
			keys.Delimiter = text
			if text == "" {
				delimiter.Error(`write delimiter: ":"`, "delimiter is empty")
			}
		}
	default:
		keys.Delimiter = ":"
	}
	fields := m.Require("fields", "write fields: with <name>: <number of the part, from 0>")
	m.Done(yamlfile.Hints{Elsewhere: map[string]string{"connection": "remove it: it belongs to read-through jobs"}})
	for _, e := range pairs(fields) {
		if strings.TrimSpace(e.Key) == "" {
			e.Value.Error("write a name", "a field has no name")
			continue
		}
		n, ok := e.Value.Whole(0, math.MaxInt32)
		if !ok {
			continue
		}
		if keys.GetExpression() != "" && n > highest {
			e.Value.Error("write a number from 0 to "+strconv.FormatInt(highest, 10)+"; 0 is the whole match",
				"%s: the expression has no group %d", e.Key, n)
			continue
		}
		if _, twice := keys.Fields[e.Key]; twice {
			e.Value.Error("write it once", "%s is written twice", e.Key)
		}
		keys.Fields[e.Key] = uint32(n)
	}
	return keys
}

// pairs are the entries of a map, or of a list of one-entry maps.
func pairs(v yamlfile.Value) []yamlfile.Entry {
	if !v.Present() {
		return nil
	}
	if v.Kind() != yamlfile.List {
		m, ok := v.Map()
		if !ok {
			return nil
		}
		if len(m.Entries()) == 0 {
			v.Error("write at least one", "%s is empty", v.Key())
		}
		return m.Entries()
	}
	items, _ := v.Items()
	if len(items) == 0 {
		v.Error("write at least one", "%s is empty", v.Key())
	}
	var all []yamlfile.Entry
	for _, item := range items {
		m, ok := item.Map()
		if !ok {
			continue
		}
		if len(m.Entries()) != 1 {
			item.Error("begin each with a hyphen: - <name>: <number>", "%s has %d entries, not one", item.Key(), len(m.Entries()))
			continue
		}
		all = append(all, m.Entries()...)
	}
	return all
}
