package cassandra

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"slipstream/applier"
	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

const (
	// defaultPositionTable is the name where the settings give none.
	defaultPositionTable = "slipstream_position"
	// width is how many write timestamps a batch is given, in microseconds. Writes take one each, and most batches are a
	// few writes; who needs more asks for more. It is small, so that a lane with a thousand batches a second still keeps
	// step with the clock.
	width = 1000
	// attempts to win the position row from lanes that open at the same time.
	mostAttempts = 10
)

// positionTable is the table of positions (design D4) and the statements on it. One row a lane; a row belongs to the
// source installation that made it. All of it is written in lightweight transactions.
type positionTable struct {
	keyspace, name string // keyspace is empty where nothing says which
	quoted         string
	create         string
	read           string
	insert         string
	raise          string
	move           string
	moveState      string // and the state of the lane
	reserve        string
}

const laneColumns = `"pipeline", "job", "connection", "layout", "shard", "partition"`

const ofLane = ` WHERE "pipeline" = ? AND "job" = ? AND "connection" = ? AND "layout" = ? AND "shard" = ? AND "partition" = ?`

// tableName is a name from the settings, "table" or "keyspace.table", in the connection's keyspace where it names none.
func tableName(name, otherwise, database string) (keyspace, table string) {
	if name == "" {
		name = otherwise
	}
	if keyspace, table, ok := strings.Cut(name, "."); ok {
		return keyspace, table
	}
	return database, name
}

func newPositionTable(name, database string) positionTable {
	p := positionTable{}
	p.keyspace, p.name = tableName(name, defaultPositionTable, database)
	p.quoted = quote(p.keyspace) + "." + quote(p.name)
	p.create = `CREATE TABLE IF NOT EXISTS ` + p.quoted + ` (
  "pipeline" text, "job" text, "connection" text, "layout" bigint, "shard" text, "partition" bigint,
  "source" text, "incarnation" text, "last_id" text, "last_side_id" text, "epoch" bigint, "state" text, "owner" text,
  "write_at" bigint, "updated_at" timestamp,
  PRIMARY KEY ((` + laneColumns + `)));`
	p.read = `SELECT "source", "epoch", "last_id", "last_side_id", "incarnation", "state", "write_at" FROM ` + p.quoted + ofLane
	p.insert = `INSERT INTO ` + p.quoted + ` (` + laneColumns + `, "source", "last_id", "last_side_id", "epoch", "owner", "write_at", "updated_at")
VALUES (?, ?, ?, ?, ?, ?, ?, '0-0', '0-0', 1, ?, ?, ?) IF NOT EXISTS`
	p.raise = `UPDATE ` + p.quoted + ` SET "epoch" = ?, "owner" = ?, "write_at" = ?, "updated_at" = ?` + ofLane +
		` IF "source" = ? AND "epoch" = ? AND "last_id" = ? AND "last_side_id" = ? AND "write_at" = ?`
	still := ofLane + ` IF "source" = ? AND "epoch" = ? AND "last_id" = ? AND "last_side_id" = ?`
	p.move = `UPDATE ` + p.quoted + ` SET "last_id" = ?, "last_side_id" = ?, "write_at" = ?, "updated_at" = ?` + still
	p.moveState = `UPDATE ` + p.quoted + ` SET "last_id" = ?, "last_side_id" = ?, "write_at" = ?, "updated_at" = ?, "incarnation" = ?, "state" = ?` + still
	p.reserve = `UPDATE ` + p.quoted + ` SET "write_at" = ?, "updated_at" = ?` + still
	return p
}

