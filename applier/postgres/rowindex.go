package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"slipstream/applier"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// defaultRowTable is the name where the settings give none.
const defaultRowTable = "slipstream_row"

// rowTable is the row index (design D8) and the statements on it. Keys are bytes, since Redis does not require text;
// they travel as hexadecimal digits.
type rowTable struct {
	schema, name string
	quoted       string
	create       []string
	probe        string
	owned        string
	images       string
	store        string
	remove       string
}

const (
	oidTextArray = 1009
	oidInt8Array = 1016
)

var (
	ownedOIDs  = []uint32{oidText, oidText, oidText, oidText, oidTextArray, oidTextArray}
	imageOIDs  = []uint32{oidText, oidText, oidText, oidText, oidTextArray}
	removeOIDs = imageOIDs
	storeOIDs  = []uint32{oidText, oidText, oidText, oidText, oidTextArray, oidTextArray, oidInt8Array, oidInt8Array, oidTextArray}
)

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
	r.create = []string{
		`CREATE TABLE IF NOT EXISTS ` + r.quoted + ` (
  "pipeline" text NOT NULL, "job" text NOT NULL, "connection" text NOT NULL, "output" text NOT NULL,
  "row_key" bytea NOT NULL, "redis_key" bytea NOT NULL, "last_ms" bigint NOT NULL, "last_seq" bigint NOT NULL, "before" bytea,
  PRIMARY KEY ("pipeline", "job", "connection", "output", "row_key"));`,
		`CREATE INDEX IF NOT EXISTS ` + quote(r.name+"_owner") + ` ON ` + r.quoted +
			` ("pipeline", "job", "connection", "output", "redis_key");`,
	}
	r.probe = `SELECT 1 FROM ` + r.quoted + ` LIMIT 0`
	where := ` WHERE "pipeline" = $1 AND "job" = $2 AND "connection" = $3 AND "output" = $4 AND `
	among := func(column, parameter string) string {
		return column + ` = ANY (ARRAY(SELECT decode(k, 'hex') FROM unnest(` + parameter + `) AS k))`
	}
	// Locked in the order of the rows, as every lane does, so that two lanes rarely wait for each other in a circle.
	r.owned = `SELECT encode("row_key", 'hex'), encode("redis_key", 'hex'), "last_ms"::text, "last_seq"::text FROM ` + r.quoted +
		where + `(` + among(`"redis_key"`, "$5") + ` OR ` + among(`"row_key"`, "$6") + `) ORDER BY "row_key" FOR UPDATE`
	r.images = `SELECT encode("redis_key", 'hex'), encode("before", 'hex') FROM ` + r.quoted + where + among(`"redis_key"`, "$5") +
		` AND "before" IS NOT NULL ORDER BY "last_ms", "last_seq"`
	r.remove = `DELETE FROM ` + r.quoted + where + among(`"row_key"`, "$5")
	r.store = `INSERT INTO ` + r.quoted + ` ("pipeline", "job", "connection", "output", "row_key", "redis_key", "last_ms", "last_seq", "before")
SELECT $1, $2, $3, $4, decode(u.r, 'hex'), decode(u.o, 'hex'), u.m, u.s, decode(u.b, 'hex') FROM unnest($5, $6, $7, $8, $9) AS u(r, o, m, s, b)
ON CONFLICT ("pipeline", "job", "connection", "output", "row_key") DO UPDATE SET "redis_key" = excluded."redis_key",
  "last_ms" = excluded."last_ms", "last_seq" = excluded."last_seq", "before" = excluded."before"`
	return r
}

// ddl is what somebody who may create tables has to run.
func (t *target) rowDDL() string { return strings.Join(t.rows.create, "\n") + "\n" + t.rowGrant() }

func (t *target) rowGrant() string {
	return fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %s;", t.rows.quoted, quote(t.user))
}

// rowFault makes a fault of an error in a statement on the row index.
func (t *target) rowFault(doing string, err error) error {
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

// OpenIndex implements applier.Session. Only a missing table is created: CREATE … IF NOT EXISTS asks for the right to
// create even where the table is there.
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
	if !hasState(err, stateNoTable) {
		if err != nil {
			return t.rowFault("reading", err)
		}
		return nil
	}
	t.creating.Lock()
	defer t.creating.Unlock()
	for _, text := range t.rows.create {
		_, err := exchange(ctx, pg, only(statement{sql: text}))
		if err == nil || hasState(err, stateDuplicateTable, stateUniqueViolation) {
			continue
		}
		f := failed("creating the row index "+t.rows.quoted, err)
		if f.Code == stateNoPrivilege || f.Code == stateNoSchema {
			f.Class = flowv1.FaultClass_FAULT_CLASS_PERMISSION
			return f.WithFix(t.rowDDL())
		}
		return f
	}
	return nil
}

