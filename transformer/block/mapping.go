package block

import (
	"maps"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/transformer/expression"
	"slipstream/transformer/path"
	"slipstream/transformer/record"
)

// mapping replaces the record by new members (spec 4.6). It is kept as its leaves, so that on a delete each of them
// fails for itself.
type mapping struct {
	place   string
	leaves  []leaf
	group   *expression.Group
	members *shape
}

// leaf is one expression and where its value goes.
type leaf struct {
	at         path.Path
	expression *expression.Expression
}

// shape is the objects of a map, whether or not they have leaves: {limits: {}} is an object too.
type shape struct {
	name    string
	members []*shape
}

func (c *compiler) mapping(m *pipelinev1.Map) block {
	at := c.at + ".expression"
	members := m.GetMembers()
	memberAt := func(at, name string) string { return at + "." + name }
	if m.GetText() != "" {
		memberAt = func(at, _ string) string { return at } // the file has no place of its own for a member
		var ok bool
		if members, ok = c.parseMap(m, at); !ok {
			return nil
		}
	}
	if len(members) == 0 {
		c.found.Error(at, "write name: expression pairs", "the map has no members")
		return nil
	}
	b := &mapping{place: c.at, members: &shape{}}
	c.mapMembers(mapped{b, m.GetLanguage(), memberAt, m.GetCache()}, b.members, members, nil, at)
	expressions := make([]*expression.Expression, len(b.leaves))
	for i, l := range b.leaves {
		if l.expression == nil {
			return nil
		}
		expressions[i] = l.expression
	}
	b.group = expression.NewGroup(expressions)
	return b
}

// mapped is what compiling the members of one map has in common.
type mapped struct {
	*mapping
	language pipelinev1.Language
	memberAt func(at, name string) string
	cache    *pipelinev1.Cache
}

func (c *compiler) mapMembers(b mapped, parent *shape, members []*pipelinev1.MapMember, to path.Path, at string) {
	seen := map[string]bool{}
	for _, m := range members {
		memberAt, field := b.memberAt(at, m.GetName()), append(to[:len(to):len(to)], m.GetName())
		if seen[m.GetName()] {
			c.found.Error(memberAt, "give each member a name of its own", "two members are named %q", m.GetName())
		}
		seen[m.GetName()] = true
		if m.GetExpression() != "" {
			b.leaves = append(b.leaves, leaf{field, c.cached(
				&pipelinev1.Expression{Language: b.language, Text: m.GetExpression()}, memberAt, b.cache, c.at+".cache",
			)})
			continue
		}
		if b.language == pipelinev1.Language_LANGUAGE_SQL {
			c.found.Error(memberAt, "nest with language: jmespath, or with json_object()", "a map in SQL is flat: each member is an expression")
			continue
		}
		child := &shape{name: m.GetName()}
		parent.members = append(parent.members, child)
		c.mapMembers(b, child, m.GetMembers(), field, memberAt)
	}
}

// parseMap reads the string form.
func (c *compiler) parseMap(m *pipelinev1.Map, at string) ([]*pipelinev1.MapMember, bool) {
	text := strings.TrimSpace(m.GetText())
	if !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}") {
		c.found.Error(at, "write {name: expression, …}", "map expression must be in a json-like format enclosed in { }")
		return nil, false
	}
	if m.GetLanguage() == pipelinev1.Language_LANGUAGE_SQL {
		return c.parseSQLMap(text, at)
	}
	// The language itself judges the whole, its missing commas for instance (A12).
	if c.expression(&pipelinev1.Expression{Language: m.GetLanguage(), Text: text}, at) == nil {
		return nil, false
	}
	var members []*pipelinev1.MapMember
	for _, pair := range pairs(text) {
		name, expr, _ := strings.Cut(pair, ":")
		if strings.HasPrefix(name, `"`) {
			s := splitter{text: pair}
			s.quoted('"', false)
			decoded, err := record.Decode([]byte(pair[:s.at]))
			text, ok := decoded.(string)
			if err != nil || !ok {
				c.found.Error(at, "write the name as a JSON string", "the name %s is not readable", pair[:s.at])
				return nil, false
			}
			name, expr = text, strings.TrimPrefix(strings.TrimSpace(pair[s.at:]), ":")
		}
		members = append(members, &pipelinev1.MapMember{Name: strings.TrimSpace(name), Expression: strings.TrimSpace(expr)})
	}
	return members, true
}

