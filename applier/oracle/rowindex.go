package oracle

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slipstream/applier"
	"slipstream/proto/fault"
)

// defaultRowTable is the name where the settings give none.
const defaultRowTable = "SLIPSTREAM_ROW"

// mostKeys is how many keys one statement on the row index looks for; the server takes 1,000 in a list.
const mostKeys = 512

// rowTable is the row index (design D8) and the statements on it. Keys are bytes, since Redis does not require text.
type rowTable struct {
	schema, name string // schema is empty for the default one
	quoted       string
	create       []string
	probe        string
	store        string
	remove       string
}

const ofOutput = `"PIPELINE" = :1 AND "JOB" = :2 AND "CONNECTION" = :3 AND "OUTPUT" = :4`

// newRowTable makes the statements for a table named "name" or "schema.name".
func newRowTable(name string) rowTable {
	r := rowTable{}
	r.schema, r.name, r.quoted = tableName(name, defaultRowTable)
	const key = `"PIPELINE", "JOB", "CONNECTION", "OUTPUT", "ROW_KEY"`
	index := quote(r.name + "_KEY")
	if r.schema != "" {
		index = quote(r.schema) + "." + index
	}
	r.create = []string{
		`CREATE TABLE ` + r.quoted + ` (
  "PIPELINE" VARCHAR2(200) NOT NULL, "JOB" VARCHAR2(400) NOT NULL, "CONNECTION" VARCHAR2(200) NOT NULL, "OUTPUT" VARCHAR2(400) NOT NULL,
  "ROW_KEY" RAW(2000) NOT NULL, "REDIS_KEY" RAW(2000) NOT NULL, "LAST_MS" NUMBER(20) NOT NULL, "LAST_SEQ" NUMBER(20) NOT NULL, "BEFORE" BLOB,
  PRIMARY KEY (` + key + `)) PCTFREE 20;`,
		`CREATE INDEX ` + index + ` ON ` + r.quoted + ` ("REDIS_KEY");`,
	}
	r.probe = `SELECT ` + key + `, "REDIS_KEY", "LAST_MS", "LAST_SEQ", "BEFORE" FROM ` + r.quoted + ` WHERE 1 = 0`
	r.store = `MERGE INTO ` + r.quoted + ` t USING (SELECT :1 a, :2 b, :3 c, :4 d, :5 e, :6 f, TO_NUMBER(:7) g, TO_NUMBER(:8) h, :9 i FROM DUAL) s
ON (t."PIPELINE" = s.a AND t."JOB" = s.b AND t."CONNECTION" = s.c AND t."OUTPUT" = s.d AND t."ROW_KEY" = s.e)
WHEN MATCHED THEN UPDATE SET t."REDIS_KEY" = s.f, t."LAST_MS" = s.g, t."LAST_SEQ" = s.h, t."BEFORE" = s.i
WHEN NOT MATCHED THEN INSERT (` + key + `, "REDIS_KEY", "LAST_MS", "LAST_SEQ", "BEFORE") VALUES (s.a, s.b, s.c, s.d, s.e, s.f, s.g, s.h, s.i)`
	r.remove = `DELETE FROM ` + r.quoted + ` WHERE ` + ofOutput + ` AND "ROW_KEY" = :5`
	return r
}

// owned looks for entries by one of two columns, and locks them. They are locked in the order of the rows, as every lane
// does, so that two lanes rarely wait for each other in a circle.
func (r *rowTable) owned(column string, keys int) string {
	return `SELECT "ROW_KEY", "REDIS_KEY", TO_CHAR("LAST_MS"), TO_CHAR("LAST_SEQ") FROM ` + r.quoted + ` WHERE ` + ofOutput +
		` AND ` + quote(column) + ` IN (` + list(keys) + `) ORDER BY "ROW_KEY" FOR UPDATE`
}

func (r *rowTable) images(keys int) string {
	return `SELECT "REDIS_KEY", "BEFORE" FROM ` + r.quoted + ` WHERE ` + ofOutput +
		` AND "REDIS_KEY" IN (` + list(keys) + `) AND "BEFORE" IS NOT NULL ORDER BY "LAST_MS", "LAST_SEQ"`
}

// list are so many parameters behind those of the output.
func list(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(":" + strconv.Itoa(i+5))
	}
	return b.String()
}

// rowDDL is what somebody who may create tables has to run.
func (t *target) rowDDL() string {
	return t.ddl(t.rows.schema, t.rows.quoted, t.rowGrant(), t.rows.create...)
}

func (t *target) rowGrant() string {
	return fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %s;", t.rows.quoted, t.account())
}

// rowFault makes a fault of an error in a statement on the row index.
func (t *target) rowFault(doing string, err error) *fault.Error {
	f := t.failed(doing+" the row index "+t.rows.quoted, err)
	if f.Fix != "" {
		return f
	}
	switch numberOf(err) {
	case oraNoPrivilege:
		return f.WithFix(t.rowGrant())
	case oraNoTable:
		return f.WithFix(t.rowDDL())
	case oraNoColumn:
		return f.WithFix("set applier.row_table to another name: that table is not one of ours, which is made so:\n" + t.rowDDL())
	}
	return f
}

