package sqlserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"slipstream/applier"
	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// defaultPositionTable is the name where the settings give none.
const defaultPositionTable = "slipstream_position"

// exact is the collation of names in our own tables: they differ where their code points do.
const exact = "COLLATE Latin1_General_BIN2"

// positionTable is the table of positions (design D4) and the statements on it. One row a lane; a row belongs to the
// source installation that made it.
type positionTable struct {
	schema, name string // schema is empty for the default one
	quoted       string
	create       string
	raise        sqlText
	insert       sqlText
	read         sqlText
	move         sqlText
}

const (
	laneColumns = `[pipeline], [job], [connection], [layout], [shard], [partition]`
	// Longer than the columns: a parameter cuts what is too long for it, a column does not.
	laneDecl = `@p1 nvarchar(4000), @p2 nvarchar(4000), @p3 nvarchar(4000), @p4 nvarchar(4000), @p5 bigint, @p6 nvarchar(4000), @p7 bigint`
	isLane   = `[pipeline] = @p2 AND [job] = @p3 AND [connection] = @p4 AND [layout] = @p5 AND [shard] = @p6 AND [partition] = @p7`
)

// split reads a table's name, "name" or "schema.name".
func split(name, otherwise string) (schema, table, quoted string) {
	if name == "" {
		name = otherwise
	}
	if schema, table, ok := strings.Cut(name, "."); ok {
		return schema, table, quote(schema) + "." + quote(table)
	}
	return "", name, quote(name)
}

// newPositionTable makes the statements for a table.
func newPositionTable(name string) positionTable {
	var p positionTable
	p.schema, p.name, p.quoted = split(name, defaultPositionTable)
	text := "nvarchar(200) " + exact + " NOT NULL"
	p.create = `CREATE TABLE ` + p.quoted + ` (
  [source] ` + text + `, [pipeline] ` + text + `, [job] ` + text + `, [connection] ` + text + `,
  [layout] bigint NOT NULL, [shard] ` + text + `, [partition] bigint NOT NULL,
  [incarnation] nvarchar(200) NULL, [last_id] varchar(50) NOT NULL DEFAULT '0-0', [last_side_id] varchar(50) NOT NULL DEFAULT '0-0',
  [epoch] bigint NOT NULL, [state] nvarchar(max) NULL, [owner] nvarchar(200) NOT NULL DEFAULT N'',
  [updated_at] datetime2(3) NOT NULL DEFAULT SYSUTCDATETIME(),
  PRIMARY KEY NONCLUSTERED (` + laneColumns + `));`
	p.raise = sqlText{`UPDATE ` + p.quoted + ` SET [epoch] = [epoch] + 1, [owner] = @p8, [updated_at] = SYSUTCDATETIME()
WHERE ` + isLane + ` AND [source] = @p1`, laneDecl + `, @p8 nvarchar(4000)`}
	p.insert = sqlText{`INSERT INTO ` + p.quoted + ` ([source], ` + laneColumns + `, [epoch], [owner])
SELECT @p1, @p2, @p3, @p4, @p5, @p6, @p7, 1, @p8
WHERE NOT EXISTS (SELECT 1 FROM ` + p.quoted + ` WITH (UPDLOCK, HOLDLOCK) WHERE ` + isLane + `)`, laneDecl + `, @p8 nvarchar(4000)`}
	p.read = sqlText{`SELECT [source], [epoch], [last_id], [last_side_id], [incarnation], [state] FROM ` + p.quoted + `
WHERE ` + isLane + ` AND @p1 IS NOT NULL`, laneDecl}
	p.move = sqlText{
		`UPDATE ` + p.quoted + ` SET [last_id] = @p11, [last_side_id] = @p12,
  [incarnation] = COALESCE(@p13, [incarnation]), [state] = COALESCE(@p14, [state]), [updated_at] = SYSUTCDATETIME()
WHERE ` + isLane + ` AND [source] = @p1 AND [epoch] = @p8 AND [last_id] = @p9 AND [last_side_id] = @p10`,
		laneDecl + `, @p8 bigint, @p9 varchar(50), @p10 varchar(50), @p11 varchar(50), @p12 varchar(50), @p13 nvarchar(4000), @p14 nvarchar(max)`,
	}
	return p
}

// laneArguments are the key of a position row: source, pipeline, job, connection, layout, shard, partition.
func laneArguments(l *flowv1.Lane) []any {
	return []any{
		l.GetSource(), l.GetPipeline(), l.GetJob(), l.GetConnection(), int64(l.GetLayout()), l.GetShard(), int64(l.GetPartition()),
	}
}

// moveArguments are the parameters of the compare-and-set.
func (s *session) moveArguments(prev, next *changev1.Position, state *changev1.LaneState) []any {
	args := append(append(make([]any, 0, 14), s.lane...), s.epoch,
		applier.FormatID(prev.GetMain()), applier.FormatID(prev.GetSide()), applier.FormatID(next.GetMain()), applier.FormatID(next.GetSide()))
	if state == nil {
		return append(args, sql.NullString{}, sql.NullString{})
	}
	return append(args, state.GetIncarnation(), state.GetPhase())
}

// OpenLane implements applier.Target.
func (t *target) OpenLane(ctx context.Context, lane *flowv1.Lane, owner string) (applier.Session, *flowv1.Opened, error) {
	ctx, cancel := t.limited(ctx)
	defer cancel()
	opened, err := t.raise(ctx, lane, owner)
	switch number(err) {
	case errNoObject:
		if err := t.createTable(ctx, "the position table "+t.position.quoted, t.position.create, t.positionDDL()); err != nil {
			return nil, nil, err
		}
		opened, err = t.raise(ctx, lane, owner)
	case errDuplicateKey, errDuplicateIndex: // another opener was as quick, where the server knows no HOLDLOCK
		opened, err = t.raise(ctx, lane, owner)
	}
	if err != nil {
		return nil, nil, t.positionFault("opening a lane in", err)
	}
	return &session{target: t, lane: laneArguments(lane), epoch: int64(opened.GetEpoch())}, opened, nil
}

