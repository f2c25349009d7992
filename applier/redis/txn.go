package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/applier"
	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// txn is a buffer of commands and what guards it.
type txn struct {
	session *session
	target  *target
	conn    *redis.Conn // to the server with the position
	ground  *ground

	prev, next *changev1.Position
	state      *changev1.LaneState
	before     place // as found

	rows    []written // commands of rows
	entries []command // commands of the row index
	index   map[string]*index

	fenced  bool // the position was looked at, and is ours
	watches bool // the connection watches keys
	turn    bool // held
	ended   bool
}

// written is a command and the row it writes.
type written struct {
	command
	write *applier.Write
	row   int32
}

// check looks at the fence, once, together with what else is asked of the server that has the position. The answers are
// those of more; what the server has against one of them is in it.
func (t *txn) check(ctx context.Context, more ...command) ([]answer, error) {
	looks := !t.fenced && t.next != nil // a rehearsal has no position
	if !looks && len(more) == 0 {
		return nil, nil
	}
	commands := more
	if looks {
		commands = append([]command{{args: []any{"WATCH", t.session.key}}, readPlace(t.session.key)}, more...)
	}
	t.watches = true
	answers, err := send(ctx, t.conn, commands)
	if err != nil {
		t.target.lost(ctx, err)
		return nil, err
	}
	if !looks {
		return answers, nil
	}
	for _, a := range answers[:2] {
		if a.err != nil {
			t.target.lost(ctx, a.err)
			return nil, a.err
		}
	}
	if err := t.mine(answers[1]); err != nil {
		return nil, err
	}
	t.fenced = true
	return answers[2:], nil
}

// mine tells whether the position is still ours to move.
func (t *txn) mine(a answer) (err error) {
	if t.before, _, err = placeOf(a); err != nil {
		return err
	}
	s := t.session
	if !t.before.holds(s, t.prev) {
		return fencedFault("the lane's position no longer has epoch %d and position %s", s.epoch, applier.FormatID(t.prev.GetMain()))
	}
	return nil
}

// take waits for the turn at what lanes share.
func (t *txn) take(ctx context.Context) error {
	if t.turn {
		return nil
	}
	select {
	case t.target.turn <- struct{}{}:
		t.turn = true
		return nil
	case <-ctx.Done():
		return classed(ctx.Err())
	}
}

// Try runs fn so that what it buffered goes if it fails.
func (t *txn) Try(_ context.Context, fn func() error) error {
	rows, mark := len(t.rows), t.ground.mark()
	err := fn()
	if err != nil {
		t.rows = t.rows[:rows]
		t.ground.back(mark)
	}
	return err
}

// Commit sends the buffer.
func (t *txn) Commit(ctx context.Context) error { return t.target.told(t.commit(ctx)) }

func (t *txn) commit(ctx context.Context) error {
	if _, err := t.check(ctx); err != nil { // nothing was asked before, if the batch has no rows
		return err
	}
	if t.target.cluster != nil {
		if err := t.spread(ctx); err != nil {
			return err
		}
	}
	commands := t.commands()
	answers, err := execute(ctx, t.conn, commands)
	if err != nil {
		if fault.Class(err) == flowv1.FaultClass_FAULT_CLASS_CONFLICT {
			err = t.defeated(ctx, err)
		}
		t.target.lost(ctx, err)
		return err
	}
	if err := t.verify(ctx, answers); err != nil {
		return err
	}
	if err := t.target.replicated(ctx, t.conn); err != nil {
		return err
	}
	t.session.refused = nil
	t.watches = false
	t.end()
	return nil
}

// commands are those of EXEC: rows, but on a cluster, where they have gone before; the row index; the position.
func (t *txn) commands() []command {
	commands := make([]command, 0, len(t.rows)+len(t.entries)+1)
	if t.target.cluster == nil {
		for i := range t.rows {
			commands = append(commands, t.rows[i].command)
		}
	}
	commands = append(commands, t.entries...)
	set := []any{"HSET", t.session.key, "last_id", applier.FormatID(t.next.GetMain()), "last_side_id", applier.FormatID(t.next.GetSide()), "updated_at", now()}
	if t.state != nil {
		set = append(set, "incarnation", t.state.GetIncarnation(), "state", t.state.GetPhase())
	}
	return append(commands, command{args: set})
}

// defeated tells why EXEC did nothing: somebody has the lane, or somebody wrote to one of the keys.
func (t *txn) defeated(ctx context.Context, err error) error {
	t.watches = false // EXEC has ended that
	answers, ask := whole(ctx, t.conn, []command{readPlace(t.session.key)})
	if ask != nil {
		return ask
	}
	if lost := t.mine(answers[0]); lost != nil {
		return lost
	}
	return err
}

