package migrate

import (
	"encoding/json"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// jobRules are what job files of other generations need, in the order they are tried.
var jobRules = []rule{pattern, excluded, alone(trigger), alone(strayTrigger), alone(keyspace), format, outputKey, strayKey}

// within are the maps at a path of names; nil where there is none.
func (t *text) within(path ...string) (*mapping, error) {
	m := t.root
	for _, name := range path {
		e, ok := m.find(name)
		if !ok {
			return nil, nil //nolint:nilnil // nothing there to rewrite
		}
		var err error
		if m, err = t.mapping(e.value); m == nil || err != nil {
			return nil, err
		}
	}
	return m, nil
}

// renaming is the rule that a key below a path has another name now, unless both are written.
func renaming(old, now string, path ...string) rule {
	return func(t *text) (string, error) {
		m, err := t.within(path...)
		e, ok := m.find(old)
		if err != nil || !ok || m.has(now) {
			return "", err
		}
		t.rename(e, now)
		return strings.Join(append(path, old), ".") + " is called " + now, nil
	}
}

var (
	pattern  = alone(renaming("pattern", "key_pattern", "source", "keyspace"))
	excluded = alone(renaming("exclude-commands", "exclude_commands", "source", "keyspace"))
)

// alone holds a rule back where redis and keyspace are both written, which is an error that only a person can mend.
func alone(r rule) rule {
	return func(t *text) (string, error) {
		m, err := t.within("source")
		if err != nil || !m.has("keyspace") || m.has("redis") {
			return "", err
		}
		return r(t)
	}
}

// trigger adds the line that makes a job write-behind, which keyspace did not need (A7).
func trigger(t *text) (string, error) {
	m, err := t.within("source", "keyspace")
	if err != nil || m == nil || m.has("trigger") {
		return "", err
	}
	if !t.prepend(m, "trigger: write-behind") {
		return "", errByHand
	}
	return "source.redis gets trigger: write-behind", nil
}

// strayTrigger removes the trigger beside keyspace, where an intermediate draft had it; a comment behind it stays.
func strayTrigger(t *text) (string, error) {
	m, err := t.within("source")
	e, ok := m.find("trigger")
	if err != nil || !ok || !m.has("keyspace") {
		return "", err
	}
	t.drop(m, e)
	return "source.trigger is written below redis", nil
}

// keyspace comes last: everything in it is as it should be.
func keyspace(t *text) (string, error) { return renaming("keyspace", "redis", "source")(t) }

// format writes the word of the newer generation for the records that hold the value alone.
func format(t *text) (string, error) {
	for _, path := range [][]string{{"source"}, {"source", "redis"}} {
		m, err := t.within(path...)
		e, ok := m.find("row_format")
		if err != nil {
			return "", err
		}
		if word, plain := t.plain(e); !ok || !plain || !strings.EqualFold(strings.Trim(word, `"'`), "data_only") {
			continue
		}
		line := t.lines[e.at.line]
		i := e.at.column + len("row_format") + strings.Index(strings.ToLower(line[e.at.column+len("row_format"):]), "data_only")
		t.lines[e.at.line] = line[:i] + "partial" + line[i+len("data_only"):]
		return strings.Join(append(path, "row_format"), ".") + ": data_only is called partial", nil
	}
	return "", nil
}

// keyless are the writers of redis that have neither a key nor a place in another document.
func (t *text) keyless() (found []*mapping, writers int, err error) {
	e, ok := t.root.find("output")
	list, isList := bare(e.value).(*ast.SequenceNode)
	if !ok || !isList {
		return nil, 0, nil
	}
	for _, item := range list.Values {
		m, err := t.mapping(item)
		if err != nil {
			return nil, 0, err
		}
		uses, _ := m.find("uses")
		with, ok := m.find("with")
		if !ok || uses.value == nil || uses.value.GetToken() == nil || uses.value.GetToken().Value != "redis.write" {
			continue
		}
		inner, err := t.mapping(with.value)
		if err != nil {
			return nil, 0, err
		}
		if writers++; inner != nil && !inner.has("key") && !inner.has("nest") {
			found = append(found, inner)
		}
	}
	return found, writers, nil
}

// outputKey writes the key of a job, which once stood at its top, with each writer that has none (spec 4.7).
func outputKey(t *text) (string, error) {
	e, ok := t.root.find("key")
	if !ok || t.root.flow {
		return "", nil
	}
	writers, _, err := t.keyless()
	if err != nil || len(writers) == 0 {
		return "", err
	}
	m, err := t.mapping(e.value)
	if err != nil || m == nil {
		return "", err
	}
	written := strings.TrimSuffix(strings.ReplaceAll(strings.Join(t.lines[e.at.line:t.extent(e)], ""), "\r\n", "\n"), "\n")
	if writers[0].flow && !m.flow || strings.Contains(written, "&") {
		if written, ok = inline(m); !ok {
			return "", errByHand
		}
	} else if writers[0].flow {
		written = "key: " + t.span(m.open, place{m.close.line, m.close.column + 1})
	}
	if !t.prepend(writers[0], written) {
		return "", errByHand
	}
	return "key is written with redis.write", nil
}

// inline is a map of texts on one line.
func inline(m *mapping) (string, bool) {
	parts := make([]string, 0, len(m.entries))
	for _, e := range m.entries {
		s, ok := bare(e.value).(*ast.StringNode)
		if !ok {
			return "", false
		}
		quoted, err := json.Marshal(s.Value)
		if err != nil {
			return "", false
		}
		parts = append(parts, e.name+": "+string(quoted))
	}
	return "key: {" + strings.Join(parts, ", ") + "}", true
}

// strayKey removes the key at the top once all writers have theirs.
func strayKey(t *text) (string, error) {
	e, ok := t.root.find("key")
	if !ok || t.root.flow {
		return "", nil
	}
	without, writers, err := t.keyless()
	if err != nil || writers == 0 || len(without) > 0 {
		return "", err
	}
	t.drop(t.root, e)
	return "key at the top of the job is gone", nil
}

// drop takes an entry out. A comment on a line that goes becomes a line of its own.
func (t *text) drop(m *mapping, e entry) {
	if !e.flow {
		kept := t.comments(e)
		t.lines = append(t.lines[:e.at.line:e.at.line], append(kept, t.lines[t.extent(e):]...)...)
		return
	}
	for i, other := range m.entries {
		switch {
		case other.at != e.at:
		case i+1 < len(m.entries):
			t.cut(e.at, m.entries[i+1].at, "")
			return
		case i > 0:
			from := e.at
			for from.line >= m.open.line {
				if j := strings.LastIndexByte(t.lines[from.line][:from.column], ','); j >= 0 {
					from.column = j
					break
				}
				from.line--
				from.column = len(t.lines[max(from.line, 0)])
			}
			gone := t.span(from, m.close)
			t.cut(from, m.close, gone[len(strings.TrimRight(gone, " \r\n")):])
			return
		default:
			t.cut(e.at, m.close, "")
			return
		}
	}
}

// comments are the comments behind the value of an entry and between its lines, as lines in its column.
func (t *text) comments(e entry) []string {
	var kept []string
	margin := t.lines[e.at.line][:e.at.column]
	if strings.TrimSpace(margin) != "" {
		margin = strings.Repeat(" ", len(margin))
	}
	end := t.extent(e)
	rest := strings.Join(t.lines[:e.at.line], "") + strings.Join(t.lines[end:], "")
	for _, line := range t.lines[e.at.line:end] {
		// A comment that went elsewhere with its entry need not stay.
		if i := comment(line); i >= 0 && !strings.Contains(rest, strings.TrimSpace(line[i:])) {
			kept = append(kept, margin+strings.TrimRight(line[i:], "\r\n")+t.end)
		}
	}
	return kept
}

// comment is where the comment of a line begins; -1 where it has none.
func comment(line string) int {
	quote := byte(0)
	for i := range len(line) {
		switch c := line[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t'):
			return i
		case (c == '"' || c == '\'') && (i == 0 || strings.IndexByte(" \t{[,:-", line[i-1]) >= 0):
			quote = c
		}
	}
	return -1
}
