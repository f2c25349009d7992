package recorder

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/gap"
	"slipstream/capture/source"
	"slipstream/proto/keyspace"
)

// Fields of the recorder's hash by which flushes are found.
const (
	fieldFlushes = "flushes" // run id of the source and its count of flushes, as seen last
	fieldMark    = "mark"    // random: while it is there, the database of the streams was not flushed
)

// Flushes is told which jobs a flush stops; *flush.Book is one.
type Flushes interface {
	Stop(ctx context.Context, jobs []string, at time.Time) error
}

// flushes watches for flushes of the source by its command statistics, over sessions and processes. Where the server keeps
// none to itself, a flush is found only if it took our own keys along.
type flushes struct {
	n     *Notifications
	run   string // run id of the source that count is of; empty: not known
	count int64  // negative: the server does not tell
	mark  string
}

// resume begins to watch in a session: what happened since the last one is found too, unless the server was restarted.
func (f *flushes) resume(ctx context.Context, facts source.Facts) error {
	stored, err := f.n.rdb.HMGet(ctx, keyspace.Recorder(f.n.pipeline), fieldFlushes, fieldMark).Result()
	if err != nil {
		return fmt.Errorf("reading what is known of flushes: %w", err)
	}
	if text, _ := stored[0].(string); text != "" { // another instance may have seen more
		run, count, _ := strings.Cut(text, " ")
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil {
			return fmt.Errorf("reading the count of flushes %q: %w", text, err)
		}
		f.run, f.count = run, n
	}
	if mark, _ := stored[1].(string); mark != "" {
		f.mark = mark
	}
	return f.see(ctx, facts.RunID, facts.Flushes)
}

// look asks the source whether it was flushed.
func (f *flushes) look(ctx context.Context) error {
	count := int64(-1)
	if f.count >= 0 {
		var err error
		if count, err = source.Flushes(ctx, f.n.src); err != nil {
			return err
		}
	}
	return f.see(ctx, f.run, count)
}

// see compares with what was seen last. It is noted as seen last of all, so that a crash on the way finds it again.
func (f *flushes) see(ctx context.Context, run string, count int64) error {
	mark, err := f.n.rdb.HGet(ctx, keyspace.Recorder(f.n.pipeline), fieldMark).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("looking for the mark of the streams: %w", err)
	}
	ours := f.mark != "" && mark != f.mark // our own keys went
	same := f.run == run && run != ""
	if same && ((f.count >= 0 && count > f.count) || (count < 0 && ours)) {
		if err := f.found(ctx, ours); err != nil {
			return err
		}
	}
	if same && count == f.count && f.mark != "" && !ours {
		return nil
	}
	f.run, f.count = run, count
	if f.mark == "" || ours {
		f.mark = rand.Text()
	}
	err = f.n.rdb.HSet(ctx, keyspace.Recorder(f.n.pipeline),
		fieldFlushes, run+" "+strconv.FormatInt(count, 10), fieldMark, f.mark).Err()
	if err != nil {
		return fmt.Errorf("noting what is known of flushes: %w", err)
	}
	return nil
}

// found stops the jobs that a flush concerns, and records a gap. A job in the database of the streams is not concerned
// while our own keys are there; of other databases the server does not tell which was meant.
func (f *flushes) found(ctx context.Context, ours bool) error {
	n, now := f.n, time.Now()
	var jobs []string
	for _, j := range n.plan.Load().OnFlush {
		if ours || j.DB != n.Streams.Database || n.Streams.Addr() != n.Source.Addr() {
			jobs = append(jobs, j.Name)
		}
	}
	slices.Sort(jobs)
	if n.Flushes != nil {
		if err := n.Flushes.Stop(ctx, jobs, now); err != nil {
			return err
		}
	}
	detail := "FLUSHDB, FLUSHALL or SWAPDB ran on the source; rows of keys that vanished stay"
	if len(jobs) > 0 && n.Flushes != nil {
		detail += "; stopped until acknowledged: " + strings.Join(jobs, ", ")
	}
	return n.openGap(ctx, gap.Gap{Cause: gap.Flush, Began: now.Add(-n.Beat), Ended: now, Detail: detail})
}