// outputValues are the first parameters of every statement on the row index.
func (s *session) outputValues(output string) [][]byte {
	return append(append([][]byte{}, s.lane[1:4]...), []byte(output)) // pipeline, job, connection
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
	read := statement{sql: t.rows.images, values: append(s.outputValues(output), hexArray(owners)), oids: imageOIDs}
	read.row = func(v [][]byte) { found[string(unhex(v[0]))] = unhex(v[1]) }
	if _, err := exchange(ctx, conn.Conn().PgConn(), only(read)); err != nil {
		return nil, t.rowFault("reading", err)
	}
	images := make([][]byte, len(owners))
	for i, owner := range owners {
		images[i] = found[string(owner)]
	}
	return images, nil
}

// Owned implements applier.Txn.
func (x *txn) Owned(ctx context.Context, output string, owners, rows [][]byte) ([]applier.Entry, error) {
	var entries []applier.Entry
	var unreadable error
	read := statement{
		sql: x.session.target.rows.owned, oids: ownedOIDs,
		values: append(x.session.outputValues(output), hexArray(owners), hexArray(rows)),
	}
	read.row = func(v [][]byte) {
		e := applier.Entry{Row: unhex(v[0]), Owner: unhex(v[1])}
		var err error
		if e.Ms, err = strconv.ParseUint(string(v[2]), 10, 64); err != nil {
			unreadable = err
		}
		if e.Seq, err = strconv.ParseUint(string(v[3]), 10, 64); err != nil {
			unreadable = err
		}
		entries = append(entries, e)
	}
	if err := x.send(ctx, only(read)); err != nil {
		return nil, x.indexFault("reading", err)
	}
	if unreadable != nil {
		return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "reading an entry of the row index: %w", unreadable)
	}
	return entries, nil
}

// indexFault leaves alone what send has classed already.
func (x *txn) indexFault(doing string, err error) error {
	if fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED {
		return err
	}
	return x.session.target.rowFault(doing, err)
}

// Own implements applier.Txn.
func (x *txn) Own(ctx context.Context, output string, entries []applier.Entry, gone [][]byte) error {
	r, values := &x.session.target.rows, x.session.outputValues(output)
	err := x.send(ctx, func(send func(statement) error) error {
		if len(gone) > 0 {
			if err := send(statement{sql: r.remove, values: append(values[:4:4], hexArray(gone)), oids: removeOIDs}); err != nil {
				return err
			}
		}
		if len(entries) == 0 {
			return nil
		}
		return send(statement{sql: r.store, values: append(values[:4:4], entryArrays(entries)...), oids: storeOIDs})
	})
	if err != nil {
		return x.indexFault("writing", err)
	}
	return nil
}

// entryArrays are entries as arrays: rows, owners, both parts of the IDs, images.
func entryArrays(entries []applier.Entry) [][]byte {
	rows, owners, images := make([][]byte, len(entries)), make([][]byte, len(entries)), make([][]byte, len(entries))
	ms, seq := []byte{'{'}, []byte{'{'}
	for i := range entries {
		e := &entries[i]
		rows[i], owners[i], images[i] = e.Row, e.Owner, e.Before
		if i > 0 {
			ms, seq = append(ms, ','), append(seq, ',')
		}
		ms, seq = strconv.AppendUint(ms, e.Ms, 10), strconv.AppendUint(seq, e.Seq, 10)
	}
	return [][]byte{hexArray(rows), hexArray(owners), append(ms, '}'), append(seq, '}'), hexArray(images)}
}

// hexArray is a list of bytes as an array of texts, in hexadecimal digits; nil is NULL.
func hexArray(list [][]byte) []byte {
	out := []byte{'{'}
	for i, b := range list {
		if i > 0 {
			out = append(out, ',')
		}
		if b == nil {
			out = append(out, "NULL"...)
			continue
		}
		out = append(out, '"')
		out = hex.AppendEncode(out, b)
		out = append(out, '"')
	}
	return append(out, '}')
}

// unhex is what encode(…, 'hex') made of bytes; nil is NULL.
func unhex(text []byte) []byte {
	if text == nil {
		return nil
	}
	out := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(out, text); err != nil {
		return nil // the server wrote it
	}
	return out
}
