package mysql_test

import (
	"testing"

	"slipstream/applier"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// A table that loses the unique index of its keys, or gives way to a view, after it was bound takes no row: INSERT … ON
// DUPLICATE KEY UPDATE would insert a key twice without a word.
func TestIndexGoneSinceBound(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"index dropped": "ALTER TABLE t DROP PRIMARY KEY",
		"table anew":    "DROP TABLE t; CREATE TABLE t (id bigint NOT NULL, v int)",
		"a view":        "RENAME TABLE t TO base; CREATE VIEW t AS SELECT * FROM base",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t)
			db.exec(t, "CREATE TABLE t (id bigint PRIMARY KEY, v int)")
			to := db.connect(t)
			table := bind(t, to, output("t", "*id", "v"))
			s, _ := open(t, to, lane(0))
			row := func(v string) *applier.Write { return write(table, applier.Upsert, values(t, table, []any{"1", v})) }
			commit(t, s, at(0), at(1), row("1"))
			db.exec(t, change)
			wantFault(t, attempt(t, s, at(1), row("2")), flowv1.FaultClass_FAULT_CLASS_SCHEMA, "doesn't exist in table", "")
		})
	}
}