// verify looks for commands that failed inside EXEC, which no other command of it minds. The position is put back then, so
// that the batch comes again, and the rows are refused when they do.
func (t *txn) verify(ctx context.Context, answers []answer) error {
	var failed error
	var undo []command
	for i, a := range answers {
		if a.err != nil {
			failed = errors.Join(failed, a.err)
			if t.target.cluster == nil && i < len(t.rows) {
				t.session.refuse(t.rows[i], a.err)
			}
			continue
		}
		if t.target.cluster == nil && i < len(t.rows) && t.rows[i].args[0] == "XADD" { // it would be added again
			undo = append(undo, command{args: []any{"XDEL", t.rows[i].args[1], a.text()}})
		}
	}
	if failed == nil {
		return nil
	}
	t.watches = true
	found, err := whole(ctx, t.conn, []command{{args: []any{"WATCH", t.session.key}}, readPlace(t.session.key)})
	if err != nil {
		return err
	}
	p, _, err := placeOf(found[1])
	if err == nil && !p.holds(t.session, t.next) {
		err = fencedFault("the lane's position moved on after a command had failed: %w", failed)
	}
	if err != nil {
		return err
	}
	undo = append(undo, command{args: []any{
		"HSET", t.session.key, "last_id", t.before.main, "last_side_id", t.before.side,
		"incarnation", t.before.incarnation, "state", t.before.phase,
	}})
	if _, err := execute(ctx, t.conn, undo); err != nil {
		return err
	}
	t.watches = false
	return dataFault("the server refused a command: %w", failed)
}

// refuse remembers a row that the server does not take.
func (s *session) refuse(w written, err error) {
	if s.refused == nil {
		s.refused = map[string]error{}
	}
	s.refused[rowName(w.write, w.row)] = err
}

// rowName tells a row from all others of a lane.
func rowName(w *applier.Write, row int32) string {
	values := make([][]byte, 0, len(w.Table.Keys)+1)
	values = append(values, []byte(w.Table.Name))
	for _, k := range w.Table.Keys {
		values = append(values, w.Values.Columns[k].At(row))
	}
	return string(applier.JoinKey(nil, values...))
}

// Rollback forgets the buffer.
func (t *txn) Rollback() error {
	if t.ended {
		return nil
	}
	defer t.end()
	if !t.watches {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if _, err := send(ctx, t.conn, []command{{args: []any{"UNWATCH"}}}); err != nil && !lostAlready(err) {
		return fmt.Errorf("giving back a connection: %w", err)
	}
	return nil
}

// lostAlready: a connection that is gone watches nothing, and is not used again.
func lostAlready(err error) bool {
	return fault.Class(err) == flowv1.FaultClass_FAULT_CLASS_CONNECTION
}

func (t *txn) end() {
	t.ended = true
	t.session.txn = nil
	_ = t.conn.Close() // it goes back to the pool, or is gone
	if t.turn {
		<-t.target.turn
		t.turn = false
	}
}

// spread writes the rows of a batch to a cluster, before the position: each key's commands together. Redis has no
// transaction across slots, so after a failure some are written; all of them come again (design D13).
func (t *txn) spread(ctx context.Context) error {
	byKey := map[string][]int{}
	var order []string
	for i := range t.rows {
		k := string(t.rows[i].key)
		if byKey[k] == nil {
			order = append(order, k)
		}
		byKey[k] = append(byKey[k], i)
	}
	commands := make([]command, 0, len(t.rows)+2*len(order))
	var of [][]int // the rows of each command
	add := func(c command, rows ...int) { commands, of = append(commands, c), append(of, rows) }
	for _, k := range order {
		rows := byKey[k]
		if len(rows) > 1 {
			add(command{[]byte(k), []any{"MULTI"}})
		}
		for _, i := range rows {
			add(t.rows[i].command, i)
		}
		if len(rows) > 1 {
			add(command{[]byte(k), []any{"EXEC"}}, rows...)
		}
	}
	answers, err := t.target.spread(ctx, commands, t.target.options.wait)
	if err != nil {
		return err
	}
	var failed error
	for n, a := range answers {
		for i, err := range refusals(a) {
			if fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_DATA {
				return fmt.Errorf("%v: %w", commands[n].args[0], err)
			}
			failed = errors.Join(failed, err)
			t.session.refuse(t.rows[of[n][i]], err)
		}
	}
	if failed != nil {
		return dataFault("the server refused a command: %w", failed)
	}
	return nil
}

// refusals are what the server has against a command, or against those of an EXEC, by their number.
func refusals(a answer) map[int]error {
	if a.err != nil {
		return map[int]error{0: a.err}
	}
	var found map[int]error
	for i, v := range a.list() {
		if err, is := v.(error); is {
			if found == nil {
				found = map[int]error{}
			}
			found[i] = classed(err)
		}
	}
	return found
}
