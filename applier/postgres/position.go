package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"slipstream/applier"
	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// defaultPositionTable is the name where the settings give none.
const defaultPositionTable = "slipstream_position"

// positionTable is the table of positions (design D4) and the statements on it. One row a lane; a row belongs to the
// source installation that made it.
type positionTable struct {
	schema, name string // schema is empty for the default one
	quoted       string
	create       string
	open         string
	move         string
}

const laneColumns = `"pipeline", "job", "connection", "layout", "shard", "partition"`

// newPositionTable makes the statements for a table named "name" or "schema.name".
func newPositionTable(name string) positionTable {
	if name == "" {
		name = defaultPositionTable
	}
	p := positionTable{name: name, quoted: quote(name)}
	if schema, table, ok := strings.Cut(name, "."); ok {
		p.schema, p.name = schema, table
		p.quoted = quote(schema) + "." + quote(table)
	}
	// Half of each page stays free: every batch updates a row in place.
	p.create = `CREATE TABLE IF NOT EXISTS ` + p.quoted + ` (
  "source" text NOT NULL, "pipeline" text NOT NULL, "job" text NOT NULL, "connection" text NOT NULL,
  "layout" bigint NOT NULL, "shard" text NOT NULL, "partition" bigint NOT NULL,
  "incarnation" text, "last_id" text NOT NULL DEFAULT '0-0', "last_side_id" text NOT NULL DEFAULT '0-0',
  "epoch" bigint NOT NULL, "state" text, "owner" text NOT NULL DEFAULT '', "updated_at" timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (` + laneColumns + `)) WITH (fillfactor = 50);`
	p.open = `INSERT INTO ` + p.quoted + ` AS t ("source", ` + laneColumns + `, "epoch", "owner")
VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8)
ON CONFLICT (` + laneColumns + `) DO UPDATE SET "epoch" = t."epoch" + 1, "owner" = excluded."owner", "updated_at" = now()
WHERE t."source" = excluded."source"
RETURNING "epoch"::text, "last_id", "last_side_id", "incarnation", "state"`
	// No row moved: the division fails in the server, and nothing that was sent behind it runs. The timeouts are those of
	// this transaction only, because the session may be a pooler's.
	p.move = `WITH moved AS (UPDATE ` + p.quoted + ` SET "last_id" = $10, "last_side_id" = $11,
    "incarnation" = coalesce($12, "incarnation"), "state" = coalesce($13, "state"), "updated_at" = now()
  WHERE "source" = $1 AND "pipeline" = $2 AND "job" = $3 AND "connection" = $4 AND "layout" = $5 AND "shard" = $6
    AND "partition" = $7 AND "epoch" = $8 AND "last_id" = $9 AND "last_side_id" = $14
  RETURNING 1)
SELECT 1 / count(*), ` + setTimeouts("$15", "$16") + ` FROM moved`
	return p
}

// setTimeouts is the expressions that set both timeouts for the transaction, in milliseconds.
func setTimeouts(statement, idle string) string {
	return `set_config('statement_timeout', ` + statement + `, true), set_config('idle_in_transaction_session_timeout', ` + idle + `, true)`
}

// OIDs of scalar parameters.
const (
	oidText = 25
	oidInt8 = 20
)

var (
	openOIDs = []uint32{oidText, oidText, oidText, oidText, oidInt8, oidText, oidInt8, oidText}
	moveOIDs = []uint32{
		oidText, oidText, oidText, oidText, oidInt8, oidText, oidInt8, oidInt8, oidText, oidText, oidText, oidText, oidText,
		oidText, oidText, oidText,
	}
)

// lane is the key of a position row as parameters: source, pipeline, job, connection, layout, shard, partition.
func laneValues(l *flowv1.Lane) [][]byte {
	return [][]byte{
		[]byte(l.GetSource()), []byte(l.GetPipeline()), []byte(l.GetJob()), []byte(l.GetConnection()),
		strconv.AppendUint(nil, uint64(l.GetLayout()), 10), []byte(l.GetShard()),
		strconv.AppendUint(nil, uint64(l.GetPartition()), 10),
	}
}

// OpenLane implements applier.Target.
func (t *target) OpenLane(ctx context.Context, lane *flowv1.Lane, owner string) (applier.Session, *flowv1.Opened, error) {
	ctx, cancel := t.limited(ctx)
	defer cancel()
	conn, err := t.pool.Acquire(ctx)
	if err != nil {
		return nil, nil, t.unreachable(err)
	}
	defer conn.Release()
	pg := conn.Conn().PgConn()
	opened, err := t.raise(ctx, pg, lane, owner)
	if hasState(err, stateNoTable) {
		if err := t.createPositions(ctx, pg); err != nil {
			if f, _ := t.hidden(ctx, conn, t.position.schema, t.position.name); f != nil {
				err = fault.Errorf(flowv1.FaultClass_FAULT_CLASS_PERMISSION, "%s: %w", f.message, err).WithFix(f.fix)
			}
			return nil, nil, err
		}
		opened, err = t.raise(ctx, pg, lane, owner)
	}
	if err != nil {
		return nil, nil, t.positionFault("opening a lane in", err)
	}
	if opened == nil {
		return nil, nil, t.foreignSource(ctx, conn.Conn(), lane)
	}
	s := &session{target: t, lane: laneValues(lane), epoch: strconv.FormatUint(opened.Epoch, 10)}
	return s, opened, nil
}

