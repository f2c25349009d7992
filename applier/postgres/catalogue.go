package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
)

// relation is a table as the catalogue describes it now.
type relation struct {
	schema, name string
	kind         string // pg_class.relkind
	byDefault    bool   // it is in the schema that names without one mean
	columns      []column
	unique       [][]string // columns of each index that ON CONFLICT can use
	grants       grants
}

// grants are what the account may do with a table.
type grants struct{ usage, selects, inserts, updates, deletes bool }

// column is a column of the catalogue.
type column struct {
	name       string
	shown      string // its type as the catalogue displays it
	typ        typeRow
	notNull    bool
	hasDefault bool
	generated  bool // the server computes it from other columns
	identity   bool
	always     bool // an identity that refuses values
	unique     bool // it is in a unique index
	nulls      bool // which takes any number of NULLs, and nothing refers to it
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

// hasUnique tells whether an index on exactly these columns can arbitrate conflicts.
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

// Names without a schema are looked for where the server would, ours without case after the exact ones.
const findRelation = `
SELECT c.oid, n.nspname, c.relname, c.relkind::text, n.nspname = coalesce(current_schema(), ''),
  has_schema_privilege(n.oid, 'USAGE'), has_any_column_privilege(c.oid, 'SELECT'), has_any_column_privilege(c.oid, 'INSERT'),
  has_any_column_privilege(c.oid, 'UPDATE'), has_table_privilege(c.oid, 'DELETE')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE lower(c.relname) = lower($2::text) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND CASE WHEN $1::text = '' THEN n.nspname = ANY (current_schemas(false)) ELSE lower(n.nspname) = lower($1) END
ORDER BY n.nspname = $1 DESC, c.relname = $2 DESC, array_position(current_schemas(false), n.nspname)
LIMIT 1`

// Domains are followed down to what they are made of; the last length met counts.
const readColumns = `
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull OR t.typnotnull,
  a.atthasdef AND a.attgenerated = '', a.attgenerated <> '', a.attidentity <> '', a.attidentity = 'a',
  bn.nspname, b.typname, b.typcategory::text, base.mod, coalesce(en.nspname, ''), coalesce(e.typname, ''), coalesce(e.typtype::text, '')
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
CROSS JOIN LATERAL (
  WITH RECURSIVE d(oid, mod, depth) AS (
    SELECT a.atttypid, a.atttypmod, 0
    UNION ALL
    SELECT x.typbasetype, CASE WHEN x.typtypmod >= 0 THEN x.typtypmod ELSE d.mod END, d.depth + 1
    FROM d JOIN pg_catalog.pg_type x ON x.oid = d.oid WHERE x.typtype = 'd')
  SELECT d.oid, d.mod FROM d ORDER BY d.depth DESC LIMIT 1) base
JOIN pg_catalog.pg_type b ON b.oid = base.oid
JOIN pg_catalog.pg_namespace bn ON bn.oid = b.typnamespace
LEFT JOIN pg_catalog.pg_type e ON e.oid = b.typelem AND b.typcategory = 'A'
LEFT JOIN pg_catalog.pg_namespace en ON en.oid = e.typnamespace
WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum`

// An index arbitrates when it is unique, complete, immediate and made of plain columns.
const readUnique = `
SELECT array_agg(a.attname::text)
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
  AND k.place <= i.indnkeyatts
GROUP BY i.indexrelid`

// Every unique index counts here, partial ones and those of expressions too.
const readTaken = `
SELECT a.attname, bool_and(NOT coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false))
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint f WHERE f.contype = 'f' AND f.confrelid = a.attrelid AND a.attnum = ANY (f.confkey))
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum > 0
WHERE i.indrelid = $1::oid AND i.indisunique AND (a.attnum = ANY (i.indkey::int2[]) OR EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
    AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum))
GROUP BY a.attrelid, a.attnum, a.attname`

// errNoRelation says that the catalogue has no such table.
var errNoRelation = errors.New("the table does not exist")

// querier is a pool or a connection of it.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// readRelation reads a table from the catalogue.
func readRelation(ctx context.Context, q querier, schema, table string) (*relation, error) {
	var r relation
	var oid uint32
	g := &r.grants
	err := q.QueryRow(ctx, findRelation, schema, table).Scan(&oid, &r.schema, &r.name, &r.kind, &r.byDefault,
		&g.usage, &g.selects, &g.inserts, &g.updates, &g.deletes)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errNoRelation
	}
	if err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, readColumns, oid)
	if err != nil {
		return nil, err
	}
	r.columns, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (column, error) {
		var c column
		err := row.Scan(&c.name, &c.shown, &c.notNull, &c.hasDefault, &c.generated, &c.identity, &c.always,
			&c.typ.schema, &c.typ.name, &c.typ.category, &c.typ.modifier, &c.typ.elemSchema, &c.typ.elemName, &c.typ.elemKind)
		return c, err
	})
	if err != nil {
		return nil, err
	}
	rows, err = q.Query(ctx, readUnique, oid)
	if err != nil {
		return nil, err
	}
	if r.unique, err = pgx.CollectRows(rows, pgx.RowTo[[]string]); err != nil {
		return nil, err
	}
	if rows, err = q.Query(ctx, readTaken, oid); err != nil {
		return nil, err
	}
	var name string
	var nulls bool
	_, err = pgx.ForEachRow(rows, []any{&name, &nulls}, func() error {
		if at, ok := r.find(name); ok {
			r.columns[at].unique, r.columns[at].nulls = true, nulls && !r.columns[at].notNull
		}
		return nil
	})
	return &r, err
}
