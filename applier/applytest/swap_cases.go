package applytest

import (
	"fmt"
	"strings"
	"testing"
)

// uniqueSwapCase: rows take each other's unique values, in pairs and in a ring, whatever the type of the column and whether it
// may be NULL or not; columns that the output does not write keep what they have.
func uniqueSwapCase(t *testing.T, f *fixture) {
	for _, c := range []struct {
		name, declared string
		values         []string
	}{
		{"text", f.Types.Key + " UNIQUE", []string{"m0", "m1", "m2", "m3", "m4"}},
		{"text that must be", f.Types.Key + " NOT NULL UNIQUE", []string{"m0", "m1", "m2", "m3", "m4"}},
		{"number that must be", f.Types.Integer + " NOT NULL UNIQUE", []string{"10", "11", "12", "13", "14"}},
		{"decimal that must be", f.Types.Decimal + " NOT NULL UNIQUE", []string{"10.25", "11.25", "12.25", "13.25", "14.25"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := f.database(t)
			f.create(t, db, "t", [][2]string{{"id", f.Types.Key}, {"u", c.declared}, {"other", f.Types.Integer + " DEFAULT 7"}}, "id")
			l := f.open(t, db, job(out("t", "*id", "u")))
			rows := func(shift map[int]int) (*rowsOf, []string) {
				r, want := table(0), []string(nil)
				for i := range c.values {
					to, moved := shift[i]
					if !moved {
						to = i
					}
					r.upsert(uint32(i), fmt.Sprintf("r%d", i), c.values[to])
					want = append(want, fmt.Sprintf("r%d|%s|7", i, c.values[to]))
				}
				return r, want
			}
			n := uint64(0)
			for _, shift := range []map[int]int{
				{},                             // as they begin
				{0: 1, 1: 0},                   // a pair
				{0: 1, 1: 2, 2: 3, 3: 4, 4: 0}, // all of them in a ring
				{0: 4, 4: 0, 1: 3, 3: 1},       // two pairs
				{},
			} {
				n++
				r, want := rows(shift)
				l.apply(batch(n, r))
				f.wantRows(t, db, "t", []string{"id", "u", "other"}, want...)
			}
			l.none()
		})
	}
}

// uniqueSwapPartCase: beside a swap, a row of the same batch wants a value that another row keeps. That record alone is
// rejected; its row keeps its old value, and nothing made up stays behind.
func uniqueSwapPartCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "t", [][2]string{
		{"id", f.Types.Key}, {"mail", f.Types.Key + " NOT NULL UNIQUE"}, {"no", f.Types.Integer + " UNIQUE"},
	}, "id")
	c := f.open(t, db, job(out("t", "*id", "mail", "no")))
	c.apply(batch(1, table(0).upsert(0, "a", "x", "1").upsert(1, "b", "y", "2").upsert(2, "c", "z", "3").upsert(3, "k", "kept", "4")))
	c.send(batch(2, table(0).upsert(0, "a", "y", "2").upsert(1, "b", "x", "1").upsert(2, "c", "kept", "3").upsert(3, "d", "new", "5")))
	c.settle(2)
	if r := c.refused(); len(r) != 1 || r[0].Change != 2 || r[0].ErrorClass != "target" || r[0].Code == "" {
		t.Errorf("rejects: %v", r)
	}
	f.wantRows(t, db, "t", []string{"id", "mail", "no"}, "a|y|2", "b|x|1", "c|z|3", "d|new|5", "k|kept|4")

	// A swap that is seen from outside is seen whole: the values that are made up meanwhile are nobody's.
	c.apply(batch(3, table(0).upsert(0, "a", "x", "1").upsert(1, "b", "y", "2")))
	if got := strings.Join(f.rows(t, db, "t", []string{"mail"}), " "); got != "kept new x y z" {
		t.Errorf("the values are %s", got)
	}
}
