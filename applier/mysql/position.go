package mysql

import (
	"context"
	"fmt"
	"strconv"
	"strings"

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
	schema, name string // schema is empty for the connection's database
	quoted       string
	create       string
}

// newPositionTable reads "name" or "database.name".
func newPositionTable(name string) positionTable {
	if name == "" {
		name = defaultPositionTable
	}
	p := positionTable{name: name, quoted: quote(name)}
	if schema, table, ok := strings.Cut(name, "."); ok {
		p.schema, p.name = schema, table
		p.quoted = quote(schema) + "." + quote(table)
	}
	p.create = `CREATE TABLE IF NOT EXISTS ` + p.quoted + " (\n" +
		"  `source` varchar(255) NOT NULL, `pipeline` varchar(180) NOT NULL, `job` varchar(180) NOT NULL,\n" +
		"  `connection` varchar(180) NOT NULL, `layout` bigint NOT NULL, `shard` varchar(64) NOT NULL, `partition` bigint NOT NULL,\n" +
		"  `incarnation` varchar(255), `last_id` varchar(48) NOT NULL DEFAULT '0-0', `last_side_id` varchar(48) NOT NULL DEFAULT '0-0',\n" +
		"  `epoch` bigint NOT NULL, `state` text, `owner` text NOT NULL,\n" +
		"  `updated_at` timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),\n" +
		"  PRIMARY KEY (`pipeline`, `job`, `connection`, `layout`, `shard`, `partition`)\n" +
		") ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;"
	return p
}

// laneKey is the key of a position row, as SQL.
type laneKey struct {
	source                          string
	pipeline, job, connection       string
	layout, shard, partition, where string
}

func keyOf(l *flowv1.Lane) laneKey {
	k := laneKey{
		source: literal(l.GetSource()), pipeline: literal(l.GetPipeline()), job: literal(l.GetJob()), connection: literal(l.GetConnection()),
		layout: strconv.FormatUint(uint64(l.GetLayout()), 10), shard: literal(l.GetShard()), partition: strconv.FormatUint(uint64(l.GetPartition()), 10),
	}
	k.where = fmt.Sprintf("`pipeline` = %s AND `job` = %s AND `connection` = %s AND `layout` = %s AND `shard` = %s AND `partition` = %s",
		k.pipeline, k.job, k.connection, k.layout, k.shard, k.partition)
	return k
}

// move is the compare-and-set of a position. It finds one row, or the lane lost its fence.
func (p *positionTable) move(s *session, prev, next *changev1.Position, state *changev1.LaneState) string {
	id := func(id *changev1.StreamId) string { return literal(applier.FormatID(id)) }
	set := "`last_id` = " + id(next.GetMain()) + ", `last_side_id` = " + id(next.GetSide()) + ", `updated_at` = CURRENT_TIMESTAMP(6)"
	if state != nil {
		set += ", `incarnation` = " + literal(state.GetIncarnation()) + ", `state` = " + literal(state.GetPhase())
	}
	return "UPDATE " + p.quoted + " SET " + set + " WHERE " + s.lane.where + " AND `source` = " + s.lane.source + " AND `epoch` = " + s.epoch +
		" AND `last_id` = " + id(prev.GetMain()) + " AND `last_side_id` = " + id(prev.GetSide())
}

// raise makes the row of a lane with epoch 1, or raises the epoch, unless the row is another installation's.
func (p *positionTable) raise(k laneKey, owner string) string {
	ours := "`source` = " + k.source
	owner = literal(owner)
	return "INSERT INTO " + p.quoted + " (`source`, `pipeline`, `job`, `connection`, `layout`, `shard`, `partition`, `epoch`, `owner`) VALUES (" +
		strings.Join([]string{k.source, k.pipeline, k.job, k.connection, k.layout, k.shard, k.partition, "1", owner}, ", ") +
		") ON DUPLICATE KEY UPDATE `epoch` = `epoch` + (" + ours + "), `owner` = IF(" + ours + ", " + owner + ", `owner`)" +
		", `updated_at` = IF(" + ours + ", CURRENT_TIMESTAMP(6), `updated_at`)"
}

