package jobfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

var (
	blocks     = []string{"filter", "add_field", "remove_field", "rename_field", "map", "redis.lookup"}
	blockHints = map[string]string{
		"relational.lookup": "", "key": "write key: with expression: and language: at the top of the job",
		"relational.write": "write it below output:",
		"redis.write":      "write it below output:",
		"cassandra.write":  "write it below output:",
	}
)

const maxMapDepth = 32

func (j *Job) readTransform(top *yamlfile.Map) {
	v := top.Take("transform")
	if !v.Present() {
		return
	}
	items, ok := v.Items()
	if !ok {
		return
	}
	for _, item := range items {
		before := j.File.Errors()
		b := j.readBlock(item)
		if b != nil && j.File.Errors() == before {
			j.Spec.Transform = append(j.Spec.Transform, b)
		}
	}
}

func (j *Job) readBlock(v yamlfile.Value) *pipelinev1.Block {
	uses, with, ok := block(v, blocks, blockHints)
	if !ok {
		return nil
	}
	b := &pipelinev1.Block{Path: v.Path()}
	switch uses {
	case "filter":
		b.Block = &pipelinev1.Block_Filter{Filter: &pipelinev1.Filter{Expression: readExpression(with), Cache: readCache(with.Take("cache"))}}
	case "add_field":
		add := &pipelinev1.AddField{}
		add.Multi = eachField(with, []string{"field", "expression", "language", "cache"}, func(m *yamlfile.Map) {
			add.Fields = append(add.Fields, &pipelinev1.FieldExpression{
				Field: readField(m, "field"), Expression: readExpression(m), Cache: readCache(m.Take("cache")),
			})
		})
		b.Block = &pipelinev1.Block_AddField{AddField: add}
	case "remove_field":
		remove := &pipelinev1.RemoveField{}
		remove.Multi = eachField(with, []string{"field"}, func(m *yamlfile.Map) {
			remove.Fields = append(remove.Fields, readField(m, "field"))
		})
		b.Block = &pipelinev1.Block_RemoveField{RemoveField: remove}
	case "rename_field":
		rename := &pipelinev1.RenameField{}
		rename.Multi = eachField(with, []string{"from_field", "to_field"}, func(m *yamlfile.Map) {
			rename.Fields = append(rename.Fields, &pipelinev1.Rename{
				FromField: readField(m, "from_field"), ToField: readField(m, "to_field"),
			})
		})
		b.Block = &pipelinev1.Block_RenameField{RenameField: rename}
	case "map":
		m := readMap(with)
		m.Cache = readCache(with.Take("cache"))
		b.Block = &pipelinev1.Block_Map{Map: m}
	case "redis.lookup":
		b.Block = &pipelinev1.Block_RedisLookup{RedisLookup: j.readLookup(with)}
	}
	with.Done(yamlfile.Hints{Elsewhere: map[string]string{"on_filtered": "write it at the top of the job, or below with: of an output"}})
	return b
}

// eachField reads the single form, or each member of the multi form; exactly one of them is legal (spec 4.3 to 4.5).
func eachField(with *yamlfile.Map, single []string, read func(*yamlfile.Map)) (multi bool) {
	fields := with.Take("fields")
	if !fields.Written() {
		read(with)
		return false
	}
	for _, key := range single {
		if v := with.Take(key); v.Written() {
			v.Error("write it below fields:, or remove fields:", "%s and fields exclude each other", key)
		}
	}
	items, ok := fields.Items()
	if ok && len(items) == 0 {
		fields.Error("write at least one", "fields is empty")
	}
	for _, item := range items {
		if m, ok := item.Map(); ok {
			read(m)
			m.Done(yamlfile.Hints{})
		}
	}
	return true
}

func readField(m *yamlfile.Map, key string) string {
	v := m.Require(key, "write "+key+": <path of the field>")
	if !v.Present() {
		return ""
	}
	text, ok := v.Text()
	if ok {
		checkPath(v, text)
	}
	return text
}

// checkPath checks a field path (spec 4.1): names between dots, `\.` for a dot in a name, no indexes, no wildcards.
func checkPath(v yamlfile.Value, path string) {
	if reason := pathError(path); reason != "" {
		v.Error(`write names separated by dots, and \. for a dot within a name`, "%s: %q %s", v.Key(), path, reason)
	}
}

