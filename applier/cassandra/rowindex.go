package cassandra

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"slipstream/applier"
	"slipstream/proto/fault"
)

// defaultRowTable is the name where the settings give none.
const defaultRowTable = "slipstream_row"

// rowTable is the row index (design D8) and the statements on it. There are two tables, because a table is read by its
// partition key alone: one tells the owner of a row, which is the truth; the other lists the rows of an owner, and what
// it lists counts only where the first agrees.
//
// Nothing is locked here. A lane sees all that it wrote itself, and the order in which a batch is written (see
// txn.Commit) makes a repetition come out the same. Between lanes the index is as right as the last write that was seen.
type rowTable struct {
	keyspace, name string // keyspace is empty where nothing says which
	owner          string // name of the second table
	quoted         string
	create         [2]string

	ofRow, ofOwner, images   string
	storeRow, storeOwner     string
	removeRow, removeOfOwner string
}

func newRowTable(name, database string) rowTable {
	r := rowTable{}
	r.keyspace, r.name = tableName(name, defaultRowTable, database)
	r.owner = r.name + "_owner"
	r.quoted = quote(r.keyspace) + "." + quote(r.name)
	second := quote(r.keyspace) + "." + quote(r.owner)
	const output = `"pipeline", "job", "connection", "output"`
	const declared = `"pipeline" text, "job" text, "connection" text, "output" text, "row_key" blob, "redis_key" blob,
  "last_ms" bigint, "last_seq" bigint`
	const where = ` WHERE "pipeline" = ? AND "job" = ? AND "connection" = ? AND "output" = ? AND `
	r.create = [2]string{
		`CREATE TABLE IF NOT EXISTS ` + r.quoted + ` (
  ` + declared + `,
  PRIMARY KEY ((` + output + `, "row_key")));`,
		`CREATE TABLE IF NOT EXISTS ` + second + ` (
  ` + declared + `, "before" blob,
  PRIMARY KEY ((` + output + `, "redis_key"), "row_key"));`,
	}
	r.ofRow = `SELECT "redis_key", "last_ms", "last_seq" FROM ` + r.quoted + where + `"row_key" = ?`
	r.ofOwner = `SELECT "row_key" FROM ` + second + where + `"redis_key" = ?`
	r.images = `SELECT "last_ms", "last_seq", "before" FROM ` + second + where + `"redis_key" = ?`
	r.storeRow = `INSERT INTO ` + r.quoted + ` (` + output + `, "row_key", "redis_key", "last_ms", "last_seq")
VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?`
	r.storeOwner = `INSERT INTO ` + second + ` (` + output + `, "redis_key", "row_key", "last_ms", "last_seq", "before")
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?`
	r.removeRow = `DELETE FROM ` + r.quoted + ` USING TIMESTAMP ?` + where + `"row_key" = ?`
	r.removeOfOwner = `DELETE FROM ` + second + ` USING TIMESTAMP ?` + where + `"redis_key" = ? AND "row_key" = ?`
	return r
}

// rowDDL is what somebody who may create tables has to run.
func (t *target) rowDDL() string {
	return t.rows.create[0] + "\n" + t.rows.create[1] + "\n" + t.grant(t.rows.keyspace, t.rows.name) + "\n" + t.grant(t.rows.keyspace, t.rows.owner)
}

// rowFault makes a fault of an error in a statement on the row index.
func (t *target) rowFault(doing string, err error) *fault.Error {
	f := t.failed(doing+" the row index "+t.rows.quoted, err)
	if hasCode(err, codeUnauthorized) && f.Fix == "" {
		return f.WithFix(t.grant(t.rows.keyspace, t.rows.name) + "\n" + t.grant(t.rows.keyspace, t.rows.owner))
	}
	return f
}

// rowColumns and ownerColumns are what the statements on the row index use.
var (
	rowColumns   = []string{"pipeline", "job", "connection", "output", "row_key", "redis_key", "last_ms", "last_seq"}
	ownerColumns = append(rowColumns[:len(rowColumns):len(rowColumns)], "before")
)

// OpenIndex implements applier.Session.
func (s *session) OpenIndex(ctx context.Context) error {
	t := s.target
	ctx, cancel := limited(ctx)
	defer cancel()
	if err := t.placed(t.rows.keyspace); err != nil {
		return err
	}
	t.creating.Lock()
	defer t.creating.Unlock()
	for i, name := range []string{t.rows.name, t.rows.owner} {
		r, err := t.readRelation(ctx, t.rows.keyspace, name)
		switch {
		case errors.Is(err, errNoKeyspace):
			return t.noKeyspace(t.rows.keyspace)
		case err == nil:
			err = t.checkColumns(r, [][]string{rowColumns, ownerColumns}[i], "a row index", "applier.row_table", t.rows.create[i])
		case errors.Is(err, errNoRelation):
			if err = t.create(ctx, t.rows.create[i]); hasCode(err, codeUnauthorized) {
				return t.failed("creating the row index "+t.rows.quoted, err).WithFix(t.rowDDL())
			}
		}
		if err != nil {
			return t.rowFault("reading", err)
		}
	}
	return nil
}

