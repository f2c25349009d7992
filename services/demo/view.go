package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// view repaints a few lines with what the pipeline says of itself and with the newest rows. Where standard output is
// not a terminal it prints one line a second instead.
type view struct {
	p        *processes
	w        *writer
	terminal bool
	painted  int // lines to go up before the next paint
}

func newView(p *processes, w *writer) *view {
	info, err := os.Stdout.Stat()
	return &view{p: p, w: w, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// run repaints until ctx ends.
func (v *view) run(ctx context.Context) error {
	every := time.Second
	if v.terminal {
		every = 250 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s, err := v.p.gateway.Status(ctx, &gatewayv1.StatusRequest{})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("asking for the status: %w", err)
		}
		rows, err := v.newest(ctx)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("reading the newest rows: %w", err)
		}
		v.paint(summary(s), rows)
	}
}

// figures are what the live view shows of a status.
type figures struct {
	backlog, settled, rejected uint64
	rate, p50, p99             float64
	gaps                       int
	recorder                   string
}

func summary(s *gatewayv1.StatusResponse) figures {
	var f figures
	for _, j := range s.GetStatus().GetJobs() {
		f.backlog += j.Backlog
		f.settled += j.GetCounts().GetChanges()
		f.rejected += j.GetCounts().GetRejected()
	}
	for _, l := range s.GetStatus().GetLanes() {
		f.rate += l.Rate
		f.p50, f.p99 = max(f.p50, l.LatencyP50Ms), max(f.p99, l.LatencyP99Ms)
	}
	for _, g := range s.GetStatus().GetGaps() {
		if g.RepairedMs == 0 {
			f.gaps++
		}
	}
	r := s.GetStatus().GetRecorder()
	f.recorder = strings.ToLower(strings.TrimPrefix(r.GetMethod().String(), "CAPTURE_METHOD_")) + ", " +
		strings.ToLower(strings.TrimPrefix(r.GetGuarantee().String(), "GUARANTEE_"))
	return f
}

// lanesRun says whether the pipeline has lanes and all of them run.
func lanesRun(s *gatewayv1.StatusResponse) bool {
	lanes := s.GetStatus().GetLanes()
	for _, l := range lanes {
		if l.State != capturev1.LaneState_LANE_STATE_RUNNING {
			return false
		}
	}
	return len(lanes) > 0 && s.GetStatus().GetRecorder().GetConnected()
}

// newest is the rows that changed last, as text.
func (v *view) newest(ctx context.Context) ([]string, error) {
	rows, err := v.p.rows.QueryContext(ctx, `SELECT country, no, name, ifnull(region, '–'), ifnull(visits, 0) FROM city ORDER BY changed_ms DESC LIMIT 5`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var country, name, region string
		var no, visits int64
		if err := rows.Scan(&country, &no, &name, &region, &visits); err != nil {
			return nil, err
		}
		out = append(out, fmt.Sprintf("%s %7d  %-28.28s %-24.24s %4d visits", country, no, name, region, visits))
	}
	return out, rows.Err()
}

func (v *view) paint(f figures, rows []string) {
	if !v.terminal {
		fmt.Printf("%s: backlog %d, %.0f changes/s, latency p50 %.0f ms p99 %.0f ms, %d changes settled, %d rejected\n",
			v.w.phase.Load(), f.backlog, f.rate, f.p50, f.p99, f.settled, f.rejected)
		return
	}
	lines := append([]string{
		fmt.Sprintf("%s (capture: %s)", v.w.phase.Load(), f.recorder),
		fmt.Sprintf("  backlog %7d   rate %7.0f/s   latency p50 %5.0f ms  p99 %5.0f ms", f.backlog, f.rate, f.p50, f.p99),
		fmt.Sprintf("  settled %7d   rejected %3d     open gaps %d", f.settled, f.rejected, f.gaps),
		"  newest rows:",
	}, rows...)
	var b strings.Builder
	if v.painted > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", v.painted)
	}
	for _, l := range lines {
		b.WriteString("\x1b[2K" + l + "\n")
	}
	b.WriteString("\x1b[J")
	v.painted = len(lines)
	fmt.Print(b.String())
}