// bigint is a whole number of 64 bits as the protocol sends it.
func bigint(n int64) wire { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// laneValues is the key of a position row.
func laneValues(l *flowv1.Lane) []any {
	return []any{
		wire(l.GetPipeline()), wire(l.GetJob()), wire(l.GetConnection()), bigint(int64(l.GetLayout())), wire(l.GetShard()),
		bigint(int64(l.GetPartition())),
	}
}

// row is a position row.
type row struct {
	source           wire
	epoch            int64
	last, lastOfSide wire
	incarnation      wire
	state            wire
	writeAt          int64
}

// stands tells whether the row still is where a lane left it.
func (r *row) stands(s *session, prev *changev1.Position) bool {
	return string(r.source) == s.lane.GetSource() && r.epoch == s.epoch &&
		string(r.last) == applier.FormatID(prev.GetMain()) && string(r.lastOfSide) == applier.FormatID(prev.GetSide())
}

// readRow reads the position row of a lane; nil where there is none.
func (t *target) readRow(ctx context.Context, l level, lane *flowv1.Lane) (*row, error) {
	rows, err := t.cluster.rows(ctx, l, cql{t.position.read, laneValues(lane)})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	v := rows[0]
	r := &row{source: v[0], last: v[2], lastOfSide: v[3], incarnation: v[4], state: v[5]}
	for _, n := range []struct {
		into *int64
		b    wire
	}{{&r.epoch, v[1]}, {&r.writeAt, v[6]}} {
		if len(n.b) != 8 {
			return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "a row of the position table %s has no epoch or write_at", t.position.quoted).
				WithFix("set applier.position_table to another name, or delete the row")
		}
		*n.into = int64(binary.BigEndian.Uint64(n.b))
	}
	return r, nil
}

// stamps gives out the next write timestamps, above those given out before and not behind the clock: who else writes to
// the tables, with timestamps of the clock, is then overwritten in turn.
func (t *target) stamps(before int64) (from, to int64) {
	from = max(before, t.now().UnixMicro()) + 1
	return from, from + width - 1
}

// OpenLane implements applier.Target.
func (t *target) OpenLane(ctx context.Context, lane *flowv1.Lane, owner string) (applier.Session, *flowv1.Opened, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	if err := t.placed(t.position.keyspace); err != nil {
		return nil, nil, err
	}
	_, err := t.readRow(ctx, own, lane)
	if hasCode(err, codeInvalid) || hasCode(err, codeConfig) {
		err = t.createPositions(ctx)
	}
	for range mostAttempts {
		if err != nil {
			return nil, nil, t.positionFault("opening a lane in", err)
		}
		var s *session
		var opened *flowv1.Opened
		if s, opened, err = t.raise(ctx, lane, owner); s != nil {
			return s, opened, nil
		}
	}
	if err != nil {
		return nil, nil, t.positionFault("opening a lane in", err)
	}
	return nil, nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT, "others open the lane all the time")
}

// raise issues the fence, together with write timestamps above all that were given out before. Nil without an error:
// somebody else was quicker.
func (t *target) raise(ctx context.Context, lane *flowv1.Lane, owner string) (*session, *flowv1.Opened, error) {
	r, err := t.readRow(ctx, serial, lane)
	if err != nil {
		return nil, nil, err
	}
	s := &session{target: t, lane: lane, epoch: 1}
	opened := &flowv1.Opened{Position: &changev1.Position{}, Delivery: flowv1.Delivery_DELIVERY_AT_LEAST_ONCE}
	var q cql
	if r == nil {
		s.from, s.to = t.stamps(0)
		q = cql{t.position.insert, append(laneValues(lane), wire(lane.GetSource()), wire(owner), bigint(s.to), t.clock())}
		r = &row{last: wire("0-0"), lastOfSide: wire("0-0")}
	} else {
		if string(r.source) != lane.GetSource() {
			return nil, nil, t.foreignSource(lane, string(r.source))
		}
		s.epoch = r.epoch + 1
		s.from, s.to = t.stamps(r.writeAt)
		q = cql{t.position.raise, []any{bigint(s.epoch), wire(owner), bigint(s.to), t.clock()}}
		q.args = append(append(q.args, laneValues(lane)...), r.source, bigint(r.epoch), r.last, r.lastOfSide, bigint(r.writeAt))
	}
	opened.Epoch = uint64(s.epoch)
	if opened.Position.Main, err = applier.ParseID(string(r.last)); err != nil {
		return nil, nil, fmt.Errorf("reading a position row: %w", err)
	}
	if opened.Position.Side, err = applier.ParseID(string(r.lastOfSide)); err != nil {
		return nil, nil, fmt.Errorf("reading a position row: %w", err)
	}
	if r.incarnation != nil || r.state != nil {
		opened.State = &changev1.LaneState{Incarnation: string(r.incarnation), Phase: string(r.state)}
	}
	if won, err := t.cluster.swap(ctx, q); err != nil || !won {
		return nil, nil, err
	}
	return s, opened, nil
}

