package sqlserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipstream/applier"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// defaultRowTable is the name where the settings give none.
const defaultRowTable = "slipstream_row"

// rowTable is the row index (design D8) and the statements on it. Keys are bytes, since Redis does not require text, of any
// length, so that they are looked for by a hash: an index takes 1,700 bytes.
type rowTable struct {
	schema, name string // schema is empty for the default one
	quoted       string
	create       string
	probe        string
}

const (
	indexKey  = `[pipeline], [job], [connection], [output]`
	indexDecl = `@p1 nvarchar(4000), @p2 nvarchar(4000), @p3 nvarchar(4000), @p4 nvarchar(4000)`
	isOutput  = `[pipeline] = @p1 AND [job] = @p2 AND [connection] = @p3 AND [output] = @p4`
	// hashesAt once is how many hashes a statement takes, entriesAt how many entries of six values.
	hashesAt  = 1000
	entriesAt = 300
)

// newRowTable makes the statements for a table.
func newRowTable(name string) rowTable {
	var r rowTable
	r.schema, r.name, r.quoted = split(name, defaultRowTable)
	text := "nvarchar(200) " + exact + " NOT NULL"
	r.create = `CREATE TABLE ` + r.quoted + ` (
  [pipeline] ` + text + `, [job] ` + text + `, [connection] ` + text + `, [output] ` + text + `,
  [row_hash] varbinary(32) NOT NULL, [owner_hash] varbinary(32) NOT NULL, [row_key] varbinary(max) NOT NULL,
  [redis_key] varbinary(max) NOT NULL, [last_ms] bigint NOT NULL, [last_seq] bigint NOT NULL, [before] varbinary(max) NULL,
  PRIMARY KEY NONCLUSTERED (` + indexKey + `, [row_hash]));
CREATE INDEX ` + quote(r.name+"_owner") + ` ON ` + r.quoted + ` ([owner_hash]);`
	r.probe = `SELECT TOP (0) ` + indexKey + `, [row_hash], [owner_hash], [row_key], [redis_key], [last_ms], [last_seq], [before] FROM ` + r.quoted
	return r
}

// hash is what a key is looked for by.
func hash(key []byte) []byte {
	sum := sha256.Sum256(key)
	return sum[:]
}

// list is a list of n parameters from a number on, and their types.
func list(first, n int, typ string) (names, decl string) {
	p, d := make([]string, n), make([]string, n)
	for i := range n {
		p[i] = fmt.Sprintf("@p%d", first+i)
		d[i] = p[i] + " " + typ
	}
	return strings.Join(p, ", "), strings.Join(d, ", ")
}

// ownedText locks and returns the entries with some hashes. The locks are those of an update that changes nothing: hints
// alone would lock nothing on a server that ignores them, and what another transaction is about to change must be waited
// for. The table is ours and has no triggers, so OUTPUT works.
func (r *rowTable) ownedText(column string, n int) *sqlText {
	names, decl := list(5, n, "varbinary(32)")
	return &sqlText{`UPDATE ` + r.quoted + ` SET [last_seq] = [last_seq]
OUTPUT inserted.[row_key], inserted.[redis_key], inserted.[last_ms], inserted.[last_seq]
WHERE ` + isOutput + ` AND [` + column + `] IN (` + names + `)`, indexDecl + ", " + decl}
}

func (r *rowTable) imagesText(n int) *sqlText {
	names, decl := list(5, n, "varbinary(32)")
	return &sqlText{`SELECT [redis_key], [before] FROM ` + r.quoted + ` WHERE ` + isOutput + `
AND [owner_hash] IN (` + names + `) AND [before] IS NOT NULL ORDER BY [last_ms], [last_seq]`, indexDecl + ", " + decl}
}

func (r *rowTable) removeText(n int) *sqlText {
	names, decl := list(5, n, "varbinary(32)")
	return &sqlText{`DELETE FROM ` + r.quoted + ` WHERE ` + isOutput + ` AND [row_hash] IN (` + names + `)`, indexDecl + ", " + decl}
}

// entryTypes are the types of an entry's parameters.
var entryTypes = []string{"varbinary(32)", "varbinary(32)", "varbinary(max)", "varbinary(max)", "bigint", "bigint", "varbinary(max)"}