// raise issues the fence in a transaction of its own. Nil without an error: the row is another installation's.
func (t *target) raise(ctx context.Context, pg *pgconn.PgConn, lane *flowv1.Lane, owner string) (*flowv1.Opened, error) {
	var opened *flowv1.Opened
	var unreadable error
	timeouts := statement{sql: `SELECT ` + setTimeouts("$1", "$2"), values: t.timeouts(), oids: []uint32{oidText, oidText}}
	open := statement{sql: t.position.open, values: append(laneValues(lane), []byte(owner)), oids: openOIDs}
	open.row = func(v [][]byte) { opened, unreadable = readOpened(v) }
	_, err := exchange(ctx, pg, func(send func(statement) error) error {
		return errors.Join(send(statement{sql: "BEGIN ISOLATION LEVEL READ COMMITTED"}), send(timeouts), send(open),
			send(statement{sql: "COMMIT"}))
	})
	if err != nil {
		// A failed transaction must not stay on the connection. If this fails too the pool drops the connection.
		_, _ = exchange(ctx, pg, func(send func(statement) error) error { return send(statement{sql: "ROLLBACK"}) })
		return nil, err
	}
	return opened, unreadable
}

func (t *target) timeouts() [][]byte {
	return [][]byte{
		strconv.AppendInt(nil, t.statementTimeout.Milliseconds(), 10),
		strconv.AppendInt(nil, idleInTransaction.Milliseconds(), 10),
	}
}

// readOpened reads the row that open returns.
func readOpened(v [][]byte) (*flowv1.Opened, error) {
	epoch, err := strconv.ParseUint(string(v[0]), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("reading the epoch of a position row: %w", err)
	}
	o := &flowv1.Opened{Epoch: epoch, Position: &changev1.Position{}, Delivery: flowv1.Delivery_DELIVERY_EXACTLY_ONCE}
	if o.Position.Main, err = applier.ParseID(string(v[1])); err != nil {
		return nil, fmt.Errorf("reading a position row: %w", err)
	}
	if o.Position.Side, err = applier.ParseID(string(v[2])); err != nil {
		return nil, fmt.Errorf("reading a position row: %w", err)
	}
	if v[3] != nil || v[4] != nil {
		o.State = &changev1.LaneState{Incarnation: string(v[3]), Phase: string(v[4])}
	}
	return o, nil
}

// createPositions creates the position table where that is allowed. Lanes and other processes may do so at the same time.
func (t *target) createPositions(ctx context.Context, pg *pgconn.PgConn) error {
	t.creating.Lock()
	defer t.creating.Unlock()
	_, err := exchange(ctx, pg, func(send func(statement) error) error { return send(statement{sql: t.position.create}) })
	if err == nil || madeMeanwhile(err) {
		return nil
	}
	f := failed("creating the position table "+t.position.quoted, err)
	if f.Code == stateNoPrivilege || f.Code == stateNoSchema {
		f.Class = flowv1.FaultClass_FAULT_CLASS_PERMISSION
		return f.WithFix(t.positionDDL())
	}
	return f
}

// positionDDL is what somebody who may create tables has to run.
func (t *target) positionDDL() string {
	return t.position.create + "\n" + t.positionGrant()
}

func (t *target) positionGrant() string {
	return fmt.Sprintf("GRANT SELECT, INSERT, UPDATE ON %s TO %s;", t.position.quoted, quote(t.user))
}

// positionFault makes a fault of an error in a statement on the position table.
func (t *target) positionFault(doing string, err error) *fault.Error {
	f := failed(doing+" the position table "+t.position.quoted, err)
	switch f.Code {
	case stateNoPrivilege:
		return f.WithFix(t.positionGrant())
	case stateNoTable:
		return f.WithFix(t.positionDDL())
	case stateNoColumn, stateNoArbiter:
		return f.WithFix("set applier.position_table to another name: that table is not one of ours, which is made so:\n" + t.positionDDL())
	}
	return f
}

// foreignSource says whose the position row is. Such a row is never a start position (design D4).
func (t *target) foreignSource(ctx context.Context, conn *pgx.Conn, lane *flowv1.Lane) error {
	where := fmt.Sprintf(`"pipeline" = %s AND "job" = %s AND "connection" = %s AND "layout" = %d AND "shard" = %s AND "partition" = %d`,
		literal(lane.GetPipeline()), literal(lane.GetJob()), literal(lane.GetConnection()), lane.GetLayout(),
		literal(lane.GetShard()), lane.GetPartition())
	var source string
	if err := conn.QueryRow(ctx, `SELECT "source" FROM `+t.position.quoted+` WHERE `+where).Scan(&source); err != nil {
		return t.positionFault("reading", err)
	}
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA,
		"the position of pipeline %s, job %s, partition %d in %s belongs to source %s; this is source %s",
		lane.GetPipeline(), lane.GetJob(), lane.GetPartition(), t.position.quoted, source, lane.GetSource()).
		WithFix(fmt.Sprintf("DELETE FROM %s WHERE %s; -- only if that source is no more", t.position.quoted, where))
}