// clock is now, as a timestamp.
func (t *target) clock() wire { return bigint(t.now().UnixMilli()) }

// placed says what is missing where nothing names the keyspace of our own tables.
func (t *target) placed(keyspace string) error {
	if keyspace != "" {
		return nil
	}
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "connection %q does not say in which keyspace positions are kept", t.name).
		WithFix(fmt.Sprintf("write database: <keyspace> in connections.%s", t.name))
}

// createPositions creates the position table where it is missing and may be created.
func (t *target) createPositions(ctx context.Context) error {
	t.creating.Lock()
	defer t.creating.Unlock()
	r, err := t.readRelation(ctx, t.position.keyspace, t.position.name)
	switch {
	case errors.Is(err, errNoKeyspace):
		return t.noKeyspace(t.position.keyspace)
	case err == nil:
		return t.checkColumns(r, positionColumns, "a position table", "applier.position_table", t.position.create)
	case !errors.Is(err, errNoRelation):
		return err
	}
	err = t.create(ctx, t.position.create)
	if hasCode(err, codeUnauthorized) {
		return t.failed("creating the position table "+t.position.quoted, err).WithFix(t.positionDDL())
	}
	return err
}

// positionColumns are what the statements on the position table use.
var positionColumns = []string{
	"pipeline", "job", "connection", "layout", "shard", "partition", "source", "incarnation", "last_id", "last_side_id",
	"epoch", "state", "owner", "write_at", "updated_at",
}

func (t *target) noKeyspace(keyspace string) *fault.Error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "keyspace %s, in which positions are kept, does not exist", keyspace).
		WithFix(fmt.Sprintf("CREATE KEYSPACE %s WITH replication = {'class': 'NetworkTopologyStrategy', '<data center>': 3}; or write database: <keyspace> in connections.%s",
			quote(keyspace), t.name))
}

// checkColumns says what a table of that name lacks to be one of ours.
func (t *target) checkColumns(r *relation, columns []string, what, setting, ddl string) error {
	missing := r.lacks(columns)
	if len(missing) == 0 {
		return nil
	}
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "table %s is not %s: it has no %s", r.label(), what, strings.Join(missing, ", ")).
		WithFix("set " + setting + " to another name; a table of ours is made so:\n" + ddl)
}

// positionDDL is what somebody who may create tables has to run.
func (t *target) positionDDL() string {
	return t.position.create + "\n" + t.grant(t.position.keyspace, t.position.name)
}

// positionFault makes a fault of an error in a statement on the position table.
func (t *target) positionFault(doing string, err error) *fault.Error {
	f := t.failed(doing+" the position table "+t.position.quoted, err)
	if hasCode(err, codeUnauthorized) && f.Fix == "" {
		return f.WithFix(t.grant(t.position.keyspace, t.position.name))
	}
	return f
}

// foreignSource says whose the position row is. Such a row is never a start position (design D4).
func (t *target) foreignSource(lane *flowv1.Lane, source string) error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA,
		"the position of pipeline %s, job %s, partition %d in %s belongs to source %s; this is source %s",
		lane.GetPipeline(), lane.GetJob(), lane.GetPartition(), t.position.quoted, source, lane.GetSource()).
		WithFix(fmt.Sprintf(`DELETE FROM %s WHERE "pipeline" = %s AND "job" = %s AND "connection" = %s AND "layout" = %d AND "shard" = %s AND "partition" = %d; -- only if that source is no more`,
			t.position.quoted, literal(lane.GetPipeline()), literal(lane.GetJob()), literal(lane.GetConnection()), lane.GetLayout(),
			literal(lane.GetShard()), lane.GetPartition()))
}
