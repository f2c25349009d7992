package applytest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slipstream/proto/flow"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// The row index of design D8: who owns which row.
var indexCases = []testCase{
	{"a delete finds its row by the Redis key", ownedDeleteCase},
	{"a changed business key moves the row", ownedMoveCase},
	{"rows that a key no longer writes go", ownedShrinkCase},
	{"a rename, whichever key comes first", ownedRenameCase},
	{"two keys swap their rows in one batch", ownedSwapCase},
	{"a rejected change leaves rows and index alone", ownedRejectCase},
	{"a reject of the target leaves rows and index alone", ownedTargetRejectCase},
	{"a commit that was lost and made again", ownedRetryCase},
	{"a value replayed as recorded never beats a newer one", ownedGuardCase},
	{"before images", imagesCase},
	{"keys of every type find their rows", ownedTypesCase},
	{"random changes of few keys and rows end as one by one", ownedRandomCase},
}

// owned makes a job whose output keeps a row index.
func owned(o *pipelinev1.Output) *pipelinev1.Job {
	o.GetRelational().RowIndex = true
	return job(o)
}

// by says who owns the row added last and which entry its change is of.
func (r *rowsOf) by(owner string, id uint64) *rowsOf {
	if r.rows.Owners == nil {
		r.rows.Owners = &applierv1.Column{}
	}
	o := r.rows.Owners
	o.Text = append(o.Text, owner...)
	o.Ends = append(o.Ends, uint32(len(o.Text)))
	o.Kinds = append(o.Kinds, byte(applierv1.ValueKind_VALUE_KIND_BYTES))
	r.rows.IdMs = append(r.rows.IdMs, id)
	r.rows.IdSeq = append(r.rows.IdSeq, 0)
	return r
}

// gone deletes what an owner has; width is the number of columns.
func (r *rowsOf) gone(change uint32, owner string, id uint64, width int) *rowsOf {
	return r.add(applierv1.RowOp_ROW_OP_DELETE_OWNED, change, make([]any, width)).by(owner, id)
}

// people makes a table whose key is no part of the Redis key.
func (f *fixture) mailed(t *testing.T) (Database, *pipelinev1.Job) {
	t.Helper()
	db := f.database(t)
	f.create(t, db, "people", [][2]string{{"mail", f.Types.Key}, {"age", f.Types.Integer}, {"note", f.Types.Text}}, "mail")
	return db, owned(out("people", "*mail", "age"))
}

var mailColumns = []string{"mail", "age"}

// entries are the rows of the index: row and owner.
func (f *fixture) entries(t *testing.T, db Database) []string {
	t.Helper()
	if f.Store != nil {
		var got []string
		for _, e := range f.Store.Entries(t, db, "people") {
			got = append(got, strings.Join(e, "|"))
		}
		return got
	}
	return f.rows(t, db, "slipstream_row", []string{"row_key", "redis_key"})
}

func (f *fixture) wantEntries(t *testing.T, db Database, want ...string) {
	t.Helper()
	if got := f.entries(t, db); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the index holds %q, want %q", got, want)
	}
}

func ownedDeleteCase(t *testing.T, f *fixture) {
	db, j := f.mailed(t)
	c := f.open(t, db, j)
	c.apply(batch(1, table(0).upsert(0, "a@x", "1").by("p:1", 1).upsert(1, "b@x", "2").by("p:2", 2)))
	f.wantEntries(t, db, "a@x|p:1", "b@x|p:2")
	s := c.apply(batch(2, table(0).gone(0, "p:1", 3, 2).gone(1, "p:9", 4, 2)))
	f.wantRows(t, db, "people", mailColumns, "b@x|2")
	f.wantEntries(t, db, "b@x|p:2")
	if s.Counts.Rows != 1 {
		t.Errorf("%d rows, want 1: nobody owns what p:9 would have", s.Counts.Rows)
	}
}

