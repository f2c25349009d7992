package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"slipstream/applier"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// description is what the catalogue says about a table.
type description struct {
	name    string // as the catalogue spells it; as asked for where there is none
	exists  bool
	view    bool
	behind  string // the table that a view reads, where it reads one alone
	columns []columnInfo
	uniques [][]string // the columns of each unique index that covers all rows, in lower case
}

type columnInfo struct {
	name       string
	declared   string
	nullable   bool
	hasDefault bool
	generated  bool
	unique     bool // it is in a unique index
	referred   bool // another table may refer to it
}

// describe reads the catalogue. Names are matched without case, as SQLite does itself.
func (h *handle) describe(ctx context.Context, table string) (*description, error) {
	d := &description{name: table}
	err := h.query(ctx, func(v []driver.Value) error {
		d.exists, d.name, d.view = true, text(v[0]), text(v[1]) == "view"
		return nil
	}, `SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE`, table)
	if err != nil || !d.exists {
		return d, err
	}
	if d.view {
		d.behind = h.behind(ctx, d.name)
		return d, nil
	}
	var key []string
	rowid := true
	err = h.query(ctx, func(v []driver.Value) error {
		c := columnInfo{
			name: text(v[0]), declared: text(v[1]), nullable: v[2] == int64(0),
			hasDefault: v[3] != nil, generated: v[5] == int64(2) || v[5] == int64(3),
		}
		if v[4] != int64(0) {
			key = append(key, strings.ToLower(c.name))
			rowid = rowid && strings.EqualFold(c.declared, "INTEGER")
		}
		d.columns = append(d.columns, c)
		return nil
	}, `SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?) WHERE hidden <> 1`, d.name)
	if err != nil {
		return nil, err
	}
	if len(key) == 1 && rowid { // INTEGER PRIMARY KEY is the rowid and has no index; NULL gets a number
		d.uniques = append(d.uniques, key)
	}
	index := map[string]int{}
	err = h.query(ctx, func(v []driver.Value) error {
		at, known := index[text(v[0])]
		if !known {
			at = len(d.uniques)
			index[text(v[0])] = at
			d.uniques = append(d.uniques, nil)
		}
		d.uniques[at] = append(d.uniques[at], strings.ToLower(text(v[1])))
		return nil
	}, `SELECT l.name, coalesce(i.name, '') FROM pragma_index_list(?) AS l, pragma_index_info(l.name) AS i
		WHERE l."unique" AND NOT l.partial ORDER BY l.seq, i.seqno`, d.name)
	if err != nil {
		return nil, err
	}
	return d, h.findUnique(ctx, d)
}

// findUnique marks the columns of unique indexes, partial ones too, and those that foreign keys of other tables name. One
// that names no column refers to the primary key.
func (h *handle) findUnique(ctx context.Context, d *description) error {
	err := h.query(ctx, func(v []driver.Value) error {
		if c := d.column(text(v[0])); c != nil {
			c.unique = true
		}
		return nil
	}, `SELECT DISTINCT i.name FROM pragma_index_list(?) AS l, pragma_index_info(l.name) AS i WHERE l."unique" AND i.name IS NOT NULL`, d.name)
	if err != nil {
		return err
	}
	return h.query(ctx, func(v []driver.Value) error {
		if c := d.column(text(v[0])); c != nil {
			c.referred = true
		}
		return nil
	}, `SELECT DISTINCT f."to" FROM main.sqlite_schema AS s, pragma_foreign_key_list(s.name) AS f
		WHERE s.type = 'table' AND f."table" = ? COLLATE NOCASE AND f."to" IS NOT NULL`, d.name)
}

// text is a value of the catalogue as a string; NULL is empty.
func text(v driver.Value) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case nil:
		return ""
	default:
		return fmt.Sprint(v)
	}
}

// column finds a column by name, without case.
func (d *description) column(name string) *columnInfo {
	for i := range d.columns {
		if strings.EqualFold(d.columns[i].name, name) {
			return &d.columns[i]
		}
	}
	return nil
}

