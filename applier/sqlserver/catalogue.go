package sqlserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// relation is a table as the catalogue describes it now.
type relation struct {
	schema, name string
	view         bool
	byDefault    bool // it is in the schema that names without one mean
	columns      []column
	unique       []index
	foreign      bool     // a foreign key leads from it or to it
	checks       []string // names of its CHECK constraints
	instead      bool     // a trigger takes the place of inserts, updates or deletes
	grants       grants
}

// index is a unique index over all rows.
type index struct {
	name    string
	columns []string
	drops   bool // rows that it has already are left out without an error
}

// grants are what the account may do with a table.
type grants struct{ selects, inserts, updates, deletes, alters bool }

// column is a column of the catalogue.
type column struct {
	name       string
	typ        typeRow
	notNull    bool
	hasDefault bool
	identity   bool
	computed   bool
	always     bool // the server fills it in: rowversion, columns of a period
}

// quoted is the table's name as SQL.
func (r *relation) quoted() string { return quote(r.schema) + "." + quote(r.name) }

// label is the table's name in messages, and what tells it from others.
func (r *relation) label() string {
	if r.byDefault {
		return r.name
	}
	return r.schema + "." + r.name
}

// find returns the column of a name: the same spelling first, else the only one equal without case.
func (r *relation) find(name string) (int, bool) {
	found, matches := 0, 0
	for i := range r.columns {
		if r.columns[i].name == name {
			return i, true
		}
		if strings.EqualFold(r.columns[i].name, name) {
			found = i
			matches++
		}
	}
	return found, matches == 1
}

// lacks lists the names that no column has.
func (r *relation) lacks(names []string) (missing []string) {
	for _, name := range names {
		if _, ok := r.find(name); !ok {
			missing = append(missing, name)
		}
	}
	return missing
}

// hasUnique tells whether a unique index has exactly these columns.
func (r *relation) hasUnique(columns []string) bool {
	return slices.ContainsFunc(r.unique, func(x index) bool {
		return len(x.columns) == len(columns) && subset(x.columns, columns)
	})
}

func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(x string) bool { return !slices.Contains(b, x) })
}

// querier is a connection of the pool.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// each runs a query and hands each row to take, which scans it.
func each(ctx context.Context, q querier, take func(scan func(...any) error) error, query string, args ...any) error {
	if err := scanned(ctx, q, take, query, args...); err != nil {
		return numbered(ctx, q, err) // the rows are closed: the connection can be asked
	}
	return nil
}