func ownedMoveCase(t *testing.T, f *fixture) {
	db, j := f.mailed(t)
	c := f.open(t, db, j)
	c.apply(batch(1, table(0).upsert(0, "a@x", "1").by("p:1", 1)))
	c.apply(batch(2, table(0).upsert(0, "b@x", "1").by("p:1", 2).upsert(1, "c@x", "5").by("p:1", 3)))
	f.wantRows(t, db, "people", mailColumns, "c@x|5")
	f.wantEntries(t, db, "c@x|p:1")
}

func ownedShrinkCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "parts", [][2]string{{"ticket", f.Types.Integer}, {"sku", f.Types.Key}, {"qty", f.Types.Integer}}, "ticket", "sku")
	c := f.open(t, db, owned(out("parts", "*ticket", "*sku", "qty")))
	columns := []string{"ticket", "sku", "qty"}
	c.apply(batch(1, table(0).upsert(0, "1", "a|b", "1").by("t:1", 1).upsert(0, "1", `c\`, "2").by("t:1", 1).upsert(1, "2", "a", "3").by("t:2", 2)))
	c.apply(batch(2, table(0).upsert(0, "01", `c\`, "9").by("t:1", 3)))
	f.wantRows(t, db, "parts", columns, `1|c\|9`, "2|a|3")
	c.apply(batch(3, table(0).gone(0, "t:1", 4, 3)))
	f.wantRows(t, db, "parts", columns, "2|a|3")
}

func ownedRenameCase(t *testing.T, f *fixture) {
	for _, first := range []string{"old", "new"} {
		t.Run(first+" first", func(t *testing.T) {
			db, j := f.mailed(t)
			lanes := map[string]*client{"old": f.openWith(t, db, f.Dialect, j, 0), "new": f.openWith(t, db, f.Dialect, j, 1)}
			lanes["old"].apply(batch(1, table(0).upsert(0, "a@x", "1").by("old", 1)))
			gone := func() { lanes["old"].apply(batch(2, table(0).gone(0, "old", 2, 2))) }
			written := func() *flowv1.Settled {
				return lanes["new"].apply(batch(1, table(0).upsert(0, "a@x", "1").by("new", 2)))
			}
			taken := uint64(0)
			if first == "old" {
				gone()
				written()
			} else {
				taken = written().Counts.TakenOver
				gone()
				if taken != 1 {
					t.Errorf("%d rows taken over, want 1", taken)
				}
			}
			f.wantRows(t, db, "people", mailColumns, "a@x|1")
			f.wantEntries(t, db, "a@x|new")
		})
	}
}

func ownedSwapCase(t *testing.T, f *fixture) {
	db, j := f.mailed(t)
	c := f.open(t, db, j)
	c.apply(batch(1, table(0).upsert(0, "a@x", "1").by("p:1", 1).upsert(1, "b@x", "2").by("p:2", 2)))
	c.apply(batch(2, table(0).upsert(0, "b@x", "1").by("p:1", 3).upsert(1, "a@x", "2").by("p:2", 4)))
	f.wantRows(t, db, "people", mailColumns, "a@x|2", "b@x|1")
	f.wantEntries(t, db, "a@x|p:2", "b@x|p:1")
}

func ownedRejectCase(t *testing.T, f *fixture) {
	db, j := f.mailed(t)
	c := f.open(t, db, j)
	c.apply(batch(1, table(0).upsert(0, "a@x", "1").by("p:1", 1)))
	f.unfit(t, db, "people", "b@x")
	c.apply(batch(2, table(0).upsert(0, "b@x", "no number").by("p:1", 2).upsert(1, "c@x", "3").by("p:3", 3)))
	if r := c.refused(); len(r) != 1 {
		t.Errorf("rejects: %v", r)
	}
	f.wantRows(t, db, "people", mailColumns, "a@x|1", "c@x|3")
	f.wantEntries(t, db, "a@x|p:1", "c@x|p:3")
}

func ownedTargetRejectCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "people", [][2]string{{"mail", f.Types.Key}, {"age", f.Types.Integer + " CHECK (" + f.Quote("age") + " < 100)"}}, "mail")
	c := f.open(t, db, owned(out("people", "*mail", "age")))
	c.apply(batch(1, table(0).upsert(0, "a@x", "1").by("p:1", 1)))
	f.unfit(t, db, "people", "b@x")
	c.apply(batch(2, table(0).upsert(0, "b@x", "500").by("p:1", 2).upsert(1, "c@x", "3").by("p:3", 3)))
	f.wantRows(t, db, "people", mailColumns, "a@x|1", "c@x|3")
	f.wantEntries(t, db, "a@x|p:1", "c@x|p:3")
}

func ownedRetryCase(t *testing.T, f *fixture) {
	db, j := f.mailed(t)
	d := &faulty{Dialect: f.Dialect, beforeCommit: func(n int32) error {
		if n == 2 {
			return lost()
		}
		return nil
	}, afterCommit: func(n int32) error {
		if n == 3 {
			return lost()
		}
		return nil
	}}
	c := f.openWith(t, db, d, j, 0)
	c.apply(batch(1, table(0).upsert(0, "a@x", "1").by("p:1", 1)))
	c.apply(batch(2, table(0).upsert(0, "b@x", "2").by("p:1", 2)))
	c.apply(batch(3, table(0).upsert(0, "c@x", "3").by("p:1", 3)))
	f.wantRows(t, db, "people", mailColumns, "c@x|3")
	f.wantEntries(t, db, "c@x|p:1")
}

func ownedGuardCase(t *testing.T, f *fixture) {
	db, j := f.mailed(t)
	c := f.open(t, db, j)
	guarded := func(n, id uint64, mail string) *flowv1.Settled {
		rows := table(0).upsert(0, mail, "7").by("p:1", id)
		rows.rows.Guards = []byte{1}
		return c.apply(batch(n, rows))
	}
	c.apply(batch(1, table(0).upsert(0, "a@x", "1").by("p:1", 5)))
	if s := guarded(2, 4, "old@x"); s.Counts.Outdated != 1 {
		t.Errorf("outdated %d, want 1", s.Counts.Outdated)
	}
	if s := guarded(3, 5, "same@x"); s.Counts.Outdated != 1 {
		t.Errorf("outdated %d, want 1", s.Counts.Outdated)
	}
	f.wantRows(t, db, "people", mailColumns, "a@x|1")
	if s := guarded(4, 6, "new@x"); s.Counts.Outdated != 0 {
		t.Errorf("outdated %d, want 0", s.Counts.Outdated)
	}
	f.wantRows(t, db, "people", mailColumns, "new@x|7")
}

func imagesCase(t *testing.T, f *fixture) {
	db, j := f.mailed(t)
	c := f.open(t, db, j)
	first := table(0).upsert(0, "a@x", "1").by("p:1", 1).upsert(1, "b@x", "2").by("p:2", 2)
	first.image(`{"mail":"a@x"}`, `{"mail":"b@x"}`)
	second := table(0).upsert(0, "c@x", "1").by("p:1", 3).gone(1, "p:2", 4, 2)
	second.image(`{"mail":"c@x"}`, "")
	c.send(batch(1, first), batch(2, second))
	got := c.imagesOf("p:1", "p:2", "p:3")
	if want := []string{`{"mail":"c@x"}`, "", ""}; !slices.Equal(got, want) {
		t.Errorf("images %q, want %q", got, want)
	}
	c.settle(2)
}

// image gives the rows their images; empty is none.
func (r *rowsOf) image(images ...string) {
	b := &applierv1.Column{}
	for _, image := range images {
		kind := applierv1.ValueKind_VALUE_KIND_UNSPECIFIED
		if image != "" {
			kind = applierv1.ValueKind_VALUE_KIND_DOCUMENT
		}
		b.Text = append(b.Text, image...)
		b.Ends = append(b.Ends, uint32(len(b.Text)))
		b.Kinds = append(b.Kinds, byte(kind))
	}
	r.rows.Before = b
}

func ownedTypesCase(t *testing.T, f *fixture) {
	kinds := []struct{ name, column, written, other string }{
		{"integer", f.Types.Integer, " 007", "8"},
		{"decimal", f.Types.Decimal, "1.50", "2.5"},
		{"date", f.Types.Date, "2030-02-01T10:00:00Z", "2031-01-01"},
		{"timestamp", f.Types.Timestamp, "1896172245123.456", "0"},
		{"binary", f.Types.Binary, "AHwBXA==", "AQ=="},
		{"uuid", f.Types.UUID, "{6B6B1006E43FD8528C01A5258AC7BF5F}", "6b6b1006-e43f-d852-8c01-a5258ac7bf60"},
		{"text", f.Types.Key, "Ünï|cödé\\", "x"},
	}
	for _, k := range kinds {
		if f.Lacks[NeedTypes] != "" && k.name != "text" {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			db := f.database(t)
			f.create(t, db, "things", [][2]string{{"id", k.column}, {"n", f.Types.Integer}}, "id")
			c := f.open(t, db, owned(out("things", "*id", "n")))
			c.apply(batch(1, table(0).upsert(0, k.written, "1").by("k:1", 1).upsert(1, k.other, "2").by("k:2", 2)))
			c.apply(batch(2, table(0).gone(0, "k:1", 3, 2)))
			if rows := f.rows(t, db, "things", []string{"n"}); strings.Join(rows, ",") != "2" {
				t.Errorf("rows left %q, want 2 alone", rows)
			}
		})
	}
}

// ownedRandomCase compares with a model that knows for each key its one row, and for each row who wrote it last.
func ownedRandomCase(t *testing.T, f *fixture) {
	for seed := range uint64(4) {
		db, j := f.mailed(t)
		r := rand.New(rand.NewPCG(seed, 8))
		commits := &faulty{Dialect: f.Dialect, beforeCommit: func(int32) error {
			if r.IntN(6) == 0 {
				return lost()
			}
			return nil
		}}
		c := f.openWith(t, db, commits, j, 0)
		rowOf, ownerOf, age := map[string]string{}, map[string]string{}, map[string]string{}
		id := uint64(0)
		for n := range uint64(25) {
			rows := table(0)
			for change := range uint32(1 + r.IntN(8)) {
				id++
				owner := fmt.Sprint("p:", r.IntN(5))
				leave := func() {
					if row := rowOf[owner]; row != "" && ownerOf[row] == owner {
						delete(ownerOf, row)
						delete(age, row)
					}
					delete(rowOf, owner)
				}
				switch mail := fmt.Sprint("m", r.IntN(6)); {
				case r.IntN(4) == 0:
					rows.gone(change, owner, id, 2)
					leave()
				case r.IntN(8) == 0 && f.Store == nil: // does not fit, so nothing happens
					rows.upsert(change, mail, "x").by(owner, id)
				default:
					rows.upsert(change, mail, fmt.Sprint(id)).by(owner, id)
					if rowOf[owner] != mail {
						leave()
					}
					rowOf[owner], ownerOf[mail], age[mail] = mail, owner, fmt.Sprint(id)
				}
			}
			c.apply(batch(n+1, rows))
		}
		var want, entries []string
		for mail, n := range age {
			want = append(want, mail+"|"+n)
			entries = append(entries, mail+"|"+ownerOf[mail])
		}
		slices.Sort(want)
		slices.Sort(entries)
		f.wantRows(t, db, "people", mailColumns, want...)
		f.wantEntries(t, db, entries...)
		c.cut()
	}
}

// imagesOf asks for before images behind what was sent.
func (c *client) imagesOf(keys ...string) []string {
	c.t.Helper()
	r := &applierv1.BeforeRequest{Id: 1}
	for _, k := range keys {
		r.Keys = append(r.Keys, []byte(k))
	}
	if err := c.sender.Before(r); err != nil {
		c.t.Fatal(err)
	}
	var images []string
	for _, image := range receive(c.t, c.images, "before images").Images {
		images = append(images, string(image))
	}
	return images
}

// Before is flow.BeforeEvents.
func (c *client) Before(r *applierv1.BeforeResponse) { c.images <- r }

var _ flow.BeforeEvents = (*client)(nil)
