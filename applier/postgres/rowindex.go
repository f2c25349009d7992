package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"slipstream/applier"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// defaultRowTable is the name where the settings give none.
const defaultRowTable = "slipstream_row"

// rowTable is the row index (design D8) and the statements on it. Keys are bytes, since Redis does not require text.
type rowTable struct {
	schema, name string // schema is empty for the default one
	quoted       string
	create       []string
	probe        string
	owned        string
	images       string
	store        string
	remove       string
}

const oidBytesArray = 1001

var (
	ownedOIDs = []uint32{oidText, oidText, oidText, oidText, oidBytesArray, oidBytesArray}
	imageOIDs = []uint32{oidText, oidText, oidText, oidText, oidBytesArray}
	storeOIDs = []uint32{
		oidText, oidText, oidText, oidText, oidBytesArray, oidBytesArray, int8Array.array, int8Array.array, oidBytesArray,
	}
	ownedFormats = []int16{0, 0, 0, 0, 1, 1}
	imageFormats = []int16{0, 0, 0, 0, 1}
	storeFormats = []int16{0, 0, 0, 0, 1, 1, 1, 1, 1}
	inBinary     = []int16{1}
)

const indexKey = `"pipeline", "job", "connection", "output"`

// newRowTable makes the statements for a table named "name" or "schema.name".
func newRowTable(name string) rowTable {
	if name == "" {
		name = defaultRowTable
	}
	r := rowTable{name: name, quoted: quote(name)}
	if schema, table, ok := strings.Cut(name, "."); ok {
		r.schema, r.name = schema, table
		r.quoted = quote(schema) + "." + quote(table)
	}
	// Owners are looked for by a hash, which takes keys of any length; the rest of the key is seldom needed to tell them
	// apart. Part of each page stays free, because most changes set the ID of an entry in place.
	r.create = []string{
		`CREATE TABLE ` + r.quoted + ` (
  "pipeline" text NOT NULL, "job" text NOT NULL, "connection" text NOT NULL, "output" text NOT NULL,
  "row_key" bytea NOT NULL, "redis_key" bytea NOT NULL, "last_ms" bigint NOT NULL, "last_seq" bigint NOT NULL, "before" bytea,
  PRIMARY KEY (` + indexKey + `, "row_key")) WITH (fillfactor = 80);`,
		`CREATE INDEX ON ` + r.quoted + ` USING hash ("redis_key");`,
	}
	r.probe = `SELECT ` + indexKey + `, "row_key", "redis_key", "last_ms", "last_seq", "before" FROM ` + r.quoted + ` WHERE false FOR UPDATE`
	where := ` WHERE "pipeline" = $1 AND "job" = $2 AND "connection" = $3 AND "output" = $4 AND `
	// Locked in the order of the rows, as every lane does, so that two lanes rarely wait for each other in a circle.
	r.owned = `SELECT "row_key", "redis_key", "last_ms", "last_seq" FROM ` + r.quoted + where +
		`("redis_key" = ANY ($5) OR "row_key" = ANY ($6)) ORDER BY "row_key" FOR UPDATE`
	r.images = `SELECT "redis_key", "before" FROM ` + r.quoted + where +
		`"redis_key" = ANY ($5) AND "before" IS NOT NULL ORDER BY "last_ms", "last_seq"`
	r.remove = `DELETE FROM ` + r.quoted + where + `"row_key" = ANY ($5)`
	r.store = `INSERT INTO ` + r.quoted + ` (` + indexKey + `, "row_key", "redis_key", "last_ms", "last_seq", "before")
SELECT $1, $2, $3, $4, u.* FROM unnest($5, $6, $7, $8, $9) AS u
ON CONFLICT (` + indexKey + `, "row_key") DO UPDATE SET "redis_key" = excluded."redis_key",
  "last_ms" = excluded."last_ms", "last_seq" = excluded."last_seq", "before" = excluded."before"`
	return r
}

// ddl is what somebody who may create tables has to run.
func (t *target) rowDDL() string { return strings.Join(t.rows.create, "\n") + "\n" + t.rowGrant() }

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
	switch f.Code {
	case stateNoPrivilege:
		return f.WithFix(t.rowGrant())
	case stateNoTable:
		return f.WithFix(t.rowDDL())
	case stateNoColumn, stateNoArbiter:
		return f.WithFix("set applier.row_table to another name: that table is not one of ours, which is made so:\n" + t.rowDDL())
	}
	return f
}

