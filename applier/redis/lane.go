package redis

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/applier"
	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// place is what the position of a lane says (design D4).
type place struct {
	source             string
	epoch              uint64
	fence              string // of the opening that raised the epoch
	main, side         string // stream IDs
	incarnation, phase string
}

var placeFields = []any{"source", "epoch", "last_id", "last_side_id", "incarnation", "state", "fence"}

func readPlace(key string) command {
	return command{key: []byte(key), args: append([]any{"HMGET", key}, placeFields...)}
}

// placeOf reads the answer to readPlace. A lane that was never open has none.
func placeOf(a answer) (p place, exists bool, err error) {
	list := a.list()
	if len(list) != len(placeFields) {
		return p, false, schemaFault("the position has %d fields", len(list))
	}
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i], _ = v.(string)
	}
	if texts[1] == "" {
		return place{main: "0-0", side: "0-0"}, false, nil
	}
	epoch, err := strconv.ParseUint(texts[1], 10, 64)
	if err != nil {
		return p, false, schemaFault("reading the epoch of a position: %w", err)
	}
	p = place{source: texts[0], epoch: epoch, main: texts[2], side: texts[3], incarnation: texts[4], phase: texts[5], fence: texts[6]}
	if p.main == "" {
		p.main, p.side = "0-0", "0-0"
	}
	return p, true, nil
}

// holds tells whether the position is where a session left it.
func (p place) holds(s *session, at *changev1.Position) bool {
	return p.epoch == s.epoch && p.fence == s.fence && p.source == s.lane.GetSource() && p.main == applier.FormatID(at.GetMain()) && p.side == applier.FormatID(at.GetSide())
}

func now() string { return time.Now().UTC().Format("2006-01-02 15:04:05.000") }

// mostOpens is how often opening a lane is tried again because another owner opens it too.
const mostOpens = 10

// OpenLane issues the fence. A transaction of an earlier owner watches the position, so raising the epoch defeats it. A
// Redis that fails over, or crashes without having written, may forget an opening, and then gives its epoch once more: so
// each opening has a random word as well, and two never hold the same fence.
func (t *target) OpenLane(ctx context.Context, lane *flowv1.Lane, owner string) (applier.Session, *flowv1.Opened, error) {
	key := t.positionKey(lane)
	conn, err := t.hold(ctx, key)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the lane: %w", err)
	}
	defer func() { _ = conn.Close() }() // what it says adds nothing
	for try := 0; ; try++ {
		fence := rand.Text()
		opened, err := t.raise(ctx, conn, lane, key, owner, fence)
		if err == nil {
			return &session{target: t, lane: lane, key: key, epoch: opened.Epoch, fence: fence}, opened, nil
		}
		if fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_CONFLICT || try >= mostOpens {
			t.lost(ctx, err)
			return nil, nil, fmt.Errorf("opening the lane: %w", t.told(err))
		}
	}
}

func (t *target) raise(ctx context.Context, conn *redis.Conn, lane *flowv1.Lane, key, owner, fence string) (*flowv1.Opened, error) {
	answers, err := whole(ctx, conn, []command{{args: []any{"WATCH", key}}, readPlace(key)})
	if err != nil {
		return nil, err
	}
	p, exists, err := placeOf(answers[1])
	if err == nil && exists && p.source != lane.GetSource() {
		err = schemaFault("the position of this lane belongs to another installation of Slipstream").
			WithFix("use another connection or position_table, or, if the other installation is gone: DEL " + key)
	}
	opened := &flowv1.Opened{Epoch: p.epoch + 1, Delivery: t.delivery()}
	if err == nil {
		opened.Position, err = positionOf(p)
	}
	if err != nil {
		_, unwatched := send(ctx, conn, []command{{args: []any{"UNWATCH"}}})
		return nil, cmpError(err, unwatched)
	}
	if p.incarnation != "" || p.phase != "" {
		opened.State = &changev1.LaneState{Incarnation: p.incarnation, Phase: p.phase}
	}
	set := []any{
		"HSET", key, "source", lane.GetSource(), "epoch", opened.Epoch, "fence", fence, "last_id", p.main, "last_side_id", p.side,
		"incarnation", p.incarnation, "state", p.phase, "owner", owner, "updated_at", now(),
	}
	if _, err := execute(ctx, conn, []command{{args: set}}); err != nil {
		return nil, err
	}
	return opened, t.replicated(ctx, conn)
}

