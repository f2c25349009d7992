package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// findBehind lists the tables that a view reads. information_schema.view_table_usage would show those of the account alone.
const findBehind = `
SELECT DISTINCT n.nspname, c.relname, n.nspname = coalesce(current_schema(), '')
FROM pg_catalog.pg_rewrite r
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
  AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> r.ev_class
JOIN pg_catalog.pg_class c ON c.oid = d.refobjid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE r.ev_class = (SELECT v.oid FROM pg_catalog.pg_class v JOIN pg_catalog.pg_namespace vn ON vn.oid = v.relnamespace
  WHERE vn.nspname = $1::text AND v.relname = $2::text)`

// nameBehind is the fix for what is no table, with the table that it reads where it reads one alone.
func (r *relation) nameBehind(ctx context.Context, q querier) (string, error) {
	const fix = "name the table behind it"
	rows, err := q.Query(ctx, findBehind, r.schema, r.name)
	if err != nil {
		return fix, err
	}
	behind, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (relation, error) {
		var b relation
		return b, row.Scan(&b.schema, &b.name, &b.byDefault)
	})
	if err != nil || len(behind) != 1 {
		return fix, err
	}
	return fix + ": " + behind[0].label(), nil
}