// OpenIndex implements applier.Session.
func (s *session) OpenIndex(ctx context.Context) error {
	t := s.target
	ctx, cancel := t.limited(ctx)
	defer cancel()
	err := each(ctx, t.db, func(*sql.Rows) error { return nil }, t.rows.probe)
	if err == nil {
		return nil
	}
	if !has(err, oraNoTable) {
		return t.rowFault("reading", err)
	}
	t.creating.Lock()
	defer t.creating.Unlock()
	if err = run(ctx, t.db, t.rows.create...); err == nil || has(err, oraNameTaken) {
		return nil
	}
	f := t.failed("creating the row index "+t.rows.quoted, err)
	if has(err, oraNoPrivilege, oraNoQuota) {
		return f.WithFix(t.rowDDL())
	}
	return f
}

// outputValues are the first parameters of every statement on the row index, with more behind them.
func outputValues(l laneName, output string, more ...any) []any {
	return append([]any{l.GetPipeline(), l.GetJob(), l.GetConnection(), output}, more...)
}

// laneName is a lane, as far as the row index knows it.
type laneName interface {
	GetPipeline() string
	GetJob() string
	GetConnection() string
}

// inChunks runs a query for some keys at a time.
func inChunks(ctx context.Context, q querier, l laneName, output string, keys [][]byte, text func(n int) string, scan func(*sql.Rows) error) error {
	for chunk := range slices.Chunk(keys, mostKeys) {
		args := outputValues(l, output)
		for _, key := range padded(slices.Clip(chunk)) {
			args = append(args, key)
		}
		if err := each(ctx, q, scan, text(len(args)-4), args...); err != nil {
			return err
		}
	}
	return nil
}

// Images implements applier.Session.
func (s *session) Images(ctx context.Context, output string, owners [][]byte) ([][]byte, error) {
	t := s.target
	ctx, cancel := t.limited(ctx)
	defer cancel()
	found := map[string][]byte{}
	err := inChunks(ctx, t.db, s.lane, output, owners, t.rows.images, func(rows *sql.Rows) error {
		var owner, before []byte
		err := rows.Scan(&owner, &before)
		found[string(owner)] = before
		return err
	})
	if err != nil {
		return nil, t.rowFault("reading", err)
	}
	images := make([][]byte, len(owners))
	for i, owner := range owners {
		images[i] = found[string(owner)]
	}
	return images, nil
}

// Owned implements applier.Txn. An entry that was waited for is read as it has become meanwhile, or not at all.
func (x *txn) Owned(ctx context.Context, output string, owners, rows [][]byte) ([]applier.Entry, error) {
	return x.owned(ctx, x.session.lane, output, owners, rows)
}

func (x *txn) owned(ctx context.Context, l laneName, output string, owners, rows [][]byte) ([]applier.Entry, error) {
	ctx, cancel := x.target.limited(ctx)
	defer cancel()
	found := map[string]applier.Entry{}
	for _, by := range []struct {
		column string
		keys   [][]byte
	}{{"REDIS_KEY", owners}, {"ROW_KEY", rows}} {
		text := func(n int) string { return x.target.rows.owned(by.column, n) }
		err := inChunks(ctx, x.tx, l, output, by.keys, text, func(rows *sql.Rows) (err error) {
			var e applier.Entry
			var ms, seq string
			if err := rows.Scan(&e.Row, &e.Owner, &ms, &seq); err != nil {
				return err
			}
			if e.Ms, err = strconv.ParseUint(ms, 10, 64); err == nil {
				e.Seq, err = strconv.ParseUint(seq, 10, 64)
			}
			found[string(e.Row)] = e
			return err
		})
		if err != nil {
			return nil, x.target.rowFault("reading", err)
		}
	}
	entries := make([]applier.Entry, 0, len(found))
	for _, e := range found {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b applier.Entry) int { return bytes.Compare(a.Row, b.Row) })
	return entries, nil
}

// Own implements applier.Txn.
func (x *txn) Own(ctx context.Context, output string, entries []applier.Entry, gone [][]byte) error {
	return x.own(ctx, x.session.lane, output, entries, gone)
}

func (x *txn) own(ctx context.Context, l laneName, output string, entries []applier.Entry, gone [][]byte) error {
	ctx, cancel := x.target.limited(ctx)
	defer cancel()
	var err error
	if len(gone) > 0 {
		_, err = x.tx.ExecContext(ctx, x.target.rows.remove, arrays(l, output, gone)...)
	}
	// Long images travel as large objects, by themselves.
	short, long := []applier.Entry{}, []applier.Entry{}
	for _, e := range entries {
		if len(e.Before) > longBytes {
			long = append(long, e)
		} else {
			short = append(short, e)
		}
	}
	for i, some := range [][]applier.Entry{short, long} {
		for chunk := range slices.Chunk(some, defaultRows) {
			if err == nil {
				_, err = x.tx.ExecContext(ctx, x.target.rows.store, entryArrays(l, output, chunk, i == 1)...)
			}
		}
	}
	if err == nil {
		return nil
	}
	var known *fault.Error
	if errors.As(err, &known) {
		return known
	}
	return x.target.rowFault("writing", err)
}

// arrays are the parameters of the output, as often as there are rows, and the rows.
func arrays(l laneName, output string, rows [][]byte) []any {
	repeat := func(text string) []sql.NullString { return slices.Repeat([]sql.NullString{optional(text)}, len(rows)) }
	return []any{repeat(l.GetPipeline()), repeat(l.GetJob()), repeat(l.GetConnection()), repeat(output), rows}
}