// OpenIndex implements applier.Session.
func (s *session) OpenIndex(ctx context.Context) error {
	t := s.target
	ctx, cancel := t.limited(ctx)
	defer cancel()
	conn, err := t.pool.Acquire(ctx)
	if err != nil {
		return t.unreachable(err)
	}
	defer conn.Release()
	pg := conn.Conn().PgConn()
	_, err = exchange(ctx, pg, only(statement{sql: t.rows.probe}))
	switch {
	case err == nil:
		return nil
	case !hasState(err, stateNoTable, stateNoSchema):
		return t.rowFault("reading", err)
	}
	t.creating.Lock()
	defer t.creating.Unlock()
	// One exchange is one transaction: whoever sees the table sees its index too.
	_, err = exchange(ctx, pg, func(send func(statement) error) error {
		for _, text := range t.rows.create {
			if err := send(statement{sql: text}); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil || madeMeanwhile(err) {
		return nil
	}
	f := failed("creating the row index "+t.rows.quoted, err)
	if f.Code == stateNoPrivilege || f.Code == stateNoSchema {
		f.Class = flowv1.FaultClass_FAULT_CLASS_PERMISSION
		return f.WithFix(t.rowDDL())
	}
	return f
}

// outputValues are the first parameters of every statement on the row index, with more behind them.
func (s *session) outputValues(output string, more ...[]byte) [][]byte {
	return append(append(append(make([][]byte, 0, 9), s.lane[1:4]...), []byte(output)), more...) // pipeline, job, connection
}

// Images implements applier.Session.
func (s *session) Images(ctx context.Context, output string, owners [][]byte) ([][]byte, error) {
	t := s.target
	ctx, cancel := t.limited(ctx)
	defer cancel()
	conn, err := t.pool.Acquire(ctx)
	if err != nil {
		return nil, t.unreachable(err)
	}
	defer conn.Release()
	found := map[string][]byte{}
	read := statement{
		sql: t.rows.images, values: s.outputValues(output, appendBytes(nil, owners)), oids: imageOIDs, formats: imageFormats,
		results: inBinary,
	}
	read.row = func(v [][]byte) { found[string(v[0])] = bytes.Clone(v[1]) }
	if _, err := exchange(ctx, conn.Conn().PgConn(), only(read)); err != nil {
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
	var entries []applier.Entry
	read := statement{
		sql: x.session.target.rows.owned, oids: ownedOIDs, formats: ownedFormats, results: inBinary,
		values: x.session.outputValues(output, appendBytes(nil, owners), appendBytes(nil, rows)),
	}
	read.row = func(v [][]byte) {
		entries = append(entries, applier.Entry{
			Row: bytes.Clone(v[0]), Owner: bytes.Clone(v[1]),
			Ms: binary.BigEndian.Uint64(v[2]), Seq: binary.BigEndian.Uint64(v[3]),
		})
	}
	if err := x.send(ctx, only(read)); err != nil {
		return nil, x.session.target.rowFault("reading", err)
	}
	return entries, nil
}

// Own implements applier.Txn.
func (x *txn) Own(ctx context.Context, output string, entries []applier.Entry, gone [][]byte) error {
	r := &x.session.target.rows
	err := x.send(ctx, func(send func(statement) error) error {
		if len(gone) > 0 {
			err := send(statement{
				sql: r.remove, values: x.session.outputValues(output, appendBytes(nil, gone)), oids: imageOIDs, formats: imageFormats,
			})
			if err != nil {
				return err
			}
		}
		if len(entries) == 0 {
			return nil
		}
		return send(statement{
			sql: r.store, values: x.session.outputValues(output, entryArrays(entries)...), oids: storeOIDs, formats: storeFormats,
		})
	})
	if err != nil {
		return x.session.target.rowFault("writing", err)
	}
	return nil
}

// entryArrays are entries as arrays: rows, owners, both parts of the IDs, images. An ID of 64 bits keeps them all, though
// the server shows the highest as negative.
func entryArrays(entries []applier.Entry) [][]byte {
	lists := make([][]byte, 3*len(entries))
	rows, owners, images := lists[:len(entries)], lists[len(entries):2*len(entries)], lists[2*len(entries):]
	ms, seq := appendHead(nil, int8Array, len(entries)), appendHead(nil, int8Array, len(entries))
	for i := range entries {
		e := &entries[i]
		rows[i], owners[i], images[i] = e.Row, e.Owner, e.Before
		ms = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(ms, 8), e.Ms)
		seq = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(seq, 8), e.Seq)
	}
	return [][]byte{appendBytes(nil, rows), appendBytes(nil, owners), ms, seq, appendBytes(nil, images)}
}
