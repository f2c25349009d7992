package jobfile

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// linter walks a job as a record would, and knows at each step which members the record surely has.
type linter struct {
	job  *Job
	full bool
	// made are members that a block has set: they have the type of their expression, and hide what they are named like.
	made map[string]bool
	// onDelete are members that are known even when the key is gone (A4): parts of the Redis key, and what is made of them.
	onDelete map[string]bool
	// deletes says that deletes reach the outputs.
	deletes bool
}

// lint warns of what is legal and rarely meant (spec 3.7, 6.4).
func (j *Job) lint() {
	if !j.SourceOK {
		return // a warning could be wrong once the source is mended
	}
	src := j.Spec.GetSource()
	l := &linter{
		job: j, full: j.Spec.GetRowFormat() == pipelinev1.RowFormat_ROW_FORMAT_FULL,
		made: make(map[string]bool), onDelete: make(map[string]bool),
		deletes: !slices.Contains(src.GetExcludeCommands(), "del"),
	}
	for name := range src.GetKeys().GetFields() {
		l.onDelete[name], l.made[name] = true, true
	}
	if l.full {
		l.onDelete["key"], l.onDelete["opcode"] = true, true
	}
	for _, b := range j.Spec.GetTransform() {
		l.block(b)
	}
	for _, out := range j.Spec.GetOutputs() {
		l.output(out)
	}
}

func (l *linter) block(b *pipelinev1.Block) {
	with := b.GetPath() + ".with"
	at := func(multi bool, i int, key string) string {
		if multi {
			return with + ".fields[" + strconv.Itoa(i) + "]." + key
		}
		return with + "." + key
	}
	switch {
	case b.GetFilter() != nil:
		e := b.GetFilter().GetExpression()
		l.expression(with+".expression", e)
		if mentions(e, "opcode") {
			l.deletes = false // the job decides itself what becomes of deletes
		}
	case b.GetAddField() != nil:
		for i, f := range b.GetAddField().GetFields() {
			multi := b.GetAddField().GetMulti()
			l.path(at(multi, i, "field"), f.GetField())
			l.expression(at(multi, i, "expression"), f.GetExpression())
			l.set(f.GetField(), l.derivable(f.GetExpression()))
		}
	case b.GetRemoveField() != nil:
		for i, f := range b.GetRemoveField().GetFields() {
			l.path(at(b.GetRemoveField().GetMulti(), i, "field"), f)
			delete(l.onDelete, l.member(f))
		}
	case b.GetRenameField() != nil:
		for i, f := range b.GetRenameField().GetFields() {
			multi := b.GetRenameField().GetMulti()
			l.path(at(multi, i, "from_field"), f.GetFromField())
			l.path(at(multi, i, "to_field"), f.GetToField())
			from := l.member(f.GetFromField())
			known, made := l.onDelete[from], l.made[from]
			delete(l.onDelete, from)
			l.onDelete[l.member(f.GetToField())] = known
			l.made[l.member(f.GetToField())] = made
		}
	case b.GetMap() != nil:
		l.mapped(with+".expression", b.GetMap())
	}
}

// mapped replaces the record by the members of a map.
func (l *linter) mapped(path string, m *pipelinev1.Map) {
	if m.GetText() != "" {
		l.expression(path, &pipelinev1.Expression{Language: m.GetLanguage(), Text: m.GetText()})
		// What a text makes of the record is not known here; assume the best, so that no warning is wrong.
		l.deletes = false
		return
	}
	onDelete := make(map[string]bool)
	if l.full {
		onDelete["key"], onDelete["opcode"] = true, true
	}
	for _, member := range m.GetMembers() {
		if len(member.GetMembers()) > 0 {
			if l.full {
				l.deletes = false
			}
			l.made[member.GetName()] = true
			continue
		}
		e := &pipelinev1.Expression{Language: m.GetLanguage(), Text: member.GetExpression()}
		l.expression(path+"."+member.GetName(), e)
		onDelete[member.GetName()] = l.derivable(e)
	}
	for _, member := range m.GetMembers() {
		l.made[member.GetName()] = true
	}
	l.onDelete = onDelete
}

func (l *linter) output(out *pipelinev1.Output) {
	w := out.GetRelational()
	if f := w.GetForeach(); f != nil {
		// Its comparisons are about elements, which are JSON; only its names are looked at.
		l.names(out.GetPath()+".with.foreach", &pipelinev1.Expression{
			Language: pipelinev1.Language_LANGUAGE_JMESPATH, Text: f.GetExpression(),
		})
	}
	for _, c := range w.GetColumns() {
		if f := c.GetField(); f != "" {
			l.path(c.GetPath(), f)
		}
		if e := c.GetExpression(); e != nil {
			l.expression(c.GetPath()+"."+c.GetColumn()+".expression", e)
		}
		if c.GetKey() && l.deletes && (w.GetForeach() == nil || c.GetParent() && w.GetForeach().GetSync()) {
			l.keyColumn(c)
		}
	}
}

