package mysql

import (
	"context"
	"regexp"
	"strings"
)

// nameTable is what to do about an output that names a view.
const nameTable = "name the table behind it"

// source is where a view reads from, as the server rewrites its definition: a database and a table, nothing joined.
var source = regexp.MustCompile("(?i) from `((?:[^`]|``)+)`\\.`((?:[^`]|``)+)`(?: `(?:[^`]|``)+`)?(?: where | order by |$)")

// nameBehind is the fix for a view, with the table that it reads where it reads one alone and the account is shown its
// definition (SHOW VIEW).
func (l *link) nameBehind(ctx context.Context, r *relation) (string, error) {
	definitions, err := l.texts(ctx, "SELECT VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA = "+literal(r.schema)+
		" AND TABLE_NAME = "+literal(r.name))
	if err != nil || len(definitions) != 1 {
		return nameTable, err
	}
	schema, table, one := readBehind(definitions[0])
	if !one {
		return nameTable, nil
	}
	base := relation{schema: schema, name: table, byDefault: r.byDefault && schema == r.schema}
	return nameTable + ": " + base.label(), nil
}

// readBehind finds the one table in a view's definition.
func readBehind(definition string) (schema, table string, one bool) {
	if lower := strings.ToLower(definition); strings.Count(lower, " from ") != 1 || strings.Contains(lower, " join ") {
		return "", "", false
	}
	found := source.FindStringSubmatch(definition)
	if found == nil {
		return "", "", false
	}
	plain := strings.NewReplacer("``", "`")
	return plain.Replace(found[1]), plain.Replace(found[2]), true
}