func (r *rowTable) storeText(n int) *sqlText {
	rows, decl := make([]string, n), []string{indexDecl}
	for i := range n {
		names := make([]string, len(entryTypes))
		for k, typ := range entryTypes {
			names[k] = fmt.Sprintf("@p%d", 5+i*len(entryTypes)+k)
			decl = append(decl, names[k]+" "+typ)
		}
		rows[i] = "(" + strings.Join(names, ", ") + ")"
	}
	from := "(VALUES " + strings.Join(rows, ", ") + ") AS s(h, o, r, k, m, q, b)"
	return &sqlText{`UPDATE t SET [owner_hash] = s.o, [redis_key] = s.k, [last_ms] = s.m, [last_seq] = s.q, [before] = s.b
FROM ` + r.quoted + ` AS t ` + locks + ` INNER JOIN ` + from + ` ON t.[row_hash] = s.h
WHERE t.[pipeline] = @p1 AND t.[job] = @p2 AND t.[connection] = @p3 AND t.[output] = @p4;
INSERT INTO ` + r.quoted + ` (` + indexKey + `, [row_hash], [owner_hash], [row_key], [redis_key], [last_ms], [last_seq], [before])
SELECT @p1, @p2, @p3, @p4, s.h, s.o, s.r, s.k, s.m, s.q, s.b FROM ` + from + `
WHERE NOT EXISTS (SELECT 1 FROM ` + r.quoted + ` AS t ` + locks + ` WHERE t.[pipeline] = @p1 AND t.[job] = @p2 AND t.[connection] = @p3
  AND t.[output] = @p4 AND t.[row_hash] = s.h);`, strings.Join(decl, ", ")}
}

// rowDDL is what somebody who may create tables has to run.
func (t *target) rowDDL() string { return t.rows.create + "\n" + t.rowGrant() }

func (t *target) rowGrant() string {
	return fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %s;", t.rows.quoted, quote(t.user))
}

// rowFault makes a fault of an error in a statement on the row index; what is a fault already stays.
func (t *target) rowFault(doing string, err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return known
	}
	f := failed(doing+" the row index "+t.rows.quoted, err)
	switch number(err) {
	case errNoPermission:
		return f.WithFix(t.rowGrant())
	case errNoObject:
		return f.WithFix(t.rowDDL())
	case errNoColumn:
		return f.WithFix("set applier.row_table to another name: that table is not one of ours, which is made so:\n" + t.rowDDL())
	case errDuplicateKey, errDuplicateIndex: // another lane took the row meanwhile: look again who has it
		f.Class = flowv1.FaultClass_FAULT_CLASS_CONFLICT
	}
	return f
}

// OpenIndex implements applier.Session.
func (s *session) OpenIndex(ctx context.Context) error {
	t := s.target
	ctx, cancel := t.limited(ctx)
	defer cancel()
	there, err := t.hasIndex(ctx)
	if there || err != nil {
		return err
	}
	return t.createTable(ctx, "the row index "+t.rows.quoted, t.rows.create, t.rowDDL())
}

// hasIndex tells whether the row index is there.
func (t *target) hasIndex(ctx context.Context) (bool, error) {
	conn, err := t.take(ctx)
	if err != nil {
		return false, err
	}
	defer t.give(conn)
	err = each(ctx, conn, func(func(...any) error) error { return nil }, t.rows.probe)
	switch {
	case err == nil:
		return true, nil
	case number(err) == errNoObject:
		return false, nil
	}
	return false, t.rowFault("reading", err)
}

// outputArguments are the first parameters of every statement on the row index: pipeline, job, connection, output.
func (s *session) outputArguments(output string) []any {
	return append(slices.Clone(s.lane[1:4]), output)
}

// hashed runs a query for hashes of keys, as many at once as a statement takes, in the order of the hashes, so that two
// lanes seldom wait for each other in a circle.
func hashed(keys [][]byte, run func(hashes []any) error) error {
	hashes := make([][]byte, 0, len(keys))
	for _, k := range keys {
		hashes = append(hashes, hash(k))
	}
	slices.SortFunc(hashes, bytes.Compare)
	hashes = slices.CompactFunc(hashes, bytes.Equal)
	for len(hashes) > 0 {
		n := chunk(len(hashes), hashesAt)
		args := make([]any, n)
		for i, h := range hashes[:n] {
			args[i] = h
		}
		if err := run(args); err != nil {
			return err
		}
		hashes = hashes[n:]
	}
	return nil
}