// keyColumn warns when a delete cannot know a key column (A4).
func (l *linter) keyColumn(c *pipelinev1.OutputColumn) {
	from := ""
	switch {
	case c.GetField() != "" && !l.onDelete[l.member(c.GetField())]:
		from = "field " + c.GetField()
	case c.GetExpression() != nil && !l.derivable(c.GetExpression()):
		from = "an expression on other fields"
	default:
		return
	}
	name := l.member(c.GetField())
	if name == "" {
		name = c.GetColumn()
	}
	l.job.File.WarnAt(c.GetPath(),
		fmt.Sprintf("cut it out of the Redis key: source: keys: fields: {%s: <number of the part, from 0>}", name),
		"key column %s comes from %s, which is not known when the key is gone: a delete cannot find the row", c.GetColumn(), from)
}

func (l *linter) set(path string, derivable bool) {
	l.made[l.member(path)] = true
	l.onDelete[l.member(path)] = derivable
}

// member is the first name of a path within the value.
func (l *linter) member(path string) string {
	names := splitPath(path)
	if names[0] == "after" && len(names) > 1 {
		return names[1]
	}
	return names[0]
}

// derivable says whether an expression needs only what a delete knows.
func (l *linter) derivable(e *pipelinev1.Expression) bool {
	return !slices.ContainsFunc(references(e), func(path string) bool { return !l.onDelete[l.member(path)] })
}

// path warns of a field path that means something else in the job's row format (A3).
func (l *linter) path(at, path string) {
	names := splitPath(path)
	l.row(at, names[0], len(names) > 1)
}

func (l *linter) expression(at string, e *pipelinev1.Expression) {
	l.names(at, e)
	l.comparison(at, e)
}

func (l *linter) names(at string, e *pipelinev1.Expression) {
	for _, path := range references(e) {
		first, _, deep := strings.Cut(path, ".")
		l.row(at, first, deep)
	}
}

func (l *linter) row(at, first string, deep bool) {
	if l.full || l.made[first] {
		return
	}
	switch {
	case first == "after" && deep:
		l.job.File.WarnAt(at, "leave out after., or write row_format: full below source:",
			"after. is read as the value itself, because the job has no row_format: full")
	case first == "before" && deep, first == "key" && deep, first == "opcode" && !deep:
		l.job.File.WarnAt(at, "write row_format: full below source:",
			"%s is not part of the record, because the job has no row_format: full", first)
	}
}

var (
	text           = regexp.MustCompile(`'[^']*'`)
	sqlNumber      = regexp.MustCompile("(?i)(?:^|[\\s(,])([A-Za-z_]\\w*|`[^`]+`|\"[^\"]+\")\\s*(?:<=|>=|<>|!=|==|=|<|>|\\bbetween\\b)\\s*-?\\d")
	jmespathNumber = regexp.MustCompile("(?:^|[\\s(,&|!])([A-Za-z_][\\w.]*)\\s*(?:<=|>=|!=|==|<|>)\\s*`-?\\d")
)

// comparison warns of a hash field compared with a number: hash fields are text (spec 6.4).
func (l *linter) comparison(at string, e *pipelinev1.Expression) {
	if types := l.job.Spec.GetSource().GetTypes(); len(types) > 0 && !slices.Contains(types, "hash") {
		return
	}
	if e.GetLanguage() == pipelinev1.Language_LANGUAGE_JMESPATH && strings.Contains(e.GetText(), "[?") {
		return // what a projection compares are elements, which are JSON
	}
	pattern, fix, effect := jmespathNumber, "write to_number(%s)", "gives null, so that the condition never holds"
	if e.GetLanguage() == pipelinev1.Language_LANGUAGE_SQL {
		pattern, fix, effect = sqlNumber, "write CAST(%s AS REAL)", "puts every text above every number"
	}
	for _, found := range pattern.FindAllStringSubmatch(text.ReplaceAllString(e.GetText(), "''"), -1) {
		field := found[1]
		name := l.member(strings.Trim(field, "`\""))
		if l.made[name] || slices.Contains(keywords, strings.ToUpper(field)) {
			continue
		}
		l.job.File.WarnAt(at, fmt.Sprintf(fix, field), "%s is compared with a number; a hash field is text, and that %s", field, effect)
	}
}