func scanned(ctx context.Context, q querier, take func(scan func(...any) error) error, query string, args ...any) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := take(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Names are compared without case, whatever the catalogue's collation does. Where no schema is named the account's own
// comes first and then dbo, as the server looks for names.
const findRelation = `SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, SCHEMA_NAME() FROM INFORMATION_SCHEMA.TABLES
WHERE LOWER(TABLE_NAME) = LOWER(@p1) AND (@p2 = N'' OR LOWER(TABLE_SCHEMA) = LOWER(@p2))`

const readColumns = `SELECT COLUMN_NAME, DATA_TYPE, IS_NULLABLE, CASE WHEN COLUMN_DEFAULT IS NULL THEN 0 ELSE 1 END,
  COALESCE(CHARACTER_MAXIMUM_LENGTH, 0), COALESCE(NUMERIC_PRECISION, 0), COALESCE(NUMERIC_SCALE, 0), COALESCE(DATETIME_PRECISION, 0),
  COALESCE(COLLATION_NAME, N'')
FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = @p1 AND TABLE_NAME = @p2 ORDER BY ORDINAL_POSITION`

// What only the server's own views tell, in the order of preference: a server that does not have the one has the other.
var (
	readGenerated = []string{
		`SELECT c.name, c.is_identity, c.is_computed, CASE WHEN c.default_object_id = 0 THEN 0 ELSE 1 END, c.generated_always_type
FROM sys.columns AS c WHERE c.object_id = OBJECT_ID(@p1)`,
		`SELECT c.name, c.is_identity, c.is_computed, CASE WHEN c.default_object_id = 0 THEN 0 ELSE 1 END, 0
FROM sys.columns AS c WHERE c.object_id = OBJECT_ID(@p1)`,
		`SELECT COLUMN_NAME, COALESCE(COLUMNPROPERTY(OBJECT_ID(@p1), COLUMN_NAME, 'IsIdentity'), 0),
  COALESCE(COLUMNPROPERTY(OBJECT_ID(@p1), COLUMN_NAME, 'IsComputed'), 0), 0, 0
FROM INFORMATION_SCHEMA.COLUMNS WHERE OBJECT_ID(QUOTENAME(TABLE_SCHEMA) + N'.' + QUOTENAME(TABLE_NAME)) = OBJECT_ID(@p1)`,
	}
	readUnique = []string{
		`SELECT i.name, c.name, i.ignore_dup_key FROM sys.indexes AS i
JOIN sys.index_columns AS k ON k.object_id = i.object_id AND k.index_id = i.index_id
JOIN sys.columns AS c ON c.object_id = k.object_id AND c.column_id = k.column_id
WHERE i.object_id = OBJECT_ID(@p1) AND i.is_unique = 1 AND i.has_filter = 0 AND i.is_disabled = 0 AND k.is_included_column = 0
ORDER BY i.index_id, k.key_ordinal`,
		`SELECT k.CONSTRAINT_NAME, k.COLUMN_NAME, 0 FROM INFORMATION_SCHEMA.TABLE_CONSTRAINTS AS t
JOIN INFORMATION_SCHEMA.KEY_COLUMN_USAGE AS k ON k.CONSTRAINT_SCHEMA = t.CONSTRAINT_SCHEMA AND k.CONSTRAINT_NAME = t.CONSTRAINT_NAME
WHERE t.CONSTRAINT_TYPE IN ('PRIMARY KEY', 'UNIQUE') AND LOWER(QUOTENAME(t.TABLE_SCHEMA) + N'.' + QUOTENAME(t.TABLE_NAME)) = LOWER(@p1)
  AND k.TABLE_NAME = t.TABLE_NAME ORDER BY k.CONSTRAINT_NAME, k.ORDINAL_POSITION`,
	}
	readForeign = []string{
		`SELECT COUNT(*) FROM sys.foreign_keys AS f WHERE f.parent_object_id = OBJECT_ID(@p1) OR f.referenced_object_id = OBJECT_ID(@p1)`,
		`SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLE_CONSTRAINTS WHERE CONSTRAINT_TYPE = 'FOREIGN KEY'`,
	}
	readChecks = []string{
		`SELECT k.name FROM sys.check_constraints AS k WHERE k.parent_object_id = OBJECT_ID(@p1)`,
		`SELECT CONSTRAINT_NAME FROM INFORMATION_SCHEMA.TABLE_CONSTRAINTS
WHERE CONSTRAINT_TYPE = 'CHECK' AND LOWER(QUOTENAME(TABLE_SCHEMA) + N'.' + QUOTENAME(TABLE_NAME)) = LOWER(@p1)`,
	}
	readInstead = []string{
		`SELECT COUNT(*) FROM sys.triggers AS g WHERE g.parent_id = OBJECT_ID(@p1) AND g.is_instead_of_trigger = 1 AND g.is_disabled = 0`,
	}
	readGrants = []string{
		`SELECT HAS_PERMS_BY_NAME(@p1, 'OBJECT', 'SELECT'), HAS_PERMS_BY_NAME(@p1, 'OBJECT', 'INSERT'),
  HAS_PERMS_BY_NAME(@p1, 'OBJECT', 'UPDATE'), HAS_PERMS_BY_NAME(@p1, 'OBJECT', 'DELETE'), HAS_PERMS_BY_NAME(@p1, 'OBJECT', 'ALTER')`,
	}
	readCodePage = []string{`SELECT COALESCE(CAST(COLLATIONPROPERTY(@p1, 'CodePage') AS int), 0)`}
)

// either runs the first of some queries that the server can answer. Where none can, nothing is known, which is no error;
// a lost connection is.
func either(ctx context.Context, q querier, take func(scan func(...any) error) error, queries []string, args ...any) (known bool, err error) {
	for _, query := range queries {
		err := each(ctx, q, take, query, args...)
		if err == nil {
			return true, nil
		}
		if number(err) == 0 {
			return false, err
		}
	}
	return false, nil
}

// errNoRelation says that the catalogue has no such table.
var errNoRelation = errors.New("the table does not exist")

// readRelation reads a table from the catalogue.
func readRelation(ctx context.Context, q querier, f *facts, schema, table string) (*relation, error) {
	r, err := lookUp(ctx, q, schema, table)
	if err != nil {
		return nil, err
	}
	err = each(ctx, q, func(scan func(...any) error) error {
		var c column
		var nullable string
		if err := scan(&c.name, &c.typ.name, &nullable, &c.hasDefault, &c.typ.length, &c.typ.precision, &c.typ.scale, &c.typ.fraction,
			&c.typ.collation); err != nil {
			return err
		}
		c.typ.name, c.notNull = strings.ToLower(c.typ.name), nullable == "NO"
		c.always = c.typ.name == "timestamp" || c.typ.name == "rowversion"
		r.columns = append(r.columns, c)
		return nil
	}, readColumns, r.schema, r.name)
	if err != nil {
		return nil, err
	}
	for i := range r.columns {
		if t := &r.columns[i].typ; t.collation != "" {
			if t.codePage, err = f.codePage(ctx, q, t.collation); err != nil {
				return nil, err
			}
			t.explicit = !strings.EqualFold(t.collation, f.collation)
		}
	}
	return r, r.readDetails(ctx, q)
}

// lookUp finds the table that a name means.
func lookUp(ctx context.Context, q querier, schema, table string) (*relation, error) {
	var best *relation
	rank := -1
	err := each(ctx, q, func(scan func(...any) error) error {
		var r relation
		var kind, own string
		if err := scan(&r.schema, &r.name, &kind, &own); err != nil {
			return err
		}
		r.view, r.byDefault = strings.TrimSpace(kind) == "VIEW", strings.EqualFold(r.schema, own)
		n := 0
		switch {
		case schema == "" && r.byDefault:
			n = 4
		case schema == "" && strings.EqualFold(r.schema, "dbo"):
			n = 2
		case schema == "":
			return nil // a name without a schema does not mean it
		case schema == r.schema:
			n = 2
		}
		if r.name == table {
			n++
		}
		if n > rank {
			best, rank = &r, n
		}
		return nil
	}, findRelation, table, schema)
	if err == nil && best == nil {
		err = errNoRelation
	}
	return best, err
}

// readDetails reads what the server's own views tell.
func (r *relation) readDetails(ctx context.Context, q querier) error {
	name := r.quoted()
	_, err := either(ctx, q, func(scan func(...any) error) error {
		var column string
		var identity, computed, hasDefault bool
		var always int
		if err := scan(&column, &identity, &computed, &hasDefault, &always); err != nil {
			return err
		}
		if at, ok := r.find(column); ok {
			c := &r.columns[at]
			c.identity, c.computed = identity, computed
			c.hasDefault, c.always = c.hasDefault || hasDefault, c.always || always != 0
		}
		return nil
	}, readGenerated, name)
	if err != nil {
		return err
	}
	unique := func(scan func(...any) error) error {
		var name, column string
		var drops bool
		if err := scan(&name, &column, &drops); err != nil {
			return err
		}
		if at, ok := r.find(column); ok {
			column = r.columns[at].name // the views do not agree on case everywhere
		}
		if n := len(r.unique); n > 0 && r.unique[n-1].name == name {
			r.unique[n-1].columns = append(r.unique[n-1].columns, column)
			return nil
		}
		r.unique = append(r.unique, index{name: name, columns: []string{column}, drops: drops})
		return nil
	}
	if _, err := either(ctx, q, unique, readUnique, name); err != nil {
		return err
	}
	if len(r.unique) == 0 { // the view may exist and be empty
		if _, err := either(ctx, q, unique, readUnique[1:], name); err != nil {
			return err
		}
	}
	count := func(to *bool) func(scan func(...any) error) error {
		return func(scan func(...any) error) error {
			var n int
			err := scan(&n)
			*to = n > 0
			return err
		}
	}
	known, err := either(ctx, q, count(&r.foreign), readForeign, name)
	if err != nil {
		return err
	}
	r.foreign = r.foreign || !known
	if _, err := either(ctx, q, func(scan func(...any) error) error {
		var check string
		err := scan(&check)
		r.checks = append(r.checks, check)
		return err
	}, readChecks, name); err != nil {
		return err
	}
	if _, err := either(ctx, q, count(&r.instead), readInstead, name); err != nil {
		return err
	}
	return r.readGrants(ctx, q)
}

// readGrants asks what the account may do. What the server does not say is taken to be allowed: the write will tell.
func (r *relation) readGrants(ctx context.Context, q querier) error {
	var may [5]sql.NullBool
	known, err := either(ctx, q, func(scan func(...any) error) error {
		return scan(&may[0], &may[1], &may[2], &may[3], &may[4])
	}, readGrants, r.quoted())
	granted := func(b sql.NullBool) bool { return !known || !b.Valid || b.Bool }
	r.grants = grants{granted(may[0]), granted(may[1]), granted(may[2]), granted(may[3]), granted(may[4])}
	return err
}

// columnNames lists the columns for a message.
func (r *relation) columnNames() string {
	var names []string
	for i := range r.columns {
		names = append(names, r.columns[i].name)
	}
	return strings.Join(names, ", ")
}

// refersByCheck tells whether an error names one of the table's CHECK constraints: 547 is the number of those and of
// foreign keys alike, and the constraint's name is the only part of it that says which.
func (r *relation) refersByCheck(message string) bool {
	return slices.ContainsFunc(r.checks, func(name string) bool {
		return strings.Contains(strings.ToLower(message), strings.ToLower(fmt.Sprintf("%q", name)))
	})
}