// Images implements applier.Session.
func (s *session) Images(ctx context.Context, output string, owners [][]byte) ([][]byte, error) {
	t := s.target
	ctx, cancel := t.limited(ctx)
	defer cancel()
	conn, err := t.take(ctx)
	if err != nil {
		return nil, err
	}
	defer t.give(conn)
	found := map[string][]byte{}
	err = hashed(owners, func(hashes []any) error {
		text := t.rows.imagesText(len(hashes))
		return each(ctx, conn, func(scan func(...any) error) error {
			var owner, image []byte
			err := scan(&owner, &image)
			found[string(owner)] = image
			return err
		}, executeSQL, append(append([]any{text.sql, text.decl}, s.outputArguments(output)...), hashes...)...)
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

// Owned implements applier.Txn.
func (x *txn) Owned(ctx context.Context, output string, owners, rows [][]byte) (entries []applier.Entry, err error) {
	again := false
	err = x.do(ctx, func(ctx context.Context) error {
		found, err := x.owned(ctx, output, owners, rows)
		if err == nil && again && !slices.EqualFunc(found, entries, sameEntry) {
			return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT, "the row index changed while the transaction was begun again")
		}
		entries, again = found, true
		return err
	})
	if err != nil {
		return nil, x.session.target.rowFault("reading", err)
	}
	return entries, nil
}

func sameEntry(a, b applier.Entry) bool {
	return bytes.Equal(a.Row, b.Row) && bytes.Equal(a.Owner, b.Owner) && a.Ms == b.Ms && a.Seq == b.Seq
}

func (x *txn) owned(ctx context.Context, output string, owners, rows [][]byte) ([]applier.Entry, error) {
	if err := x.save(ctx); err != nil {
		return nil, err
	}
	r, s := &x.session.target.rows, x.session
	found := map[string]applier.Entry{}
	for _, by := range []struct {
		column string
		keys   [][]byte
	}{{"row_hash", rows}, {"owner_hash", owners}} {
		err := hashed(by.keys, func(hashes []any) error {
			text := r.ownedText(by.column, len(hashes))
			return each(ctx, x.conn, func(scan func(...any) error) error {
				var e applier.Entry
				var ms, seq int64
				err := scan(&e.Row, &e.Owner, &ms, &seq)
				e.Ms, e.Seq = uint64(ms), uint64(seq)
				found[string(e.Row)] = e
				return err
			}, executeSQL, append(append([]any{text.sql, text.decl}, s.outputArguments(output)...), hashes...)...)
		})
		if err != nil {
			return nil, err
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
	err := x.do(ctx, func(ctx context.Context) error { return x.own(ctx, output, entries, gone) })
	if err != nil {
		return x.session.target.rowFault("writing", err)
	}
	return nil
}

func (x *txn) own(ctx context.Context, output string, entries []applier.Entry, gone [][]byte) error {
	r, s := &x.session.target.rows, x.session
	err := hashed(gone, func(hashes []any) error {
		_, err := x.run(ctx, r.removeText(len(hashes)), append(s.outputArguments(output), hashes...))
		return err
	})
	if err != nil {
		return err
	}
	// Stored in the order of the hashes, as they are locked.
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b applier.Entry) int { return bytes.Compare(hash(a.Row), hash(b.Row)) })
	for len(sorted) > 0 {
		n := chunk(len(sorted), min(entriesAt, (mostParameters-4)/len(entryTypes)))
		args := s.outputArguments(output)
		for i := range sorted[:n] {
			e := &sorted[i]
			args = append(args, hash(e.Row), hash(e.Owner), solid(e.Row), solid(e.Owner), int64(e.Ms), int64(e.Seq), e.Before)
		}
		if _, err := x.run(ctx, r.storeText(n), args); err != nil {
			return err
		}
		sorted = sorted[n:]
	}
	return nil
}

// solid is bytes that are not NULL.
func solid(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
