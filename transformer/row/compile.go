package row

import (
	"fmt"
	"slices"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/transformer/block"
	"slipstream/transformer/expression"
	"slipstream/transformer/finding"
	"slipstream/transformer/path"
	"slipstream/transformer/record"
)

// writerOf is the block that an output was written as.
func writerOf(o *pipelinev1.Output) string {
	switch {
	case o.GetRedis() != nil:
		return "redis.write"
	case o.GetCassandra() != nil:
		return "cassandra.write"
	}
	return "relational.write"
}

// Compile compiles an output of a job. What is wrong goes to found; the output is usable only if nothing is.
func Compile(job *pipelinev1.Job, index int, found *finding.List) *Output {
	x := job.GetOutputs()[index]
	at := x.GetPath()
	if at == "" {
		at = fmt.Sprintf("output[%d]", index)
	}
	w := x.GetRelational()
	if w == nil {
		found.Error(at+".uses", "use relational.write", "the output has no known writer")
		return nil
	}
	writer := writerOf(x)
	o := &Output{
		redis: x.GetRedis() != nil,
		Index: uint32(index), Writer: writer, Connection: x.GetConnection(), Table: w.GetTable(), name: at + " " + writer, at: at + ".with",
		full:     job.GetRowFormat() == pipelinev1.RowFormat_ROW_FORMAT_FULL,
		strategy: w.GetLoadStrategy(), indexed: w.GetRowIndex(),
		unfilter: w.GetOnFiltered() == pipelinev1.OnFiltered_ON_FILTERED_DELETE,
	}
	if w.GetSchema() != "" {
		o.Table = w.GetSchema() + "." + w.GetTable()
	}
	c := compiler{o, found, at + ".with"}
	c.writer(w)
	return o
}

type compiler struct {
	*Output
	found *finding.List
	at    string
}

func (c *compiler) writer(w *pipelinev1.RelationalWrite) {
	if w.GetTable() == "" {
		c.found.Error(c.at+".table", "name the table", "the output has no table")
	}
	if f := w.GetForeach(); f != nil {
		c.explode(f)
	}
	if w.GetOpcodeField() != "" {
		if w.GetLoadStrategy() != pipelinev1.LoadStrategy_LOAD_STRATEGY_UNSPECIFIED {
			c.found.Error(c.at+".opcode_field", "leave one of the two out", "opcode_field and load_strategy exclude each other")
		}
		c.opcode = &column{}
		c.field(c.opcode, w.GetOpcodeField(), c.at+".opcode_field")
	}
	seen := map[string]bool{}
	for i, x := range w.GetColumns() {
		at := x.GetPath()
		if at == "" {
			at = fmt.Sprintf("%s.columns[%d]", c.at, i)
		}
		if name := strings.ToLower(x.GetColumn()); seen[name] {
			c.found.Error(at, "write each column once", "column %s is written twice", x.GetColumn())
		} else {
			seen[name] = true
		}
		c.columns = append(c.columns, c.column(x, at))
	}
	c.check(w)
	c.planned = c.foreach == nil && c.opcode == nil && !slices.ContainsFunc(c.columns, func(x column) bool {
		return x.from == fromExpression || x.from == fromDocument || x.prefix != "" || c.redis && x.from == fromField
	})
}

// check looks at the columns together.
func (c *compiler) check(w *pipelinev1.RelationalWrite) {
	keyed := slices.ContainsFunc(c.columns, func(x column) bool { return x.key })
	parent := slices.ContainsFunc(c.columns, func(x column) bool { return x.key && x.parent })
	switch {
	case len(c.columns) == 0:
		c.found.Error(c.at+".mapping", "list columns under keys and mapping", "the output writes no columns")
	case !keyed && c.strategy != pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND:
		c.found.Error(c.at+".keys", "list the columns that identify a row under keys", "without keys no row can be updated or deleted")
	}
	if w.GetForeach().GetSync() && !parent {
		c.found.Error(c.at+".foreach_sync", "take a key column from the parent record, or leave foreach_sync out",
			"no key column identifies the parent whose rows are to be deleted")
	}
	for _, x := range c.columns {
		if c.full && x.from == fromField && !x.element && slices.Equal(x.field, path.Path{block.Opcode}) {
			c.history = true
		}
		if x.document != nil && x.document.opcode != "" {
			c.history = true
		}
	}
}

