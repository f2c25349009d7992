// Package replay puts dead letters back on the line (spec 9.4): each becomes an entry of a side stream, in the same step in
// which it leaves the dead-letter stream. From there on it is what any entry is: the lane comes to it in its turn, and what
// fails again becomes a dead letter again.
//
// The words:
//
//   - current: the lane reads what is at the key when it comes to the entry. So nothing older can overtake anything newer.
//   - as recorded: the entry carries the value that was rejected, and the ID of the change it belonged to. It is written only
//     if the key is still there, and the row index knows nothing newer of it (G4).
//   - kept: a dead letter that replaying could not help, or would harm. It stays, and the reason is told.
//
// A replayed delete is a delete only as long as its key is gone (G7). The entry is for the lanes of the connection that
// rejected the record; the targets of other connections have what they were sent.
package replay

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/deadletter"
	"slipstream/capture/resp"
	"slipstream/capture/stream"
	"slipstream/capture/tail"
	"slipstream/proto/keyspace"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Command is what the entries of a replay say in their field command.
const Command = "replay"

// Job is where the dead letters of a job go.
type Job struct {
	Pipeline string
	// Spec is the job as it is deployed.
	Spec *pipelinev1.Job
	// Streams are its streams in the layout in force, Store keeps them, Redis is the server.
	Streams []stream.Stream
	Store   *stream.Store
	Redis   redis.UniversalClient
	// Values lends connections to the database of its keys.
	Values *tail.Pool
}

// chunk is how many dead letters are replayed at once.
const chunk = 200

// Run replays the dead letters of a job that are given, in their order.
func Run(ctx context.Context, j Job, letters []*capturev1.DeadLetter, asRecorded bool) (*capturev1.ReplayedStream, error) {
	out := &capturev1.ReplayedStream{Name: keyspace.DeadLetters(j.Pipeline, j.Spec.GetName()), Job: j.Spec.GetName()}
	if len(letters) == 0 {
		return out, nil
	}
	headers, err := j.Store.Headers(ctx, j.Streams)
	if err != nil {
		return nil, err
	}
	p := planner{job: j, headers: headers, asRecorded: asRecorded, unguarded: map[string]string{}}
	for len(letters) > 0 {
		n := min(chunk, len(letters))
		if err := p.replay(ctx, letters[:n], out); err != nil {
			return out, err
		}
		letters = letters[n:]
	}
	return out, nil
}

func (p *planner) replay(ctx context.Context, letters []*capturev1.DeadLetter, out *capturev1.ReplayedStream) error {
	keep := func(letter, reason string) {
		out.Kept = append(out.Kept, &capturev1.KeptDeadLetter{Id: letter, Reason: reason})
	}
	there, err := p.present(ctx, letters)
	if err != nil {
		return err
	}
	var all []stream.Resent
	for i, letter := range letters {
		s, fields, reason := p.plan(letter, there[i])
		if reason != "" {
			keep(letter.GetId(), reason)
			continue
		}
		all = append(all, stream.Resent{Letter: letter.GetId(), Stream: s, Fields: fields})
	}
	counts := keyspace.Counts(p.job.Pipeline, p.job.Spec.GetName())
	outcomes, err := p.job.Store.Resend(ctx, out.Name, counts, deadletter.FieldReplayed, all)
	for i, outcome := range outcomes {
		switch outcome {
		case stream.ResentNow:
			out.Replayed++
		case stream.ResentBefore: // somebody else was quicker, or the cap pushed it out
		case stream.ResentNowhere:
			keep(all[i].Letter, "the change stream has begun anew just now: replay it again")
		}
	}
	return err
}

// present says for each dead letter whether its key is there now, whatever its type.
func (p *planner) present(ctx context.Context, letters []*capturev1.DeadLetter) ([]bool, error) {
	there := make([]bool, len(letters))
	err := p.job.Values.With(ctx, func(conn *resp.Conn) error {
		defer conn.Interrupt(ctx)()
		for _, letter := range letters {
			conn.Out.Begin(2)
			conn.Out.String("EXISTS")
			conn.Out.Bytes(letter.GetReject().GetKey())
		}
		if err := conn.Out.Flush(); err != nil {
			return err
		}
		var refusal error
		for i := range letters {
			n, err := conn.In.Int()
			switch {
			case err != nil && resp.Refused(err) == "":
				return err
			case err != nil:
				refusal = err
			}
			there[i] = n > 0
		}
		return refusal
	})
	if err != nil {
		return nil, fmt.Errorf("looking for the keys of %d dead letters: %w", len(letters), err)
	}
	return there, nil
}
