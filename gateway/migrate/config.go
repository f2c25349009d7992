package migrate

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// configRules are what a config.yaml of another generation needs, in the order they are tried.
var configRules = []rule{
	deeper, targetName, nested, renamingFree("targets", "connections"), renamingFree("processors", "applier"),
	renaming("read_batch_timeout_ms", "duration", "applier"), batch, untyped,
}

// renamingFree is the rule that a key at the top has another name now, where its value is written.
func renamingFree(old, now string) rule {
	return func(t *text) (string, error) {
		if e, ok := t.root.find(old); !ok || empty(e.value) {
			return "", nil
		}
		return renaming(old, now)(t)
	}
}

func empty(node ast.Node) bool {
	switch bare(node).(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
		return true
	default:
		return false
	}
}

func isMap(node ast.Node) bool {
	switch bare(node).(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	default:
		return false
	}
}

// deeper lifts all connections out of the one map that an intermediate generation had around them (spec 2.1).
func deeper(t *text) (string, error) {
	targets, err := t.within("targets")
	if err != nil || targets == nil || t.root.has("connections") || len(targets.entries) != 1 {
		return "", err
	}
	inner, err := t.within("targets", "connection")
	if err != nil || inner == nil || len(inner.entries) == 0 ||
		slices.ContainsFunc(inner.entries, func(e entry) bool { return !isMap(e.value) }) {
		return "", err
	}
	if err := t.lift(targets, targets.entries[0], inner); err != nil {
		return "", err
	}
	return "targets.connection is taken away from around its members", nil
}

// eachTarget calls for every target that has its attributes one level deeper, until one was changed.
func (t *text) eachTarget(change func(name string, target *mapping, connection entry) (string, error)) (string, error) {
	targets, err := t.within("targets")
	if err != nil || targets == nil || t.root.has("connections") {
		return "", err
	}
	for _, e := range targets.entries {
		target, err := t.mapping(e.value)
		if err != nil {
			return "", err
		}
		if connection, ok := target.find("connection"); ok {
			if done, err := change(e.name, target, connection); err != nil || done != "" {
				return done, err
			}
		}
	}
	return "", nil
}

// targetName makes a comment of the name that a target had for people.
func targetName(t *text) (string, error) {
	return t.eachTarget(func(name string, target *mapping, _ entry) (string, error) {
		e, ok := target.find("name")
		if !ok || target.flow {
			return "", nil
		}
		for i := e.at.line; i < t.extent(e); i++ {
			column := min(e.at.column, len(t.lines[i])-len(strings.TrimLeft(t.lines[i], " ")))
			if strings.TrimSpace(t.lines[i][:e.at.column]) != "" {
				return "", errByHand
			}
			t.lines[i] = t.lines[i][:column] + "# " + t.lines[i][column:]
		}
		return "targets." + name + ".name is a comment", nil
	})
}

// nested lifts the attributes of one target.
func nested(t *text) (string, error) {
	return t.eachTarget(func(name string, target *mapping, connection entry) (string, error) {
		inner, err := t.mapping(connection.value)
		if err != nil || inner == nil {
			return "", err
		}
		if err := t.lift(target, connection, inner); err != nil {
			return "", err
		}
		if target.has("name") {
			return "targets." + name + " has its attributes directly below, and no name for people", nil
		}
		return "targets." + name + " has its attributes directly below", nil
	})
}

// lift puts the map inner, the value of the entry e, in the place of the map around it.
func (t *text) lift(outer *mapping, e entry, inner *mapping) error {
	if outer.flow {
		if !inner.flow {
			return errByHand
		}
		written := t.span(inner.open, place{inner.close.line, inner.close.column + 1})
		t.cut(outer.open, place{outer.close.line, outer.close.column + 1}, written)
		return nil
	}
	if strings.TrimSpace(t.lines[e.at.line][:e.at.column]) != "" {
		return errByHand
	}
	if inner.flow {
		from, between := e.at, "" // a map in braces may stand on a line below its key
		if above := strings.TrimRight(t.lines[max(e.at.line-1, 0)], " \r\n"); len(outer.entries) == 1 && strings.HasSuffix(above, ":") && comment(above) < 0 {
			from, between = place{e.at.line - 1, len(above)}, " "
		}
		t.cut(from, inner.open, between)
		return nil
	}
	if len(inner.entries) == 0 || inner.entries[0].at.line == e.at.line {
		return errByHand
	}
	end, by := t.extent(e), inner.entries[0].at.column-e.at.column
	for i := e.at.line + 1; i < end; i++ {
		if blanks := len(t.lines[i]) - len(strings.TrimLeft(t.lines[i], " ")); blanks >= by {
			t.lines[i] = t.lines[i][by:]
		}
	}
	first := t.lines[e.at.line]
	kept := []string(nil)
	if i := comment(first); i >= 0 {
		kept = []string{first[:e.at.column] + first[i:]}
	}
	t.lines = append(t.lines[:e.at.line:e.at.line], append(kept, t.lines[e.at.line+1:]...)...)
	return nil
}

// batch writes the two sizes that the old name set both.
func batch(t *text) (string, error) {
	m, err := t.within("applier")
	e, ok := m.find("batch")
	if err != nil || !ok || empty(e.value) {
		return "", err
	}
	const sizes = "read_batch_size and write_batch_size"
	switch read, write := m.has("read_batch_size"), m.has("write_batch_size"); {
	case read && write:
		t.drop(m, e)
		return "applier.batch is gone: " + sizes + " say it", nil
	case read:
		t.rename(e, "write_batch_size")
	case write:
		t.rename(e, "read_batch_size")
	default:
		value, ok := t.plain(e)
		if !ok {
			return "", errByHand
		}
		if !m.flow {
			margin := t.lines[e.at.line][:e.at.column]
			if strings.TrimSpace(margin) != "" || t.extent(e) != e.at.line+1 {
				return "", errByHand
			}
			if !strings.HasSuffix(t.lines[e.at.line], "\n") {
				t.lines[e.at.line] += t.end
			}
			t.rename(e, "read_batch_size")
			t.insert(e.at.line+1, []string{margin + "write_batch_size: " + value + t.end})
			return "applier.batch is written as " + sizes, nil
		}
		t.rename(e, "read_batch_size")
		line := t.lines[e.at.line]
		t.lines[e.at.line] = line[:e.at.column] + "write_batch_size: " + value + ", " + line[e.at.column:]
	}
	return "applier.batch is written as " + sizes, nil
}

// untyped writes the type that the connection called target did not need.
func untyped(t *text) (string, error) {
	m, err := t.within("connections", "target")
	if err != nil || m == nil || m.has("type") || len(m.entries) == 0 {
		return "", err
	}
	if !t.prepend(m, "type: redis") {
		return "", errByHand
	}
	return "connections.target gets type: redis", nil
}
