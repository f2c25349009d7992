package oracle

import (
	"context"
	"database/sql"
	"errors"
	"strings"
)

// relation is a table as the catalogue describes it now.
type relation struct {
	owner, name string
	kind        string // of ALL_OBJECTS
	byDefault   bool   // it is in the schema that names without one mean
	columns     []column
	unique      [][]string // columns of each unique index
	granted     map[string]bool
}

// column is a column of the catalogue.
type column struct {
	name       string
	typ        typeRow
	notNull    bool
	hasDefault bool
	generated  bool // the server computes it from other columns
	identity   bool
	always     bool // an identity that refuses values
}

// quoted is the table's name as SQL.
func (r *relation) quoted() string { return quote(r.owner) + "." + quote(r.name) }

// label is the table's name in messages, and what tells it from others.
func (r *relation) label() string {
	if r.byDefault {
		return r.name
	}
	return r.owner + "." + r.name
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

// hasUnique tells whether there is a unique index on exactly these columns.
func (r *relation) hasUnique(columns []string) bool {
	for _, index := range r.unique {
		if len(index) == len(columns) && subset(index, columns) {
			return true
		}
	}
	return false
}

func subset(a, b []string) bool {
	for _, x := range a {
		found := false
		for _, y := range b {
			found = found || x == y
		}
		if !found {
			return false
		}
	}
	return true
}

// Names are looked for in one schema; the exact spelling first, then without case. A materialized view is a table as well.
const findRelation = `SELECT owner, object_name, object_type, CASE WHEN owner = SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA') THEN 1 ELSE 0 END
FROM all_objects WHERE UPPER(object_name) = UPPER(:1) AND object_type IN ('TABLE', 'VIEW', 'MATERIALIZED VIEW', 'SYNONYM')
  AND UPPER(owner) = UPPER(NVL(:2, SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA')))
ORDER BY CASE WHEN object_name = :3 THEN 0 ELSE 1 END, CASE WHEN owner = :4 THEN 0 ELSE 1 END,
  CASE object_type WHEN 'MATERIALIZED VIEW' THEN 0 WHEN 'TABLE' THEN 1 ELSE 2 END
FETCH FIRST 1 ROW ONLY`

const readColumns = `SELECT c.column_name, c.data_type, NVL(c.data_type_owner, ' '), c.data_length, c.data_precision, c.data_scale, NVL(c.char_length, 0),
  NVL(c.char_used, ' '), c.nullable, NVL(c.default_length, 0), c.virtual_column, NVL(i.generation_type, ' ')
FROM all_tab_cols c LEFT JOIN all_tab_identity_cols i ON i.owner = c.owner AND i.table_name = c.table_name AND i.column_name = c.column_name
WHERE c.owner = :1 AND c.table_name = :2 AND c.hidden_column = 'NO' AND c.user_generated = 'YES'
ORDER BY c.column_id`

const readUnique = `SELECT i.index_name, c.column_name FROM all_indexes i
JOIN all_ind_columns c ON c.index_owner = i.owner AND c.index_name = i.index_name
WHERE i.table_owner = :1 AND i.table_name = :2 AND i.uniqueness = 'UNIQUE' AND i.funcidx_status IS NULL
ORDER BY i.index_name, c.column_position`

// What the account may do: as the owner everything, else what was granted to it, its roles or everybody, or for any table.
const readGrants = `SELECT privilege FROM all_tab_privs WHERE table_schema = :1 AND table_name = :2
UNION SELECT REPLACE(privilege, ' ANY TABLE') FROM session_privs WHERE privilege IN ('SELECT ANY TABLE', 'INSERT ANY TABLE', 'UPDATE ANY TABLE', 'DELETE ANY TABLE')
UNION SELECT x.word FROM (SELECT 'SELECT' word FROM dual UNION SELECT 'INSERT' FROM dual UNION SELECT 'UPDATE' FROM dual UNION SELECT 'DELETE' FROM dual) x
  WHERE SYS_CONTEXT('USERENV', 'SESSION_USER') = :3`

// errNoRelation says that the catalogue has no such table.
var errNoRelation = errors.New("the table does not exist")

// querier is a pool, a connection of it, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// each runs a query and scans every row.
func each(ctx context.Context, q querier, scan func(rows *sql.Rows) error, text string, args ...any) (err error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// optional is a text that is NULL where it is empty.
func optional(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }

// readRelation reads a table from the catalogue.
func readRelation(ctx context.Context, q querier, schema, table string) (*relation, error) {
	var r *relation
	err := each(ctx, q, func(rows *sql.Rows) error {
		var byDefault int
		r = &relation{granted: map[string]bool{}}
		err := rows.Scan(&r.owner, &r.name, &r.kind, &byDefault)
		r.byDefault = byDefault == 1
		return err
	}, findRelation, table, optional(schema), table, optional(schema))
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, errNoRelation
	}
	err = each(ctx, q, func(rows *sql.Rows) error {
		var c column
		var owner, used, nullable, virtual, generation string
		var precision, scale sql.NullInt64
		var defaultLength int
		if err := rows.Scan(&c.name, &c.typ.name, &owner, &c.typ.length, &precision, &scale, &c.typ.characters, &used, &nullable,
			&defaultLength, &virtual, &generation); err != nil {
			return err
		}
		c.typ.owner, c.typ.used = strings.TrimSpace(owner), strings.TrimSpace(used)
		c.typ.precision, c.typ.hasPrecision = int(precision.Int64), precision.Valid
		c.typ.scale, c.typ.hasScale = int(scale.Int64), scale.Valid
		c.notNull, c.generated = nullable == "N", virtual == "YES"
		c.identity, c.always = strings.TrimSpace(generation) != "", generation == "ALWAYS"
		c.hasDefault = defaultLength > 0 && !c.generated
		r.columns = append(r.columns, c)
		return nil
	}, readColumns, r.owner, r.name)
	if err != nil {
		return nil, err
	}
	last := ""
	err = each(ctx, q, func(rows *sql.Rows) error {
		var index, name string
		if err := rows.Scan(&index, &name); err != nil {
			return err
		}
		if index != last {
			r.unique, last = append(r.unique, nil), index
		}
		r.unique[len(r.unique)-1] = append(r.unique[len(r.unique)-1], name)
		return nil
	}, readUnique, r.owner, r.name)
	if err != nil {
		return nil, err
	}
	return r, each(ctx, q, func(rows *sql.Rows) error {
		var word string
		err := rows.Scan(&word)
		r.granted[word] = true
		return err
	}, readGrants, r.owner, r.name, r.owner)
}
