package oracle

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"slipstream/applier"
	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// defaultPositionTable is the name where the settings give none.
const defaultPositionTable = "SLIPSTREAM_POSITION"

// lockWait is how long a lane that opens waits for a transaction of an earlier owner, in seconds.
const lockWait = 15

// positionTable is the table of positions (design D4) and the statements on it. One row a lane; a row belongs to the
// source installation that made it. Its names are in capitals, as the server reads names without quotes.
type positionTable struct {
	schema, name string // schema is empty for the default one
	quoted       string
	create       string
	lock         string
	insert       string
	raise        string
	move         string
}

const (
	laneColumns = `"PIPELINE", "JOB", "CONNECTION", "LAYOUT", "SHARD", "PARTITION"`
	laneIs      = `"PIPELINE" = :1 AND "JOB" = :2 AND "CONNECTION" = :3 AND "LAYOUT" = :4 AND "SHARD" = :5 AND "PARTITION" = :6`
	none        = "-" // where a text is empty: that would be NULL, which no key may be
)

// tableName reads a name from the settings, "table" or "schema.table". One without capitals means what the server would
// take it for.
func tableName(name, otherwise string) (schema, table, quoted string) {
	if name == "" {
		name = otherwise
	}
	table = newCase(name)
	quoted = quote(table)
	if s, t, ok := strings.Cut(name, "."); ok {
		schema, table = newCase(s), newCase(t)
		quoted = quote(schema) + "." + quote(table)
	}
	return schema, table, quoted
}

// newCase is a name as a table is made with it: in capitals, unless it is written in mixed case.
func newCase(name string) string {
	if strings.ToLower(name) == name {
		return strings.ToUpper(name)
	}
	return name
}

// newName is newCase as SQL.
func newName(name string) string { return quote(newCase(name)) }

func newPositionTable(name string) positionTable {
	p := positionTable{}
	p.schema, p.name, p.quoted = tableName(name, defaultPositionTable)
	p.create = `CREATE TABLE ` + p.quoted + ` (
  "SOURCE" VARCHAR2(200) NOT NULL, "PIPELINE" VARCHAR2(200) NOT NULL, "JOB" VARCHAR2(400) NOT NULL, "CONNECTION" VARCHAR2(200) NOT NULL,
  "LAYOUT" NUMBER(10) NOT NULL, "SHARD" VARCHAR2(200) NOT NULL, "PARTITION" NUMBER(10) NOT NULL,
  "INCARNATION" VARCHAR2(200), "LAST_ID" VARCHAR2(50) DEFAULT '0-0' NOT NULL, "LAST_SIDE_ID" VARCHAR2(50) DEFAULT '0-0' NOT NULL,
  "EPOCH" NUMBER(19) NOT NULL, "STATE" VARCHAR2(200), "OWNER" VARCHAR2(400), "UPDATED_AT" TIMESTAMP WITH TIME ZONE DEFAULT SYSTIMESTAMP NOT NULL,
  PRIMARY KEY (` + laneColumns + `)) PCTFREE 50;`
	p.lock = `SELECT "SOURCE", TO_CHAR("EPOCH"), "LAST_ID", "LAST_SIDE_ID", "INCARNATION", "STATE" FROM ` + p.quoted + ` WHERE ` + laneIs +
		` FOR UPDATE WAIT ` + strconv.Itoa(lockWait)
	p.insert = `INSERT INTO ` + p.quoted + ` (` + laneColumns + `, "SOURCE", "OWNER", "EPOCH") VALUES (:1, :2, :3, :4, :5, :6, :7, :8, 1)`
	// Parameters are bound in the order in which they stand.
	p.raise = `UPDATE ` + p.quoted + ` SET "EPOCH" = "EPOCH" + 1, "OWNER" = :1, "UPDATED_AT" = SYSTIMESTAMP
WHERE "PIPELINE" = :2 AND "JOB" = :3 AND "CONNECTION" = :4 AND "LAYOUT" = :5 AND "SHARD" = :6 AND "PARTITION" = :7`
	p.move = `UPDATE ` + p.quoted + ` SET "LAST_ID" = :1, "LAST_SIDE_ID" = :2, "INCARNATION" = NVL(:3, "INCARNATION"), "STATE" = NVL(:4, "STATE"), "UPDATED_AT" = SYSTIMESTAMP
WHERE "PIPELINE" = :5 AND "JOB" = :6 AND "CONNECTION" = :7 AND "LAYOUT" = :8 AND "SHARD" = :9 AND "PARTITION" = :10
  AND "SOURCE" = :11 AND "EPOCH" = :12 AND "LAST_ID" = :13 AND "LAST_SIDE_ID" = :14`
	return p
}

// laneValues is the key of a position row.
func laneValues(l *flowv1.Lane) []any {
	shard := l.GetShard()
	if shard == "" {
		shard = none
	}
	return []any{l.GetPipeline(), l.GetJob(), l.GetConnection(), int64(l.GetLayout()), shard, int64(l.GetPartition())}
}

// OpenLane implements applier.Target.
func (t *target) OpenLane(ctx context.Context, lane *flowv1.Lane, owner string) (applier.Session, *flowv1.Opened, error) {
	ctx, cancel := t.limited(ctx)
	defer cancel()
	opened, err := t.raise(ctx, lane, owner)
	if has(err, oraNoTable) {
		if err := t.createPositions(ctx); err != nil {
			return nil, nil, err
		}
		opened, err = t.raise(ctx, lane, owner)
	}
	if has(err, oraUnique) { // somebody else made the row a moment ago
		opened, err = t.raise(ctx, lane, owner)
	}
	if err != nil {
		return nil, nil, t.positionFault("opening a lane in", err)
	}
	return &session{target: t, lane: lane, epoch: int64(opened.Epoch)}, opened, nil
}