// unique tells whether a unique index or the primary key covers exactly these columns, in any order.
func (d *description) unique(keys []string) bool {
	for _, u := range d.uniques {
		if len(u) != len(keys) {
			continue
		}
		all := true
		for _, k := range keys {
			all = all && slices.Contains(u, strings.ToLower(k))
		}
		if all {
			return true
		}
	}
	return false
}

// finding is something that does not fit between an output and the catalogue.
type finding struct {
	severity pipelinev1.Severity
	path     string // of the column; empty: of the output
	message  string
	fix      string
}

// compare lists what is wrong between an output and its table, everything at once (spec 3.7).
func (d *description) compare(w *pipelinev1.RelationalWrite) []finding {
	const wrong = pipelinev1.Severity_SEVERITY_ERROR
	var found []finding
	if s := w.GetSchema(); s != "" && !strings.EqualFold(s, "main") {
		found = append(found, finding{
			severity: pipelinev1.Severity_SEVERITY_WARNING,
			message:  fmt.Sprintf("SQLite has no schemas: schema %q is ignored, the table is %s", s, d.name),
			fix:      "nothing to do, or remove schema",
		})
	}
	keys := keyNames(w)
	switch {
	case len(keys) == 0 && w.GetLoadStrategy() != pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND:
		return append(found, finding{severity: wrong, message: "the output has no keys", fix: "list the columns of the business key in keys"})
	case !d.exists:
		return append(found, finding{severity: wrong, message: fmt.Sprintf("table %s does not exist", d.name), fix: createTable(w)})
	case d.view:
		return append(found, finding{severity: wrong, message: fmt.Sprintf("%s is a view; rows can only be written to a table", d.name), fix: d.nameBehind()})
	}
	missing := false
	for _, c := range w.GetColumns() {
		info := d.column(c.GetColumn())
		switch {
		case info == nil:
			missing = missing || c.GetKey()
			found = append(found, finding{
				severity: wrong, path: c.GetPath(),
				message: fmt.Sprintf("%s column does not exist in %s table", c.GetColumn(), d.name),
				fix:     fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s TEXT;", quote(d.name), quote(c.GetColumn())),
			})
		case info.generated:
			found = append(found, finding{
				severity: wrong, path: c.GetPath(),
				message: fmt.Sprintf("column %s of table %s is generated", info.name, d.name),
				fix:     "remove it from mapping and keys",
			})
		}
	}
	found = append(found, d.compareHistory(w)...)
	if mirrors(w) && !missing && !d.unique(keys) {
		found = append(found, finding{
			severity: wrong,
			message:  fmt.Sprintf("table %s has no primary key or unique index on exactly the keys (%s)", d.name, strings.Join(keys, ", ")),
			fix:      fmt.Sprintf("CREATE UNIQUE INDEX %s ON %s (%s);", quote(d.name+"_keys"), quote(d.name), quoted(keys)),
		})
	}
	return found
}

// bind makes the table of an output that fits.
func (d *description) bind(w *pipelinev1.RelationalWrite) *applier.Table {
	t := &applier.Table{Name: d.name, Native: historyOf(w)}
	for i, c := range w.GetColumns() {
		info := d.column(c.GetColumn())
		t.Columns = append(t.Columns, applier.TableColumn{
			Name: info.name, Type: typeOf(info.declared, info.name), Key: c.GetKey(),
			Unique: info.unique && !c.GetKey(), Nulls: info.nullable && !info.referred,
		})
		if c.GetKey() {
			t.Keys = append(t.Keys, i)
			if c.GetParent() {
				t.Parents = append(t.Parents, i)
			}
		}
	}
	return t
}

func keyNames(w *pipelinev1.RelationalWrite) []string {
	var keys []string
	for _, c := range w.GetColumns() {
		if c.GetKey() {
			keys = append(keys, c.GetColumn())
		}
	}
	return keys
}

// quote makes any name an identifier.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quoted(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = quote(n)
	}
	return strings.Join(q, ", ")
}