// OpenLane implements applier.Target.
func (t *target) OpenLane(ctx context.Context, lane *flowv1.Lane, owner string) (applier.Session, *flowv1.Opened, error) {
	ctx, cancel := t.limited(ctx)
	defer cancel()
	l, err := t.link(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer l.release()
	key := keyOf(lane)
	_, err = l.exec(ctx, t.position.raise(key, owner))
	if hasNumber(err, erNoSuchTable) {
		if err := t.createPositions(ctx, l); err != nil {
			return nil, nil, err
		}
		_, err = l.exec(ctx, t.position.raise(key, owner))
	}
	if err != nil {
		return nil, nil, t.positionFault("opening a lane in", err)
	}
	var source string
	var opened *flowv1.Opened
	var unreadable error
	// Our own change of the row holds its lock, so this is what it is now.
	err = l.query(ctx, "SELECT `source`, `epoch`, `last_id`, `last_side_id`, `incarnation`, `state` FROM "+t.position.quoted+
		" WHERE "+key.where, func(v [][]byte) {
		source = string(v[0])
		opened, unreadable = readOpened(v[1:])
	})
	switch {
	case err != nil:
		return nil, nil, t.positionFault("opening a lane in", err)
	case unreadable != nil:
		return nil, nil, unreadable
	case opened == nil:
		return nil, nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT, "the lane's row in %s went while it was opened", t.position.quoted)
	case source != lane.GetSource():
		return nil, nil, t.foreignSource(lane, key, source)
	}
	if err := l.commit(ctx); err != nil {
		return nil, nil, t.positionFault("opening a lane in", err)
	}
	return &session{target: t, lane: key, epoch: strconv.FormatUint(opened.Epoch, 10)}, opened, nil
}

// readOpened reads a position row from its epoch on.
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
func (t *target) createPositions(ctx context.Context, l *link) error {
	t.creating.Lock()
	defer t.creating.Unlock()
	if err := t.enter(ctx, l); err != nil {
		return err
	}
	_, err := l.exec(ctx, t.position.create)
	if err == nil || hasNumber(err, erTableExists) {
		return nil
	}
	f := failed("creating the position table "+t.position.quoted, err)
	if missesGrant(f.Code) || hasNumber(err, erNoDatabase) {
		f.Class = flowv1.FaultClass_FAULT_CLASS_PERMISSION
		return f.WithFix(t.positionDDL(l.server))
	}
	return f
}

// positionDDL is what somebody who may create tables has to run.
func (t *target) positionDDL(s *server) string { return t.position.create + "\n" + t.positionGrant(s) }

func (t *target) positionGrant(s *server) string {
	return grant([]string{"SELECT", "INSERT", "UPDATE"}, t.qualified(t.position.schema, t.position.name), s.account)
}

// positionFault makes a fault of an error in a statement on the position table.
func (t *target) positionFault(doing string, err error) *fault.Error {
	f := failed(doing+" the position table "+t.position.quoted, err)
	server := t.server.Load()
	switch {
	case missesGrant(f.Code):
		return fault.Errorf(f.Class, "user %s may not read and write the position table %s: %w", server.account, t.position.quoted, f).
			WithCode(f.Code).WithFix(t.positionGrant(server))
	case hasNumber(err, erNoSuchTable):
		return f.WithFix(t.positionDDL(server))
	case hasNumber(err, erNoColumn):
		return f.WithFix("set applier.position_table to another name: that table is not one of ours, which is made so:\n" + t.positionDDL(server))
	}
	return f
}

// foreignSource says whose the position row is. Such a row is never a start position (design D4).
func (t *target) foreignSource(lane *flowv1.Lane, key laneKey, source string) error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA,
		"the position of pipeline %s, job %s, partition %d in %s belongs to source %s; this is source %s",
		lane.GetPipeline(), lane.GetJob(), lane.GetPartition(), t.position.quoted, source, lane.GetSource()).
		WithFix(fmt.Sprintf("DELETE FROM %s WHERE %s; -- only if that source is no more", t.position.quoted, key.where))
}
