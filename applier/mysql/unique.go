package mysql

import (
	"slices"

	"slipstream/applier"
)

// uniqueOn is the place of the unique index on exactly these columns, -1 where there is none.
func (r *relation) uniqueOn(columns []string) int {
	return slices.IndexFunc(r.unique, func(u uniqueIndex) bool {
		return u.whole && len(u.columns) == len(columns) && subset(u.columns, columns)
	})
}

// direct tells whether INSERT … ON DUPLICATE KEY UPDATE of some columns does what an upsert is. It does not
//
//   - where the table has another unique index: the statement would update the row that holds the value there, whatever
//     its key, in place of the row of the keys;
//   - where the server numbers a column that is not written: each row takes a number, also those that are there already,
//     until there are none left;
//   - where a column without a default must have a value and is not written: the statement fails even for rows that are
//     there.
func (b *bound) direct(table *applier.Table, columns []int) bool {
	names := make([]string, 0, len(table.Keys))
	for _, k := range table.Keys {
		names = append(names, table.Columns[k].Name)
	}
	if len(b.relation.unique) != 1 || b.relation.uniqueOn(names) != 0 {
		return false
	}
	for at := range b.relation.columns {
		c := &b.relation.columns[at]
		if slices.ContainsFunc(columns, func(i int) bool { return b.columns[i] == at }) {
			continue
		}
		if c.auto || c.notNull && !c.hasDefault && !c.generated {
			return false
		}
	}
	return true
}
