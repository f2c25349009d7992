package job

import (
	"encoding/json"
	"fmt"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// jobFile is a job as users write it, as far as the golden cases need it. The reader of real files is the gateway's.
type jobFile struct {
	RowFormat string `yaml:"row_format"`
	Keys      *struct {
		Delimiter  string            `yaml:"delimiter"`
		Expression string            `yaml:"expression"`
		Fields     map[string]uint32 `yaml:"fields"`
	} `yaml:"keys"`
	Types        []string `yaml:"types"`
	BeforeImage  string   `yaml:"before_image"`
	BinaryFields []string `yaml:"binary_fields"`

	Transform []usesWith     `yaml:"transform"`
	Output    []usesWith     `yaml:"output"`
	Write     map[string]any `yaml:"write"` // short for one relational.write to connection pg, table t
}

type usesWith struct {
	Uses string         `yaml:"uses"`
	With map[string]any `yaml:"with"`
}

func (f *jobFile) compile() *pipelinev1.Job {
	j := &pipelinev1.Job{Name: "pumps", Enabled: true, RowFormat: pipelinev1.RowFormat_ROW_FORMAT_PARTIAL, Source: &pipelinev1.Source{KeyPattern: "*"}}
	if f.RowFormat == "full" {
		j.RowFormat = pipelinev1.RowFormat_ROW_FORMAT_FULL
	}
	if f.Keys != nil {
		j.Source.Keys = &pipelinev1.KeyFields{Delimiter: f.Keys.Delimiter, Expression: f.Keys.Expression, Fields: f.Keys.Fields}
	}
	j.Source.BinaryFields, j.Source.Types = f.BinaryFields, f.Types
	j.BeforeImage = pipelinev1.BeforeImage(pipelinev1.BeforeImage_value["BEFORE_IMAGE_"+strings.ToUpper(f.BeforeImage)])
	for i, b := range f.Transform {
		block := blockOf(b)
		block.Path = fmt.Sprintf("transform[%d]", i)
		j.Transform = append(j.Transform, block)
	}
	outputs := f.Output
	if f.Write != nil {
		outputs = append(outputs, usesWith{Uses: writerName, With: f.Write})
	}
	for i, o := range outputs {
		out := &pipelinev1.Output{Path: fmt.Sprintf("output[%d]", i), Connection: str(o.With["connection"])}
		if out.Connection == "" {
			out.Connection = "pg"
		}
		if o.Uses == writerName {
			out.Writer = &pipelinev1.Output_Relational{Relational: writerOf(o.With, out.Path)}
		}
		j.Outputs = append(j.Outputs, out)
	}
	return j
}

const writerName = "relational.write"

func str(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func expressionOf(with map[string]any) *pipelinev1.Expression {
	e := &pipelinev1.Expression{Text: str(with["expression"]), Language: languageOf(with)}
	return e
}

func languageOf(with map[string]any) pipelinev1.Language {
	return map[string]pipelinev1.Language{
		"jmespath": pipelinev1.Language_LANGUAGE_JMESPATH, "sql": pipelinev1.Language_LANGUAGE_SQL,
	}[str(with["language"])]
}

// forms gives the triples or pairs of a block in its single or multi form.
func forms(with map[string]any) (list []map[string]any, multi bool) {
	fields, multi := with["fields"].([]any)
	if !multi {
		return []map[string]any{with}, false
	}
	for _, f := range fields {
		list = append(list, f.(map[string]any))
	}
	return list, true
}

func blockOf(b usesWith) *pipelinev1.Block {
	out := &pipelinev1.Block{}
	list, multi := forms(b.With)
	switch b.Uses {
	case "filter":
		out.Block = &pipelinev1.Block_Filter{Filter: &pipelinev1.Filter{Expression: expressionOf(b.With), Cache: cacheOf(b.With["cache"])}}
	case "add_field":
		x := &pipelinev1.AddField{Multi: multi}
		for _, f := range list {
			x.Fields = append(x.Fields, &pipelinev1.FieldExpression{
				Field: str(f["field"]), Expression: expressionOf(f), Cache: cacheOf(f["cache"]),
			})
		}
		out.Block = &pipelinev1.Block_AddField{AddField: x}
	case "remove_field":
		x := &pipelinev1.RemoveField{Multi: multi}
		for _, f := range list {
			x.Fields = append(x.Fields, str(f["field"]))
		}
		out.Block = &pipelinev1.Block_RemoveField{RemoveField: x}
	case "rename_field":
		x := &pipelinev1.RenameField{Multi: multi}
		for _, f := range list {
			x.Fields = append(x.Fields, &pipelinev1.Rename{FromField: str(f["from_field"]), ToField: str(f["to_field"])})
		}
		out.Block = &pipelinev1.Block_RenameField{RenameField: x}
	case "map":
		x := &pipelinev1.Map{Language: languageOf(b.With), Cache: cacheOf(b.With["cache"])}
		if members, ok := b.With["expression"].(map[string]any); ok {
			x.Members = membersOf(members)
		} else {
			x.Text = str(b.With["expression"])
		}
		out.Block = &pipelinev1.Block_Map{Map: x}
	case "redis.lookup":
		x := &pipelinev1.RedisLookup{
			Connection: str(b.With["connection"]), Cmd: str(b.With["cmd"]), Field: str(b.With["field"]),
			Cache: cacheOf(b.With["cache"]), LookupCache: cacheOf(b.With["lookup_cache"]),
		}
		if when, ok := b.With["when"].(map[string]any); ok {
			x.When = expressionOf(when)
		}
		args, _ := b.With["args"].([]any)
		for _, arg := range args {
			x.Args = append(x.Args, &pipelinev1.Expression{Language: languageOf(b.With), Text: str(arg)})
		}
		out.Block = &pipelinev1.Block_RedisLookup{RedisLookup: x}
	}
	return out
}

// cacheOf is a cache that is written, whatever its size.
func cacheOf(written any) *pipelinev1.Cache {
	if written == nil {
		return nil
	}
	return &pipelinev1.Cache{MaxSize: 1000, TtlSeconds: 60}
}

func membersOf(object map[string]any) (list []*pipelinev1.MapMember) {
	for name, x := range object {
		m := &pipelinev1.MapMember{Name: name}
		if nested, ok := x.(map[string]any); ok {
			m.Members = membersOf(nested)
		} else {
			m.Expression = str(x)
		}
		list = append(list, m)
	}
	return list
}

func writerOf(with map[string]any, at string) *pipelinev1.RelationalWrite {
	w := &pipelinev1.RelationalWrite{
		Schema: str(with["schema"]), Table: "t", OpcodeField: str(with["opcode_field"]),
		LoadStrategy: pipelinev1.LoadStrategy(pipelinev1.LoadStrategy_value["LOAD_STRATEGY_"+str(with["load_strategy"])]),
	}
	w.RowIndex, _ = with["row_index"].(bool)
	if with["on_filtered"] == "delete" {
		w.OnFiltered = pipelinev1.OnFiltered_ON_FILTERED_DELETE
	}
	if with["table"] != nil {
		w.Table = str(with["table"])
	}
	element := "\x00"
	if text := str(with["foreach"]); text != "" {
		name, expression, _ := strings.Cut(text, ":")
		w.Foreach = &pipelinev1.Foreach{Name: strings.TrimSpace(name), Expression: strings.TrimSpace(expression)}
		element = w.Foreach.Name
	}
	seen := map[string]bool{}
	for _, list := range []string{"keys", "mapping"} {
		items, _ := with[list].([]any)
		for i, item := range items {
			c := columnOf(item)
			c.Path = fmt.Sprintf("%s.with.%s[%d]", at, list, i)
			if list == "mapping" && seen[c.Column] {
				continue
			}
			if list == "keys" {
				c.Key, seen[c.Column] = true, true
				c.Parent = w.Foreach != nil && c.GetField() != element && !strings.HasPrefix(c.GetField(), element+".")
				if w.Foreach != nil && c.Parent {
					w.Foreach.Sync = true
				}
			}
			w.Columns = append(w.Columns, c)
		}
	}
	if sync, ok := with["foreach_sync"].(bool); ok {
		w.Foreach.Sync, w.Foreach.Leave = sync, !sync
	}
	return w
}

func columnOf(item any) *pipelinev1.OutputColumn {
	pair, ok := item.(map[string]any)
	if !ok {
		return &pipelinev1.OutputColumn{Column: str(item), Source: &pipelinev1.OutputColumn_Field{Field: str(item)}}
	}
	c := &pipelinev1.OutputColumn{}
	for name, source := range pair {
		c.Column = name
		with, ok := source.(map[string]any)
		if !ok {
			c.Source = &pipelinev1.OutputColumn_Field{Field: str(source)}
			continue
		}
		if with["on_missing"] == "keep" {
			c.OnMissing = pipelinev1.OnMissing_ON_MISSING_KEEP
		}
		value, constant := with["value"]
		switch {
		case constant:
			text, _ := json.Marshal(value)
			c.Source = &pipelinev1.OutputColumn_Constant{Constant: string(text)}
		case with["expression"] != nil:
			c.Source = &pipelinev1.OutputColumn_Expression{Expression: expressionOf(with)}
		case with["field"] != nil:
			c.Source = &pipelinev1.OutputColumn_Field{Field: str(with["field"])}
		}
	}
	return c
}