// raise issues the fence in a transaction of its own.
func (t *target) raise(ctx context.Context, lane *flowv1.Lane, owner string) (opened *flowv1.Opened, err error) {
	conn, err := t.begin(ctx)
	if err != nil {
		return nil, err
	}
	x := &txn{session: &session{target: t}, conn: conn}
	defer x.abandon()
	args := append(laneArguments(lane), owner)
	for _, text := range []*sqlText{&t.position.raise, &t.position.insert} {
		result, err := x.run(ctx, text, args)
		if err != nil {
			return nil, err
		}
		if n, err := result.RowsAffected(); err != nil || n == 1 {
			if opened, err = x.readOpened(ctx, lane); err != nil {
				return nil, err
			}
			_, err = exec(ctx, x.conn, commit)
			return opened, err
		}
	}
	return nil, t.foreignSource(ctx, x, lane)
}

// readOpened reads the row that was raised.
func (x *txn) readOpened(ctx context.Context, lane *flowv1.Lane) (*flowv1.Opened, error) {
	var source, id, side string
	var incarnation, state sql.NullString
	o := &flowv1.Opened{Position: &changev1.Position{}, Delivery: flowv1.Delivery_DELIVERY_EXACTLY_ONCE}
	read := &x.session.target.position.read
	err := each(ctx, x.conn, func(scan func(...any) error) error {
		return scan(&source, &o.Epoch, &id, &side, &incarnation, &state)
	}, executeSQL, append([]any{read.sql, read.decl}, laneArguments(lane)...)...)
	if err != nil {
		return nil, err
	}
	if o.Position.Main, err = applier.ParseID(id); err == nil {
		o.Position.Side, err = applier.ParseID(side)
	}
	if err != nil {
		return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "reading a position row: %w", err)
	}
	if incarnation.Valid || state.Valid {
		o.State = &changev1.LaneState{Incarnation: incarnation.String, Phase: state.String}
	}
	return o, nil
}

// foreignSource says whose the position row is. Such a row is never a start position (design D4).
func (t *target) foreignSource(ctx context.Context, x *txn, lane *flowv1.Lane) error {
	var source string
	var rest [5]any
	args := append([]any{t.position.read.sql, t.position.read.decl}, laneArguments(lane)...)
	err := each(ctx, x.conn, func(scan func(...any) error) error {
		return scan(&source, &rest[0], &rest[1], &rest[2], &rest[3], &rest[4])
	}, executeSQL, args...)
	if err != nil {
		return err
	}
	where := fmt.Sprintf(`[pipeline] = %s AND [job] = %s AND [connection] = %s AND [layout] = %d AND [shard] = %s AND [partition] = %d`,
		literal(lane.GetPipeline()), literal(lane.GetJob()), literal(lane.GetConnection()), lane.GetLayout(),
		literal(lane.GetShard()), lane.GetPartition())
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA,
		"the position of pipeline %s, job %s, partition %d in %s belongs to source %s; this is source %s",
		lane.GetPipeline(), lane.GetJob(), lane.GetPartition(), t.position.quoted, source, lane.GetSource()).
		WithFix(fmt.Sprintf("DELETE FROM %s WHERE %s; -- only if that source is no more", t.position.quoted, where))
}

// createTable creates one of our own tables where that is allowed. Lanes and other processes may do so at the same time.
func (t *target) createTable(ctx context.Context, what, create, ddl string) error {
	t.creating.Lock()
	defer t.creating.Unlock()
	conn, err := t.take(ctx)
	if err != nil {
		return err
	}
	defer t.give(conn)
	_, err = exec(ctx, conn, create)
	switch number(err) {
	case errObjectExists:
		return nil
	case errNoPermission, errNoCreate, errNoSchema:
		f := failed("creating "+what, err)
		f.Class = flowv1.FaultClass_FAULT_CLASS_PERMISSION
		return f.WithFix(ddl)
	}
	if err != nil {
		return failed("creating "+what, err)
	}
	return nil
}

// positionDDL is what somebody who may create tables has to run.
func (t *target) positionDDL() string { return t.position.create + "\n" + t.positionGrant() }

func (t *target) positionGrant() string {
	return fmt.Sprintf("GRANT SELECT, INSERT, UPDATE ON %s TO %s;", t.position.quoted, quote(t.user))
}

// positionFault makes a fault of an error in a statement on the position table.
func (t *target) positionFault(doing string, err error) *fault.Error {
	var known *fault.Error
	if errors.As(err, &known) {
		return known
	}
	f := failed(doing+" the position table "+t.position.quoted, err)
	switch number(err) {
	case errNoPermission:
		return f.WithFix(t.positionGrant())
	case errNoObject:
		return f.WithFix(t.positionDDL())
	case errNoColumn:
		return f.WithFix("set applier.position_table to another name: that table is not one of ours, which is made so:\n" + t.positionDDL())
	case errDuplicateKey, errDuplicateIndex:
		f.Class = flowv1.FaultClass_FAULT_CLASS_CONFLICT
	case errTooLong, errTooLongBefore:
		f.Class = flowv1.FaultClass_FAULT_CLASS_SCHEMA
		return f.WithFix("names of pipelines, jobs and connections may have 200 characters")
	}
	return f
}