// output are the first values of every statement on the row index, with more behind them.
func (s *session) output(name string, more ...any) []any {
	return append([]any{wire(s.lane.GetPipeline()), wire(s.lane.GetJob()), wire(s.lane.GetConnection()), wire(name)}, more...)
}

// each runs a query for each of some keys, many at once, and gives the rows of each.
func (t *target) each(ctx context.Context, n int, ask func(i int) cql) ([][][]wire, error) {
	out := make([][][]wire, n)
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(inFlight)
	for i := range n {
		all.Go(func() (err error) {
			out[i], err = t.cluster.rows(ctx, own, ask(i))
			return err
		})
	}
	return out, all.Wait()
}

// Images implements applier.Session.
func (s *session) Images(ctx context.Context, output string, owners [][]byte) ([][]byte, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	found, err := s.target.each(ctx, len(owners), func(i int) cql {
		return cql{s.target.rows.images, s.output(output, wire(owners[i]))}
	})
	if err != nil {
		return nil, s.target.rowFault("reading", err)
	}
	images := make([][]byte, len(owners))
	for i, rows := range found {
		var newest applier.Entry
		for _, row := range rows {
			e := applier.Entry{Ms: unsigned(row[0]), Seq: unsigned(row[1]), Before: row[2]}
			if e.Before != nil && (images[i] == nil || e.Newer(newest.Ms, newest.Seq)) {
				newest, images[i] = e, e.Before
			}
		}
	}
	return images, nil
}

// unsigned reads 64 bits; null is 0.
func unsigned(b wire) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// Owned implements applier.Txn. It locks nothing.
func (x *txn) Owned(ctx context.Context, output string, owners, rows [][]byte) ([]applier.Entry, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	s, t := x.session, x.session.target
	wanted := map[string]bool{}
	var keys [][]byte
	for _, row := range rows {
		wanted[string(row)] = true
		keys = append(keys, row)
	}
	known := map[string]bool{}
	for _, owner := range owners {
		known[string(owner)] = true
	}
	listed, err := t.each(ctx, len(owners), func(i int) cql { return cql{t.rows.ofOwner, s.output(output, wire(owners[i]))} })
	if err != nil {
		return nil, t.rowFault("reading", err)
	}
	asked := map[string]bool{}
	for _, of := range listed {
		for _, row := range of {
			if key := string(row[0]); !wanted[key] && !asked[key] {
				asked[key] = true
				keys = append(keys, row[0])
			}
		}
	}
	found, err := t.each(ctx, len(keys), func(i int) cql { return cql{t.rows.ofRow, s.output(output, wire(keys[i]))} })
	if err != nil {
		return nil, t.rowFault("reading", err)
	}
	var entries []applier.Entry
	for i, of := range found {
		for _, v := range of {
			if !wanted[string(keys[i])] && !known[string(v[0])] {
				continue // it is another's by now
			}
			x.owners[output+"\x00"+string(keys[i])] = v[0]
			entries = append(entries, applier.Entry{Row: keys[i], Owner: v[0], Ms: unsigned(v[1]), Seq: unsigned(v[2])})
		}
	}
	return entries, nil
}

// Own implements applier.Txn. What is new is written before the rows, what is gone is removed behind them: a repetition
// after a crash in between knows at least as many rows as there are.
func (x *txn) Own(_ context.Context, output string, entries []applier.Entry, gone [][]byte) error {
	r, s := &x.session.target.rows, x.session
	x.writes++
	add := func(list *[]op, text string, stamp int, args []any) {
		*list = append(*list, op{cql: cql{text, args}, stamp: stamp, rank: x.writes, partition: fmt.Sprint(len(x.first), " ", len(x.last))})
	}
	forget := func(row []byte, but []byte) {
		was := x.owners[output+"\x00"+string(row)]
		if was != nil && string(was) != string(but) {
			add(&x.last, r.removeOfOwner, 0, append([]any{nil}, s.output(output, was, wire(row))...))
		}
	}
	for i := range entries {
		e := &entries[i]
		ms, seq := bigint(int64(e.Ms)), bigint(int64(e.Seq))
		add(&x.first, r.storeRow, 8, append(s.output(output, wire(e.Row), wire(e.Owner), ms, seq), nil))
		add(&x.first, r.storeOwner, 9, append(s.output(output, wire(e.Owner), wire(e.Row), ms, seq, wire(e.Before)), nil))
		forget(e.Row, e.Owner)
	}
	for _, row := range gone {
		forget(row, nil)
		add(&x.last, r.removeRow, 0, append([]any{nil}, s.output(output, wire(row))...))
	}
	return nil
}