func (c *compiler) column(x *pipelinev1.OutputColumn, at string) column {
	out := column{
		name: x.GetColumn(), key: x.GetKey(), parent: x.GetParent(), place: at, prefix: x.GetPrefix(),
		keep: x.GetOnMissing() == pipelinev1.OnMissing_ON_MISSING_KEEP,
	}
	switch s := x.GetSource().(type) {
	case *pipelinev1.OutputColumn_Field:
		c.field(&out, s.Field, at)
	case *pipelinev1.OutputColumn_Expression:
		out.from = fromExpression
		compiled, err := expression.Compile(s.Expression, !c.full)
		if err != nil {
			c.found.Error(at+".expression", "correct the expression; a plain string would be a field path", "%v", err)
			break
		}
		out.expression = compiled
		block.Lint(c.found, compiled, c.full, at+".expression")
	case *pipelinev1.OutputColumn_Constant:
		out.from = fromConstant
		value, err := record.Decode([]byte(s.Constant))
		if err != nil {
			c.found.Error(at+".value", "write a JSON value", "the constant of column %s cannot be read: %v", x.GetColumn(), err)
		}
		out.constant = cellOf(value)
	case *pipelinev1.OutputColumn_Document:
		out.from, out.document = fromDocument, c.document(s.Document, at)
	case *pipelinev1.OutputColumn_RedisKey:
		out.from = fromRedisKey
	default:
		c.found.Error(at, "name a field, an expression or a value", "column %s has no source", x.GetColumn())
	}
	if out.name == "" {
		c.found.Error(at, "name the column", "a column has no name")
	}
	return out
}

// field resolves a field path as far as the job alone decides it (spec 5.1).
func (c *compiler) field(x *column, text, at string) {
	p, err := path.Parse(text)
	if err != nil {
		c.found.Error(at, `write names joined by dots, as in location.bay; a dot inside a name is \.`, "%v", err)
		return
	}
	if strings.HasSuffix(text, ")") && strings.Contains(text, "(") {
		c.found.Warning(at, "write {expression: …, language: jmespath} if it is one", "%s is the path of a field, not an expression", text)
	}
	switch {
	case c.foreach != nil && p[0] == c.foreach.name:
		x.element, x.field = true, p[1:]
	case !c.full, slices.Equal(p, path.Path{block.Opcode}),
		len(p) > 1 && (p[0] == block.Key || p[0] == block.Before || p[0] == block.After):
		x.field = p
	default:
		x.field = append(path.Path{block.After}, p...)
	}
	if c.full && !x.element && len(x.field) > 1 && x.field[0] == block.After {
		x.before = append(path.Path{block.Before}, x.field[1:]...)
	}
}

func (c *compiler) explode(f *pipelinev1.Foreach) {
	at := c.at + ".foreach"
	c.foreach = &foreach{name: f.GetName(), sync: f.GetSync(), leave: f.GetLeave()}
	if f.GetName() == "" || strings.ContainsAny(f.GetName(), ". ") {
		c.found.Error(at, `write "name: expression"`, "the name %q cannot begin the path of a column", f.GetName())
	}
	compiled, err := expression.Compile(
		&pipelinev1.Expression{Language: pipelinev1.Language_LANGUAGE_JMESPATH, Text: f.GetExpression()}, !c.full)
	if err != nil {
		c.found.Error(at, `write "name: expression" with a JMESPath expression that gives a list`, "%v", err)
		return
	}
	c.foreach.expression = compiled
	block.Lint(c.found, compiled, c.full, at)
	c.foreach.inAfter = c.full && !slices.ContainsFunc(compiled.References(), func(p path.Path) bool {
		return len(p) == 0 || slices.Contains(block.FullMembers, p[0])
	})
}
