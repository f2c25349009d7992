package jobfile

import (
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

// readColumns makes the effective column list: keys, then the columns of mapping that are not keys (spec 5.1).
func (j *Job) readColumns(with *yamlfile.Map, w *pipelinev1.RelationalWrite, missing pipelinev1.OnMissing) {
	const fix = "write keys: with the columns that identify a row, each after a hyphen"
	keys := with.Take("keys")
	if w.GetLoadStrategy() != pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND { // which identifies no row
		keys = with.Require("keys", fix)
	}
	if keys.Present() {
		if items, ok := keys.Items(); ok && len(items) == 0 {
			keys.Error("write at least one column", "keys is empty")
		}
		w.Columns = readList(keys, nil, true, missing)
	}
	mapping := with.Take("mapping")
	switch {
	case !mapping.Written():
		j.Unmapped[parentPath(with.Path())] = true
	case !mapping.Present():
		mapping.Error("write columns below it, each after a hyphen, or remove it", "mapping has no value")
	default:
		w.Columns = readList(mapping, w.GetColumns(), false, missing)
	}
}

func parentPath(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i]
	}
	return path
}

// readList appends the columns of keys or mapping. A column of mapping that is a key already is left out, unless it is
// written with another source.
func readList(v yamlfile.Value, columns []*pipelinev1.OutputColumn, key bool, missing pipelinev1.OnMissing) []*pipelinev1.OutputColumn {
	if v.Kind() == yamlfile.Mapping {
		v.Error("begin each column with a hyphen: - <column>: <field>", "%s must be a list, not a map", v.Key())
		return columns
	}
	items, ok := v.Items()
	if !ok {
		return columns
	}
	// Names are compared without case, as databases do.
	written := make(map[string]*pipelinev1.OutputColumn)
	for _, c := range columns {
		written[strings.ToLower(c.GetColumn())] = c
	}
	for _, item := range items {
		c := readColumn(item)
		if c == nil {
			continue
		}
		c.Key = key
		if key {
			c.OnMissing = pipelinev1.OnMissing_ON_MISSING_NULL
		} else if c.GetOnMissing() == pipelinev1.OnMissing_ON_MISSING_UNSPECIFIED {
			c.OnMissing = missing
		}
		name := strings.ToLower(c.GetColumn())
		other := written[name]
		switch {
		case other == nil:
			columns, written[name] = append(columns, c), c
		case other.GetKey() == key:
			item.Error("write it once", "column %s is written twice", c.GetColumn())
		case !sameSource(other, c):
			item.Error("remove one of the two", "column %s has another source in keys", c.GetColumn())
		}
	}
	return columns
}

func sameSource(a, b *pipelinev1.OutputColumn) bool {
	return a.GetField() == b.GetField() && a.GetConstant() == b.GetConstant() &&
		a.GetExpression().GetText() == b.GetExpression().GetText() &&
		a.GetExpression().GetLanguage() == b.GetExpression().GetLanguage()
}

// readColumn reads one item: a column named like its field, or "COLUMN: source" (A9, A10).
func readColumn(item yamlfile.Value) *pipelinev1.OutputColumn {
	c := &pipelinev1.OutputColumn{Path: item.Path()}
	if item.Kind() != yamlfile.Mapping {
		name, ok := item.Text()
		if !ok {
			return nil
		}
		checkPath(item, name)
		// The plain form names column and field at once; an escaped dot belongs to the field's spelling alone.
		c.Column = strings.ReplaceAll(name, `\.`, ".")
		c.Source = &pipelinev1.OutputColumn_Field{Field: name}
		return c
	}
	m, ok := item.Map()
	if !ok {
		return nil
	}
	if len(m.Entries()) != 1 {
		item.Error("begin each column with a hyphen: - <column>: <field>",
			"%s has %d entries, not one", item.Key(), len(m.Entries()))
		return nil
	}
	e := m.Entries()[0]
	if strings.TrimSpace(e.Key) == "" {
		e.Value.Error("write the name of a column", "a column has no name")
		return nil
	}
	c.Column = e.Key
	if e.Value.Kind() == yamlfile.Mapping {
		return readComputed(e.Value, c)
	}
	field, ok := e.Value.Text()
	if !ok {
		return nil
	}
	checkPath(e.Value, field)
	c.Source = &pipelinev1.OutputColumn_Field{Field: field}
	return c
}

// readComputed reads {expression, language}, {value} or {field, on_missing_field}.
func readComputed(v yamlfile.Value, c *pipelinev1.OutputColumn) *pipelinev1.OutputColumn {
	m, ok := v.Map()
	if !ok {
		return nil
	}
	expression, value, field := m.Take("expression"), m.Take("value"), m.Take("field")
	forms := 0
	for _, form := range []yamlfile.Value{expression, value, field} {
		if form.Written() {
			forms++
		}
	}
	if forms != 1 {
		v.Error("write {expression: …, language: …}, {value: …} or {field: …}", "column %s needs exactly one source, not %d",
			c.GetColumn(), forms)
	}
	switch {
	case expression.Written():
		c.Source = &pipelinev1.OutputColumn_Expression{Expression: readExpression(m)}
	case value.Written():
		text, _ := value.JSON()
		c.Source = &pipelinev1.OutputColumn_Constant{Constant: text}
	case field.Written():
		text, ok := field.Text()
		if ok {
			checkPath(field, text)
		}
		c.Source = &pipelinev1.OutputColumn_Field{Field: text}
		if missing := m.Take("on_missing_field"); missing.Written() {
			c.OnMissing = readMissing(missing)
		}
	}
	readHints(m, c)
	m.Done(yamlfile.Hints{
		Elsewhere: map[string]string{"on_missing": "write on_missing_field:", "language": "write it beside expression:", "cache": "remove it: a column has no cache"},
	})
	return c
}

// readMissing reads on_missing_field (A24); YAML's null is the word as well as the value.
func readMissing(v yamlfile.Value) pipelinev1.OnMissing {
	if v.Kind() == yamlfile.Null {
		return pipelinev1.OnMissing_ON_MISSING_NULL
	}
	if word, _ := v.Choice("null", "keep"); word == "keep" {
		return pipelinev1.OnMissing_ON_MISSING_KEEP
	}
	return pipelinev1.OnMissing_ON_MISSING_NULL
}
