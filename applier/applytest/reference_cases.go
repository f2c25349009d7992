package applytest

import (
	"fmt"
	"strings"
	"testing"

	flowv1 "slipstream/proto/slipstream/flow/v1"
)

var referenceCases = []testCase{
	{"rows in the wrong order pass", wrongOrderCase},
	{"a unique value moves between rows", uniqueMovesCase},
	{"a parent that comes by another lane is waited for", waitForParentCase},
	{"an orphan is rejected in the end, once waited for", orphanCase},
}

// family makes parent and child, the child's output listed first: the wrong order for the database.
func (f *fixture) family(t *testing.T) Database {
	t.Helper()
	db := f.database(t)
	f.create(t, db, "parent", [][2]string{{"id", f.Types.Key}}, "id")
	f.create(t, db, "child", [][2]string{
		{"id", f.Types.Key},
		{"of", f.Types.Key + " REFERENCES " + f.Quote("parent") + " (" + f.Quote("id") + ")"},
	}, "id")
	return db
}

func familyJob() []string { return []string{"*id", "of"} }

func wrongOrderCase(t *testing.T, f *fixture) {
	db := f.family(t)
	c := f.open(t, db, job(out("child", familyJob()...), out("parent", "*id")))
	children, parents := table(0), table(1)
	for i := range uint32(50) {
		parents.upsert(i, fmt.Sprintf("p%02d", i))
		children.upsert(i, fmt.Sprintf("c%02d", i), fmt.Sprintf("p%02d", 49-i))
	}
	c.apply(batch(1, children, parents))
	c.none()
	if n := len(f.rows(t, db, "child", []string{"id"})); n != 50 {
		t.Errorf("%d children", n)
	}
	c.apply(batch(2, table(0).del(0, "c00", nil).del(1, "c01", nil), table(1).del(0, "p49").del(1, "p48")))
	c.none()
	if n := len(f.rows(t, db, "parent", []string{"id"})); n != 48 {
		t.Errorf("%d parents", n)
	}
}

func uniqueMovesCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "t", [][2]string{{"id", f.Types.Key}, {"mail", f.Types.Key + " UNIQUE"}}, "id")
	c := f.open(t, db, job(out("t", "*id", "mail")))
	c.apply(batch(1, table(0).upsert(0, "a", "x").upsert(1, "b", "y")))
	c.apply(batch(2, table(0).del(0, "a", nil).upsert(1, "c", "x")))
	c.apply(batch(3, table(0).upsert(0, "c", "z").upsert(1, "b", "x")))
	c.none()
	f.wantRows(t, db, "t", []string{"id", "mail"}, "b|x", "c|z")
}

func waitForParentCase(t *testing.T, f *fixture) {
	db := f.family(t)
	child := f.openPatient(t, db, job(out("child", familyJob()...)), 0)
	parent := f.openWith(t, db, f.Dialect, job(out("parent", "*id")), 1)
	child.send(batch(1, table(0).upsert(0, "c", "p")))
	child.waits(flowv1.FaultClass_FAULT_CLASS_REFERENCE)
	parent.apply(batch(1, table(0).upsert(0, "p")))
	child.settle(1)
	child.resumes()
	child.none()
	f.wantRows(t, db, "child", []string{"id", "of"}, "c|p")
}

func orphanCase(t *testing.T, f *fixture) {
	db := f.family(t)
	c := f.open(t, db, job(out("parent", "*id"), out("child", familyJob()...)))
	c.send(batch(1, table(0).upsert(0, "p"), table(1).upsert(0, "c", "p").upsert(1, "orphan", "nobody")))
	if got := c.waits(flowv1.FaultClass_FAULT_CLASS_REFERENCE); got.Code == "" || !strings.HasPrefix(got.Stage, "applier-") {
		t.Errorf("waits for %v", got)
	}
	c.settle(1)
	if r := c.refused(); len(r) != 1 || r[0].Change != 1 || r[0].Output != 1 || r[0].ErrorClass != "target" {
		t.Errorf("rejects: %v", r)
	}
	f.wantRows(t, db, "child", []string{"id", "of"}, "c|p")
	c.resumes()
	for n := uint64(2); n < 6; n++ { // no more waiting: once a lane, not once a record
		c.apply(batch(n, table(1).upsert(0, fmt.Sprintf("orphan%d", n), "nobody")))
	}
	select {
	case w := <-c.waiting:
		t.Errorf("the lane waited again: %v", w)
	default:
	}
}
