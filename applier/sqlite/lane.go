package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"slipstream/applier"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// positionDDL is the position table (design D4). IDs are texts as Redis shows them.
const positionDDL = `CREATE TABLE IF NOT EXISTS %s (
  source TEXT NOT NULL,
  pipeline TEXT NOT NULL,
  job TEXT NOT NULL,
  connection TEXT NOT NULL,
  layout INTEGER NOT NULL,
  shard TEXT NOT NULL,
  "partition" INTEGER NOT NULL,
  incarnation TEXT NOT NULL,
  last_id TEXT NOT NULL,
  last_side_id TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  state TEXT NOT NULL,
  owner TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  PRIMARY KEY (pipeline, job, connection, layout, shard, "partition")
) WITHOUT ROWID`

const laneKey = `pipeline = ? AND job = ? AND connection = ? AND layout = ? AND shard = ? AND "partition" = ?`

// OpenLane issues the fence. Taking the writer's turn waits for transactions of this process, BEGIN IMMEDIATE for those
// of others.
func (t *target) OpenLane(ctx context.Context, lane *flowv1.Lane, owner string) (applier.Session, *flowv1.Opened, error) {
	if err := t.writer.take(ctx); err != nil {
		return nil, nil, err
	}
	defer t.writer.give()
	opened, err := t.fence(ctx, lane, owner)
	if err != nil {
		t.writer.undo()
		return nil, nil, fmt.Errorf("opening the lane in %s: %w", t.path, err)
	}
	return &session{target: t, lane: lane, epoch: opened.Epoch}, opened, nil
}

func (t *target) fence(ctx context.Context, lane *flowv1.Lane, owner string) (*flowv1.Opened, error) {
	table := quote(t.options.positionTable)
	if err := t.writer.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	if err := t.writer.exec(ctx, fmt.Sprintf(positionDDL, table)); err != nil {
		return nil, err
	}
	opened := &flowv1.Opened{Delivery: flowv1.Delivery_DELIVERY_EXACTLY_ONCE}
	found := false
	args := append([]any{lane.GetSource()}, keyArgs(lane)...)
	args = append(args, owner, now())
	err := t.writer.query(ctx, func(v []driver.Value) (err error) {
		found = true
		return readPosition(opened, v)
	}, `INSERT INTO `+table+` AS p (source, pipeline, job, connection, layout, shard, "partition",
		incarnation, last_id, last_side_id, epoch, state, owner, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, '', '0-0', '0-0', 1, '', ?, ?)
		ON CONFLICT (pipeline, job, connection, layout, shard, "partition") DO UPDATE
		SET epoch = p.epoch + 1, owner = excluded.owner, updated_at = excluded.updated_at
		WHERE p.source = excluded.source
		RETURNING epoch, last_id, last_side_id, incarnation, state`, args...)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, schemaFault("the position of this lane in %s belongs to another installation of Slipstream", t.options.positionTable).
			WithFix(fmt.Sprintf("use another connection or position table, or, if the other installation is gone: DELETE FROM %s WHERE source <> '%s';",
				table, lane.GetSource()))
	}
	return opened, t.writer.exec(ctx, "COMMIT")
}

// readPosition fills in what a position row says. A row that was just made has neither position nor state.
func readPosition(o *flowv1.Opened, v []driver.Value) error {
	epoch, ok := v[0].(int64)
	if !ok {
		return schemaFault("the epoch of the position row is %v", v[0])
	}
	main, err := applier.ParseID(text(v[1]))
	if err != nil {
		return schemaFault("reading the position: %w", err)
	}
	side, err := applier.ParseID(text(v[2]))
	if err != nil {
		return schemaFault("reading the position: %w", err)
	}
	o.Epoch = uint64(epoch)
	o.Position = &changev1.Position{Main: main, Side: side}
	if incarnation, phase := text(v[3]), text(v[4]); incarnation != "" || phase != "" {
		o.State = &changev1.LaneState{Incarnation: incarnation, Phase: phase}
	}
	return nil
}

func keyArgs(l *flowv1.Lane) []any {
	return []any{
		l.GetPipeline(), l.GetJob(), l.GetConnection(), int64(l.GetLayout()), l.GetShard(), int64(l.GetPartition()),
	}
}

func now() string { return time.Now().UTC().Format("2006-01-02 15:04:05.000") }

// undo ends a transaction that failed. A statement that was interrupted may have ended it already, which is told from
// other failures by the code alone; after those the connection is not to be trusted.
func (h *handle) undo() {
	if h.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := h.exec(ctx, "ROLLBACK"); err != nil && code(err) != codeError {
		h.shut()
	}
}

// session is a lane that holds its fence. It keeps nothing open between transactions.
type session struct {
	target *target
	lane   *flowv1.Lane
	epoch  uint64
	txn    *txn // under way, if any
}

// Begin takes the writer's turn and moves the position, if it is still ours to move.
func (s *session) Begin(ctx context.Context, prev, next *changev1.Position, state *changev1.LaneState) (applier.Txn, error) {
	w := s.target.writer
	if err := w.take(ctx); err != nil {
		return nil, err
	}
	t := &txn{session: s, handle: w}
	if err := s.begin(ctx, prev, next, state); err != nil {
		return nil, errors.Join(err, t.Rollback())
	}
	s.txn = t
	return t, nil
}

func (s *session) begin(ctx context.Context, prev, next *changev1.Position, state *changev1.LaneState) error {
	w := s.target.writer
	if err := w.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	set := []any{applier.FormatID(next.GetMain()), applier.FormatID(next.GetSide()), now()}
	text := "UPDATE " + quote(s.target.options.positionTable) + " SET last_id = ?, last_side_id = ?, updated_at = ?"
	if state != nil {
		text += ", incarnation = ?, state = ?"
		set = append(set, state.GetIncarnation(), state.GetPhase())
	}
	set = append(set, keyArgs(s.lane)...)
	set = append(set, int64(s.epoch), s.lane.GetSource(), applier.FormatID(prev.GetMain()), applier.FormatID(prev.GetSide()))
	args := w.slots(len(set))
	for i, v := range set {
		args[i].Value = v
	}
	r, err := w.run(ctx, text+" WHERE "+laneKey+" AND epoch = ? AND source = ? AND last_id = ? AND last_side_id = ?", args)
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err != nil {
		return classed(err)
	}
	if n != 1 {
		return fencedFault("the lane's position row no longer has epoch %d and position %s", s.epoch, applier.FormatID(prev.GetMain()))
	}
	return nil
}

// Close ends a transaction under way.
func (s *session) Close() error {
	if s.txn == nil {
		return nil
	}
	return s.txn.Rollback()
}
