package recorder_test

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"slipstream/capture/recorder"
	"slipstream/deploy/dev/devserver"
)

// flood writes n hashes of 10 fields as fast as Redis takes them, on one connection.
func flood(tb testing.TB, addr string, n int) {
	tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var command []byte
	out := bufio.NewWriterSize(conn, 1<<16)
	in := bufio.NewReaderSize(conn, 1<<16)
	done := make(chan error, 1)
	go func() {
		for range n {
			line, err := in.ReadString('\n')
			if err != nil || line[0] != ':' {
				done <- fmt.Errorf("%q: %w", line, err)
				return
			}
		}
		done <- nil
	}()
	for i := range n {
		key := "k:" + strconv.Itoa(i)
		command = append(command[:0], "*22\r\n$4\r\nHSET\r\n$"+strconv.Itoa(len(key))+"\r\n"+key+"\r\n"...)
		for f := range 10 {
			command = append(command, "$6\r\nfield"+strconv.Itoa(f)+"\r\n$10\r\n0123456789\r\n"...)
		}
		if _, err := out.Write(command); err != nil {
			tb.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		tb.Fatal(err)
	}
	if err := <-done; err != nil {
		tb.Fatal(err)
	}
}

func cpu(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRecorder: a burst of 200,000 HSETs through one recorder, beside the same burst without one.
func BenchmarkRecorder(b *testing.B) {
	const n = 200_000
	b.Run("without", func(b *testing.B) {
		r := newRig(b, devserver.RedisOptions{})
		for b.Loop() {
			r.do("FLUSHALL")
			start := time.Now()
			flood(b, r.server.Addr, n)
			b.ReportMetric(n/time.Since(start).Seconds(), "HSET/s")
		}
	})
	b.Run("with", func(b *testing.B) {
		r := newRig(b, devserver.RedisOptions{}, job("k", "k:*"))
		rec := r.started()
		for b.Loop() {
			before, used := rec.Status().GetRecorded(), cpu(b)
			start := time.Now()
			flood(b, r.server.Addr, n)
			burst := time.Since(start)
			for rec.Status().GetRecorded()-before < n {
				time.Sleep(time.Millisecond)
			}
			b.ReportMetric(n/burst.Seconds(), "HSET/s")
			b.ReportMetric(n/time.Since(start).Seconds(), "recorded/s")
			b.ReportMetric(float64((cpu(b)-used).Microseconds())/n, "cpu-µs/entry") // with the writing client's
		}
		if gaps := rec.Status().GetGaps(); gaps > 0 {
			b.Errorf("%d gaps", gaps)
		}
	})
}

// TestBurst: 200,000 HSETs as fast as Redis takes them arrive complete, each once, within the default limits.
func TestBurst(t *testing.T) {
	const n = 200_000
	r := newRig(t, devserver.RedisOptions{}, job("k", "k:*"))
	rec := r.started(func(c *recorder.Config) { c.Memory = 0 })
	flood(t, r.server.Addr, n)
	r.eventually("all are recorded", func() bool { return rec.Status().GetRecorded() >= n })
	if got := r.causes(); len(got) != 0 {
		t.Fatalf("gaps %q", got)
	}
	seen := map[string]bool{}
	for _, e := range r.entries("k") {
		seen[e] = true
	}
	if len(seen) != n || rec.Status().GetRecorded() != n {
		t.Errorf("%d keys in %d entries, want %d", len(seen), rec.Status().GetRecorded(), n)
	}
}