// pairs splits the inside of {…} at its outermost commas.
func pairs(text string) []string {
	s := splitter{text: text[1 : len(text)-1]}
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case s.nest(c, false):
		case c == ',' && s.depth == 0:
			s.cut(1)
		default:
			s.at++
		}
	}
	return append(s.pieces, strings.TrimSpace(s.text[s.start:]))
}

// parseSQLMap reads a JSON object of expressions.
func (c *compiler) parseSQLMap(text, at string) ([]*pipelinev1.MapMember, bool) {
	decoded, err := record.Decode([]byte(text))
	object, ok := decoded.(map[string]any)
	if err != nil || !ok {
		c.found.Error(at, `write name: expression pairs, or a JSON object of strings`, "a map in SQL that is a string must be a JSON object: %v", err)
		return nil, false
	}
	var members []*pipelinev1.MapMember
	for _, name := range record.Names(object) {
		if _, nested := object[name].(map[string]any); nested {
			members = append(members, &pipelinev1.MapMember{Name: name}) // refused where members are compiled
			continue
		}
		members = append(members, &pipelinev1.MapMember{Name: name, Expression: record.Text(object[name])})
	}
	return members, true
}

func (b *mapping) apply(r *expression.Runner, rec *Record) (bool, error) {
	var (
		values   = make([]any, len(b.leaves))
		doubtful []path.Path
		err      error
	)
	if rec.Deleted {
		doubtful, err = b.eachForItself(r, rec, values)
	} else {
		err = r.EvaluateGroup(b.group, rec.Env(b.group.Draws(), b.place), rec.Root, values)
	}
	if err != nil {
		return false, err
	}
	out := b.members.object()
	for i, l := range b.leaves {
		if err := l.at.Set(out, record.Clone(values[i])); err != nil {
			return false, err
		}
	}
	b.replace(rec, out, doubtful)
	return true, nil
}

// eachForItself computes the members on a delete: what fails for want of an operand is null.
func (b *mapping) eachForItself(r *expression.Runner, rec *Record, values []any) (doubtful []path.Path, err error) {
	for i, l := range b.leaves {
		env := rec.Env(l.expression.Draws(), b.place+"."+l.at.String())
		value, err := r.Evaluate(l.expression, env, rec.Root)
		if err != nil {
			if !rec.Null(l.expression.References()) {
				return nil, err
			}
			value = nil // spec 4.1
		}
		if rec.Guess(r, l.expression, env, value) {
			doubtful = append(doubtful, l.at)
		}
		values[i] = value
	}
	return doubtful, nil
}

// replace makes out the record. In full format an object with neither after, opcode nor key is the new after; what a map
// does not mention of key, before and opcode is carried over (spec 4.6).
func (b *mapping) replace(rec *Record, out map[string]any, doubtful []path.Path) {
	if !rec.Full {
		rec.Root, rec.doubtful = out, doubtful
		return
	}
	isRecord := false
	for _, name := range []string{After, Opcode, Key} {
		_, has := out[name]
		isRecord = isRecord || has
	}
	if !isRecord {
		root := maps.Clone(rec.Root)
		root[After] = out
		for i, p := range doubtful {
			doubtful[i] = append(path.Path{After}, p...)
		}
		rec.Root, rec.doubtful = root, doubtful
		return
	}
	for _, name := range []string{Key, Before, Opcode} {
		if _, has := out[name]; !has {
			out[name] = rec.Root[name]
		}
	}
	rec.Root, rec.doubtful = out, doubtful
}

// object makes the empty objects of a map.
func (s *shape) object() map[string]any {
	out := make(map[string]any, len(s.members))
	for _, m := range s.members {
		out[m.name] = m.object()
	}
	return out
}
