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
		if b.relation.columns[at].auto && !b.writes(columns, at) {
			return false
		}
	}
	return len(b.demanded(columns)) == 0
}

// writes tells whether one of the columns is that of the relation.
func (b *bound) writes(columns []int, at int) bool {
	return slices.ContainsFunc(columns, func(i int) bool { return b.columns[i] == at })
}

// demanded are the columns, as SQL, that must have a value, have no default, and are not written.
func (b *bound) demanded(columns []int) (names []string) {
	for at := range b.relation.columns {
		c := &b.relation.columns[at]
		if c.notNull && !c.hasDefault && !c.generated && !c.auto && !b.writes(columns, at) {
			names = append(names, quote(c.name))
		}
	}
	return names
}