// cmpError prefers the error that came first.
func cmpError(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

func positionOf(p place) (*changev1.Position, error) {
	main, err := applier.ParseID(p.main)
	if err != nil {
		return nil, schemaFault("reading the position: %w", err)
	}
	side, err := applier.ParseID(p.side)
	if err != nil {
		return nil, schemaFault("reading the position: %w", err)
	}
	return &changev1.Position{Main: main, Side: side}, nil
}

// delivery is what the target can promise (design D13).
func (t *target) delivery() flowv1.Delivery {
	if t.cluster != nil {
		return flowv1.Delivery_DELIVERY_AT_LEAST_ONCE
	}
	return flowv1.Delivery_DELIVERY_EXACTLY_ONCE
}

// hold takes a connection to the server that has a key. The caller closes it, with nothing watched.
func (t *target) hold(ctx context.Context, key string) (*redis.Conn, error) {
	if t.cluster == nil {
		return t.single.Conn(), nil
	}
	node, err := t.cluster.MasterForKey(ctx, key)
	if err != nil {
		return nil, classed(err)
	}
	return node.Conn(), nil
}

// lost looks at an error after which the cluster may have another shape.
func (t *target) lost(ctx context.Context, err error) {
	if t.cluster == nil || err == nil {
		return
	}
	if f := fault.Of(err); f.Class == flowv1.FaultClass_FAULT_CLASS_CONNECTION || f.Code == "READONLY" {
		t.cluster.ReloadState(ctx)
	}
}

// execute sends commands as one transaction and gives the answer of each. Where a watched key has changed the fault is of
// class CONFLICT, and nothing was done. A command that fails by itself has its refusal in its answer, and the others stand.
func execute(ctx context.Context, conn *redis.Conn, commands []command) ([]answer, error) {
	all := make([]command, 0, len(commands)+2)
	all = append(all, command{args: []any{"MULTI"}})
	all = append(all, commands...)
	all = append(all, command{args: []any{"EXEC"}})
	answers, err := send(ctx, conn, all)
	if err != nil {
		return nil, err
	}
	for i, a := range answers { // the first tells why, EXEC only that
		if a.err != nil {
			return nil, fmt.Errorf("%v: %w", all[i].args[0], a.err)
		}
	}
	done := answers[len(answers)-1]
	if done.value == nil {
		return nil, conflictFault("another client changed a key while it was written")
	}
	list := done.list()
	if len(list) != len(commands) {
		return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONNECTION, "EXEC answered %d commands of %d", len(list), len(commands))
	}
	out := make([]answer, len(list))
	for i, v := range list {
		if err, is := v.(error); is {
			out[i].err = classed(err)
			continue
		}
		out[i].value = v
	}
	return out, nil
}

// replicated waits until a replica has what was written on a connection, if the pipeline wants that (spec 2.5, WAIT).
func (t *target) replicated(ctx context.Context, conn *redis.Conn) error {
	if !t.options.wait {
		return nil
	}
	n, err := conn.Wait(ctx, 1, t.options.waitTimeout).Result()
	switch {
	case err != nil:
		return classed(err)
	case n < 1 && t.options.waitAgain:
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONNECTION, "no replica had the batch within %v", t.options.waitTimeout).
			WithCode("WAIT").WithFix("attach a replica to the target, or write wait_enabled: false")
	}
	return nil
}

// session is a lane that holds its fence. Between transactions it holds no connection.
type session struct {
	target *target
	lane   *flowv1.Lane
	key    string // of the position
	epoch  uint64
	fence  string
	txn    *txn // under way, if any

	refused map[string]error // rows that the server refused inside EXEC, until a batch commits
}

// Begin prepares a transaction. The fence is looked at together with the first keys.
func (s *session) Begin(ctx context.Context, prev, next *changev1.Position, state *changev1.LaneState) (applier.Txn, error) {
	t, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	t.prev, t.next, t.state = prev, next, state
	s.txn = t
	return t, nil
}

func (s *session) begin(ctx context.Context) (*txn, error) {
	conn, err := s.target.hold(ctx, s.key)
	if err != nil {
		return nil, err
	}
	return &txn{session: s, target: s.target, conn: conn, ground: newGround()}, nil
}

// OpenIndex has nothing to make: hashes come with their first field.
func (s *session) OpenIndex(context.Context) error { return nil }

// Close ends a transaction under way.
func (s *session) Close() error {
	if s.txn == nil {
		return nil
	}
	return s.txn.Rollback()
}
