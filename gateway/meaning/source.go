package meaning

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// repaired is what is said of changes after which the lanes read all keys again by themselves (design D4).
const repaired = "its keys are read again by themselves, as for a gap"

// source compares which keys belong to the job and what is cut out of them. What becomes of removals, flushes and an
// initial load concerns no row that is there.
func (c *comparison) source() {
	a, b := c.old.GetSource(), c.new.GetSource()
	switch {
	case a.GetStream() != b.GetStream():
		c.tell("source.redis.stream", arrow("the stream", or(a.GetStream(), "recorded"), or(b.GetStream(), "recorded"))+": "+repaired, "")
	case a.GetDatabase() != b.GetDatabase():
		c.tell("source.redis.database", arrow("the logical database", fmt.Sprint(a.GetDatabase()), fmt.Sprint(b.GetDatabase()))+": "+repaired,
			fmt.Sprintf("rows of keys of database %d", a.GetDatabase()))
	}
	if a.GetKeyPattern() != b.GetKeyPattern() {
		c.pattern(a.GetKeyPattern(), b.GetKeyPattern())
	}
	c.types(a.GetTypes(), b.GetTypes())
	if !proto.Equal(a.GetKeys(), b.GetKeys()) {
		c.stale("source.keys", arrow("the fields cut out of the key", keyFields(a.GetKeys()), keyFields(b.GetKeys())),
			"rows under key columns that a key no longer has, where the target keeps no row index")
	}
	var allowed []string
	for _, command := range a.GetExcludeCommands() {
		if !slices.Contains(b.GetExcludeCommands(), command) {
			allowed = append(allowed, command)
		}
	}
	if len(allowed) > 0 {
		c.stale("source.redis.exclude_commands", "changes by "+strings.Join(allowed, ", ")+
			" are no longer left out: rows lack those that were", "rows of keys that such a change removed")
	}
	if x, y := slices.Sorted(slices.Values(a.GetBinaryFields())), slices.Sorted(slices.Values(b.GetBinaryFields())); !slices.Equal(x, y) {
		c.stale("source.redis.binary_fields", arrow("binary_fields", list(x), list(y)), "")
	}
}

// pattern compares key patterns. The streams of a recorded job begin anew with another one, which is a gap and repaired;
// where the application writes the stream the pattern only chooses among its entries.
func (c *comparison) pattern(a, b string) {
	message, stays := arrow("key_pattern", or(a, "every key"), or(b, "every key")), "rows of keys that no longer match"
	if widens(a, b) {
		stays = ""
	}
	switch {
	case c.new.GetSource().GetStream() == "":
		c.tell("source.redis.key_pattern", message+": "+repaired, stays)
	case widens(b, a):
		c.tell("source.redis.key_pattern", message, stays)
	default:
		c.stale("source.redis.key_pattern", message, stays)
	}
}

// widens says whether a pattern surely matches all that another one does: it is a plain text and a star, and the other
// begins with that text.
func widens(from, to string) bool {
	if to == "" || from == to {
		return true
	}
	text, starred := strings.CutSuffix(to, "*")
	if !starred || special(text) < len(text) {
		return false
	}
	return strings.HasPrefix(from[:special(from)], text)
}

// special is where the first character of a glob stands that is not itself; the length where there is none.
func special(glob string) int {
	if i := strings.IndexAny(glob, `*?[\`); i >= 0 {
		return i
	}
	return len(glob)
}

func (c *comparison) types(a, b []string) {
	all := []string{"hash", "json"}
	if len(a) == 0 {
		a = all
	}
	if len(b) == 0 {
		b = all
	}
	has := func(in []string) func(string) bool { return func(s string) bool { return slices.Contains(in, s) } }
	more := slices.ContainsFunc(b, func(s string) bool { return !has(a)(s) })
	less := slices.ContainsFunc(a, func(s string) bool { return !has(b)(s) })
	stays := ""
	if less {
		stays = "rows of keys of the other type"
	}
	message := arrow("types", list(a), list(b))
	switch {
	case more:
		c.stale("source.redis.types", message, stays)
	case less:
		c.tell("source.redis.types", message, stays)
	}
}

func keyFields(k *pipelinev1.KeyFields) string {
	if k == nil {
		return "none"
	}
	var fields []string
	for name, at := range k.GetFields() {
		fields = append(fields, fmt.Sprintf("%s: %d", name, at))
	}
	slices.Sort(fields)
	by := fmt.Sprintf("by %q", k.GetDelimiter())
	if k.GetExpression() != "" {
		by = "by " + quoted(k.GetExpression())
	}
	return list(fields) + " " + by
}
