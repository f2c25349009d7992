package follow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"slipstream/capture/follow"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// batch is a batch of hashes {v: key}.
func batch(sequence uint64, keys ...string) *changev1.Batch {
	b := &changev1.Batch{Sequence: sequence, Shapes: []*changev1.Shape{{Fields: [][]byte{[]byte("other")}}, {Fields: [][]byte{[]byte("v")}}}}
	for _, key := range keys {
		b.Changes = append(b.Changes, &changev1.Change{
			Key: []byte(key), Type: changev1.ValueType_VALUE_TYPE_HASH, Shape: 1, Values: []byte(key), Ends: []uint32{uint32(len(key))},
		})
	}
	return b
}

// told are the events there are now, as text.
func told(t *testing.T, f *follow.Follower) (out []string) {
	t.Helper()
	over, end := context.WithCancel(t.Context())
	end()
	for {
		e, err := f.Next(over)
		if errors.Is(err, io.EOF) {
			return append(out, "end")
		}
		if err != nil {
			return out
		}
		out = append(out, text(e))
	}
}

func text(e *capturev1.TraceResponse) string {
	if c := e.GetChange(); c != nil {
		b := c.GetBatch()
		if len(b.GetChanges()) == 0 {
			return fmt.Sprintf("%d nothing", c.GetRecord())
		}
		one := b.GetChanges()[0]
		return fmt.Sprintf("%d %s %s=%s of %d", c.GetRecord(), one.GetKey(), b.GetShapes()[one.GetShape()].GetFields()[0], one.GetValues(), c.GetBatchChanges())
	}
	o := e.GetOutcome()
	s := fmt.Sprintf("%d at %d", o.GetRecord(), o.GetAtMs())
	if o.GetSettled() {
		s += " settled"
	}
	if o.GetInterrupted() {
		s += " interrupted"
	}
	for _, r := range o.GetRejects() {
		s += " " + r.GetReason()
	}
	return s
}