func pathError(path string) string {
	for i, name := range splitPath(path) {
		if name == "" {
			if i == 0 {
				return "begins with a dot"
			}
			return "has an empty name between dots"
		}
	}
	return ""
}

// splitPath takes a field path apart at the dots that are not escaped.
func splitPath(path string) []string {
	var names []string
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		switch {
		case path[i] == '\\' && i+1 < len(path) && path[i+1] == '.':
			b.WriteByte('.')
			i++
		case path[i] == '.':
			names = append(names, b.String())
			b.Reset()
		default:
			b.WriteByte(path[i])
		}
	}
	return append(names, b.String())
}

func readLanguage(m *yamlfile.Map) pipelinev1.Language {
	v := m.Require("language", "write language: jmespath or language: sql")
	if !v.Present() {
		return pipelinev1.Language_LANGUAGE_UNSPECIFIED
	}
	switch word, _ := v.Choice("jmespath", "sql"); word {
	case "jmespath":
		return pipelinev1.Language_LANGUAGE_JMESPATH
	case "sql":
		return pipelinev1.Language_LANGUAGE_SQL
	default:
		return pipelinev1.Language_LANGUAGE_UNSPECIFIED
	}
}

func readExpression(m *yamlfile.Map) *pipelinev1.Expression {
	v := m.Require("expression", "write expression: <expression>")
	e := &pipelinev1.Expression{Language: readLanguage(m)}
	if v.Present() {
		e.Text, _ = v.Text()
	}
	return e
}

// readMap reads a map block: its expression is a text or an object (spec 4.6).
func readMap(with *yamlfile.Map) *pipelinev1.Map {
	out := &pipelinev1.Map{}
	v := with.Require("expression", "write expression: with <name>: <expression> below")
	out.Language = readLanguage(with)
	if !v.Present() {
		return out
	}
	if v.Kind() == yamlfile.Mapping {
		out.Members = readMembers(v, out.GetLanguage(), 0)
		return out
	}
	text, ok := v.Text()
	if !ok {
		return out
	}
	if out.GetLanguage() == pipelinev1.Language_LANGUAGE_SQL {
		// A JSON object in a string is the same as the object itself.
		members, err := sqlMembers(text)
		if err != nil {
			v.Error("write expression: with <name>: <SQL expression> below", "expression: %v", err)
		}
		out.Members = members
		return out
	}
	if trimmed := strings.TrimSpace(text); !strings.HasPrefix(trimmed, "{") || !strings.HasSuffix(trimmed, "}") {
		v.Error("write {name: expression, …}, or the members below expression:",
			"expression: a map expression must be in a JSON-like format enclosed in { }")
	}
	out.Text = text
	return out
}

func readMembers(v yamlfile.Value, language pipelinev1.Language, depth int) []*pipelinev1.MapMember {
	m, ok := v.Map()
	if !ok {
		return nil
	}
	if len(m.Entries()) == 0 {
		v.Error("write <name>: <expression> below", "%s is empty", v.Key())
	}
	if depth > maxMapDepth {
		v.Error("write it flatter", "members are nested more than %d levels deep", maxMapDepth)
		return nil
	}
	members := make([]*pipelinev1.MapMember, 0, len(m.Entries()))
	for _, e := range m.Entries() {
		member := &pipelinev1.MapMember{Name: e.Key}
		switch {
		case e.Value.Kind() != yamlfile.Mapping:
			member.Expression, _ = e.Value.Text()
		case language == pipelinev1.Language_LANGUAGE_SQL:
			e.Value.Error("use language: jmespath, or write a flat object", "%s: a map in SQL cannot be nested", e.Key)
		default:
			member.Members = readMembers(e.Value, language, depth+1)
		}
		members = append(members, member)
	}
	return members
}

// sqlMembers reads {"name": "expression", …}, keeping the order.
func sqlMembers(text string) ([]*pipelinev1.MapMember, error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	shape := errors.New("must be an object, or the text of a JSON object, of names and SQL expressions")
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, shape
	}
	var members []*pipelinev1.MapMember
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, shape
		}
		value, err := d.Token()
		if err != nil {
			return nil, shape
		}
		expression, ok := value.(string)
		if !ok {
			return nil, fmt.Errorf("%v: must be text", name)
		}
		members = append(members, &pipelinev1.MapMember{Name: fmt.Sprint(name), Expression: expression})
	}
	if _, err := d.Token(); err != nil {
		return nil, shape
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) || len(members) == 0 {
		return nil, shape
	}
	return members, nil
}