// raise issues the fence in a transaction of its own. It waits for one of an earlier owner that is still under way.
func (t *target) raise(ctx context.Context, lane *flowv1.Lane, owner string) (opened *flowv1.Opened, err error) {
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			if end := tx.Rollback(); !errors.Is(end, sql.ErrTxDone) {
				err = errors.Join(err, end)
			}
		}
	}()
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var source, epoch, last, side string
		var incarnation, state sql.NullString
		if err := rows.Scan(&source, &epoch, &last, &side, &incarnation, &state); err != nil {
			return err
		}
		if source != lane.GetSource() {
			return t.foreignSource(lane, source)
		}
		opened, err = readOpened(epoch, last, side, incarnation, state)
		return err
	}, t.position.lock, laneValues(lane)...)
	switch {
	case err != nil:
	case opened == nil:
		opened = &flowv1.Opened{Epoch: 1, Position: &changev1.Position{Main: &changev1.StreamId{}, Side: &changev1.StreamId{}}}
		_, err = tx.ExecContext(ctx, t.position.insert, append(laneValues(lane), lane.GetSource(), optional(owner))...)
	default:
		opened.Epoch++
		_, err = tx.ExecContext(ctx, t.position.raise, append([]any{optional(owner)}, laneValues(lane)...)...)
	}
	if err != nil {
		return nil, err
	}
	opened.Delivery = flowv1.Delivery_DELIVERY_EXACTLY_ONCE
	return opened, tx.Commit()
}

// readOpened reads a position row.
func readOpened(epoch, last, side string, incarnation, state sql.NullString) (*flowv1.Opened, error) {
	n, err := strconv.ParseUint(epoch, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("reading the epoch of a position row: %w", err)
	}
	o := &flowv1.Opened{Epoch: n, Position: &changev1.Position{}}
	if o.Position.Main, err = applier.ParseID(last); err != nil {
		return nil, fmt.Errorf("reading a position row: %w", err)
	}
	if o.Position.Side, err = applier.ParseID(side); err != nil {
		return nil, fmt.Errorf("reading a position row: %w", err)
	}
	if incarnation.Valid || state.Valid {
		o.State = &changev1.LaneState{Incarnation: incarnation.String, Phase: state.String}
	}
	return o, nil
}

// createPositions creates the position table where that is allowed. Lanes and other processes may do so at the same time.
func (t *target) createPositions(ctx context.Context) error {
	t.creating.Lock()
	defer t.creating.Unlock()
	err := run(ctx, t.db, t.position.create)
	if err == nil || has(err, oraNameTaken) {
		return nil
	}
	f := t.failed("creating the position table "+t.position.quoted, err)
	if has(err, oraNoPrivilege, oraNoQuota) {
		return f.WithFix(t.positionDDL())
	}
	return f
}

// run runs statements as they are shown, with a semicolon behind each. Each commits by itself.
func run(ctx context.Context, q querier, texts ...string) error {
	for _, text := range texts {
		if _, err := q.ExecContext(ctx, strings.TrimSuffix(text, ";")); err != nil {
			return err
		}
	}
	return nil
}

// positionDDL is what somebody who may create tables has to run.
func (t *target) positionDDL() string {
	return t.ddl(t.position.schema, t.position.quoted, t.positionGrant(), t.position.create)
}

// ddl is how a table is made for the account: as itself, or by somebody else in its schema.
func (t *target) ddl(schema, quoted, grant string, create ...string) string {
	text := strings.Join(create, "\n")
	if schema == "" { // names without a schema mean the account's own, whoever runs this
		text = strings.ReplaceAll(text, quoted, t.account()+"."+quoted)
		return text + fmt.Sprintf("\nALTER USER %s QUOTA UNLIMITED ON <tablespace>;", t.account())
	}
	return text + "\n" + grant
}

func (t *target) positionGrant() string {
	return fmt.Sprintf("GRANT SELECT, INSERT, UPDATE ON %s TO %s;", t.position.quoted, t.account())
}

// positionFault makes a fault of an error in a statement on the position table.
func (t *target) positionFault(doing string, err error) *fault.Error {
	f := t.failed(doing+" the position table "+t.position.quoted, err)
	if f.Fix != "" {
		return f
	}
	switch numberOf(err) {
	case oraNoPrivilege:
		return f.WithFix(t.positionGrant())
	case oraNoTable:
		return f.WithFix(t.positionDDL())
	case oraNoColumn:
		return f.WithFix("set applier.position_table to another name: that table is not one of ours, which is made so:\n" + t.positionDDL())
	case oraWaited:
		return f.WithFix(fmt.Sprintf("an earlier owner of the lane hangs in a transaction: end its session, or ALTER SYSTEM SET MAX_IDLE_BLOCKER_TIME = 1; (it is ended %d seconds after it was found by itself otherwise)", lockWait))
	}
	return f
}

// foreignSource says whose the position row is. Such a row is never a start position (design D4).
func (t *target) foreignSource(lane *flowv1.Lane, source string) error {
	v := laneValues(lane)
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA,
		"the position of pipeline %s, job %s, partition %d in %s belongs to source %s; this is source %s",
		lane.GetPipeline(), lane.GetJob(), lane.GetPartition(), t.position.quoted, source, lane.GetSource()).
		WithFix(fmt.Sprintf(`DELETE FROM %s WHERE "PIPELINE" = %s AND "JOB" = %s AND "CONNECTION" = %s AND "LAYOUT" = %d AND "SHARD" = %s AND "PARTITION" = %d; -- only if that source is no more`,
			t.position.quoted, literal(lane.GetPipeline()), literal(lane.GetJob()), literal(lane.GetConnection()), lane.GetLayout(),
			literal(v[4].(string)), lane.GetPartition()))
}