func TestFollow(t *testing.T) {
	at := time.UnixMilli
	for name, tc := range map[string]struct {
		want follow.Request
		do   func(emp, dept *follow.Lane)
		told []string
	}{
		"the first changes, to their end": {follow.Request{Pipeline: "p", Most: 2}, func(emp, _ *follow.Lane) {
			emp.Sent(batch(1, "a", "b", "c"), nil, at(1))
			emp.Sent(batch(2, "d"), nil, at(2))
			emp.Settled(&flowv1.Settled{Sequence: 2}, at(3))
		}, []string{"1 a v=a of 3", "2 b v=b of 3", "1 at 3 settled", "2 at 3 settled", "end"}},
		"under way": {follow.Request{Pipeline: "p", Most: 2}, func(emp, _ *follow.Lane) {
			emp.Sent(batch(1, "a"), nil, at(1))
		}, []string{"1 a v=a of 1"}},
		"one job": {follow.Request{Pipeline: "p", Job: "dept", Most: 9}, func(emp, dept *follow.Lane) {
			emp.Sent(batch(1, "a"), nil, at(1))
			dept.Sent(batch(1, "x"), nil, at(1))
			emp.Settled(&flowv1.Settled{Sequence: 1}, at(2))
			dept.Settled(&flowv1.Settled{Sequence: 1}, at(3))
		}, []string{"1 x v=x of 1", "1 at 3 settled"}},
		"another pipeline": {follow.Request{Pipeline: "q", Most: 9}, func(emp, _ *follow.Lane) {
			emp.Sent(batch(1, "a"), nil, at(1))
		}, nil},
		"some keys": {follow.Request{Pipeline: "p", Keys: "a?", Most: 1}, func(emp, _ *follow.Lane) {
			emp.Sent(batch(1, "a", "b", "ab"), nil, at(1))
			emp.Settled(&flowv1.Settled{Sequence: 1}, at(2))
		}, []string{"1 ab v=ab of 3", "1 at 2 settled", "end"}},
		"rejected": {follow.Request{Pipeline: "p", Most: 9}, func(emp, _ *follow.Lane) {
			emp.Sent(batch(1, "a", "b"), nil, at(1))
			emp.Rejected(&flowv1.Rejects{Sequence: 1, Rejects: []*flowv1.Reject{{Change: 1, Reason: "too long"}}})
			emp.Settled(&flowv1.Settled{Sequence: 1}, at(2))
		}, []string{"1 a v=a of 2", "2 b v=b of 2", "1 at 2 settled", "2 at 2 settled too long"}},
		"only rejected": {follow.Request{Pipeline: "p", Most: 2, OnlyRejected: true}, func(emp, _ *follow.Lane) {
			emp.Sent(batch(1, "a", "b"), nil, at(1))
			emp.Sent(batch(2, "c"), []*flowv1.Reject{{Key: []byte("z"), Reason: "expired"}}, at(1))
			emp.Rejected(&flowv1.Rejects{Sequence: 1, Rejects: []*flowv1.Reject{{Change: 1, Reason: "too long"}, {Change: 1, Reason: "twice"}}})
			emp.Settled(&flowv1.Settled{Sequence: 2}, at(2))
		}, []string{"1 nothing", "1 at 1 expired", "2 b v=b of 2", "2 at 2 settled too long twice", "end"}},
		"interrupted": {follow.Request{Pipeline: "p", Most: 2}, func(emp, _ *follow.Lane) {
			emp.Sent(batch(1, "a"), nil, at(1))
			emp.Ended(at(2))
			emp.Sent(batch(1, "a"), nil, at(3))
			emp.Settled(&flowv1.Settled{Sequence: 1}, at(4))
		}, []string{"1 a v=a of 1", "1 at 2 interrupted", "2 a v=a of 1", "2 at 4 settled", "end"}},
	} {
		t.Run(name, func(t *testing.T) {
			var b follow.Board
			f := b.Follow(tc.want)
			defer f.Close()
			tc.do(b.Lane(&flowv1.Lane{Pipeline: "p", Job: "emp"}, "s"), b.Lane(&flowv1.Lane{Pipeline: "p", Job: "dept"}, "s"))
			if got := told(t, f); !slices.Equal(got, tc.told) {
				t.Errorf("told:\n%q, want\n%q", got, tc.told)
			}
		})
	}
}

// TestWhatIsToldIsACopy: the memory of a batch is used again.
func TestWhatIsToldIsACopy(t *testing.T) {
	var b follow.Board
	f := b.Follow(follow.Request{Pipeline: "p", Most: 1})
	defer f.Close()
	one := batch(1, "a")
	b.Lane(&flowv1.Lane{Pipeline: "p"}, "s").Sent(one, nil, time.UnixMilli(1))
	copy(one.Changes[0].Values, "x")
	one.Shapes[1].Fields[0] = []byte("x")
	if got := told(t, f); !slices.Equal(got, []string{"1 a v=a of 1"}) {
		t.Errorf("told %q", got)
	}
}

// TestNobodyFollows: a lane that nobody follows copies nothing, on a board or without one.
func TestNobodyFollows(t *testing.T) {
	var b follow.Board
	f := b.Follow(follow.Request{Pipeline: "p", Most: 1})
	f.Close()
	f.Close()
	var none *follow.Board
	one := batch(1, "a")
	for _, lane := range []*follow.Lane{b.Lane(&flowv1.Lane{Pipeline: "p"}, "s"), none.Lane(&flowv1.Lane{Pipeline: "p"}, "s")} {
		if n := testing.AllocsPerRun(100, func() {
			lane.Sent(one, nil, time.Time{})
			lane.Settled(nil, time.Time{})
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
	if got := told(t, f); len(got) != 0 {
		t.Errorf("told %q after Close", got)
	}
}
