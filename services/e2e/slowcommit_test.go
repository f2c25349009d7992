package e2e_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipstream/deploy/dev/devserver"
)

// TestSlowCommit: a commit that was slow is found as an operator finds it. The histograms lead by an exemplar to the trace
// of the batch, in OpenMetrics and through a real Prometheus, and in the trace the statement that waited stands with its
// text, and without a value (G10).
func TestSlowCommit(t *testing.T) {
	tg := postgresTarget(t, devserver.SharedPostgres(t))
	tg.exec(t, empTable)
	server := devserver.Redis(t, devserver.RedisOptions{})
	c := client(t, server.Addr)
	otlp, environment := startCollector(t)
	p := startProcesses(t, server.Addr, environment...)
	deploy(t, p, map[string]string{"config.yaml": config(server.Addr, tg, ""), "jobs/emp.yaml": quickstart})
	running(t, p)
	must(t, c.HSet(t.Context(), "emp:Ada:Lovelace", "gender", "F").Err())
	rowsAre(t, tg, "SELECT first_name, gender FROM emp", "Ada|F")

	// Somebody holds the table for a second after a statement of ours has begun to wait for it.
	locker := tg.open(t)
	defer func() { _ = locker.Close(context.WithoutCancel(t.Context())) }()
	for _, stmt := range []string{"BEGIN", "LOCK TABLE emp IN SHARE ROW EXCLUSIVE MODE"} {
		_, err := locker.Exec(t.Context(), stmt)
		must(t, err)
	}
	must(t, c.HSet(t.Context(), "emp:Ada:Lovelace", "address", "hunter2").Err())
	await(t, time.Minute, "a statement that waits", func() (bool, string) {
		got := tg.rows(t, `SELECT coalesce(max(extract(epoch FROM clock_timestamp() - query_start)), 0) FROM pg_stat_activity
			WHERE wait_event_type = 'Lock' AND datname = current_database()`)
		waited, err := strconv.ParseFloat(got[0][0], 64)
		must(t, err)
		return waited > 1, got[0][0]
	})
	_, err := locker.Exec(t.Context(), "ROLLBACK")
	must(t, err)
	rowsAre(t, tg, "SELECT first_name, address FROM emp", "Ada|hunter2")

	// Three histograms know of it, in two processes; all lead to the same trace.
	trace := ""
	for histogram, service := range map[string]string{
		"slipstream_capture_latency_seconds": "capture", "slipstream_capture_commit_seconds": "capture",
		"slipstream_applier_commit_seconds": "applier-postgres",
	} {
		await(t, time.Minute, "an exemplar of "+histogram, func() (bool, string) {
			text := scrape(t, p.services[service].metrics)
			id := slowest(t, text, histogram)
			if id != "" && trace == "" {
				trace = id
			}
			return id != "" && id == trace, fmt.Sprintf("trace %q, others have %q\n%s", id, trace, text)
		})
	}

	await(t, time.Minute, "the statement in the trace", func() (bool, string) {
		return otlp.waited(trace)
	})
	if leak := otlp.holds("hunter2"); leak != "" {
		t.Errorf("a span shows a value: %s", leak)
	}

	prometheus := devserver.Prometheus(t, p.services["capture"].metrics)
	await(t, 90*time.Second, "the exemplar in Prometheus", func() (bool, string) {
		kept, err := prometheus.Exemplars(t.Context(), "slipstream_capture_latency_seconds_bucket")
		must(t, err)
		for _, e := range kept {
			if e.Labels["trace_id"] == trace && e.Value > 1 {
				return true, ""
			}
		}
		return false, fmt.Sprint(kept)
	})
}

// scrape gets /metrics as Prometheus does where it keeps exemplars.
func scrape(t *testing.T, address string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", http.NoBody)
	must(t, err)
	req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	must(t, err)
	body, err := io.ReadAll(res.Body)
	must(t, err, res.Body.Close())
	if kind := res.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/openmetrics-text") || !strings.HasSuffix(string(body), "# EOF\n") {
		t.Fatalf("%s is no OpenMetrics: %s", address, kind)
	}
	return string(body)
}

var exemplar = regexp.MustCompile(`(?m)^(\w+)_bucket\{.*\} \d+ # \{trace_id="([0-9a-f]{32})"\} (\S+)`)

// slowest is the trace of the greatest exemplar of a histogram, if that took more than a second.
func slowest(t *testing.T, text, histogram string) (trace string) {
	t.Helper()
	greatest := 1.0
	for _, m := range exemplar.FindAllStringSubmatch(text, -1) {
		took, err := strconv.ParseFloat(m[3], 64)
		must(t, err)
		if m[1] == histogram && took > greatest {
			greatest, trace = took, m[2]
		}
	}
	return trace
}

// waited says whether a trace has the whole way of a batch in it, with a statement that took more than a second.
func (c *collector) waited(trace string) (found bool, saw string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	statement, way := false, map[string]bool{}
	for _, s := range c.spans {
		if hex.EncodeToString(s.span.TraceId) != trace {
			continue
		}
		took := time.Duration(s.span.EndTimeUnixNano - s.span.StartTimeUnixNano)
		names = append(names, fmt.Sprintf("%s %s %v", s.service, s.span.Name, took))
		way[s.span.Name] = true
		for _, a := range s.span.Attributes {
			if a.Key == "db.query.text" && strings.Contains(a.Value.GetStringValue(), "emp") && s.span.Name == "upsert emp" && took > time.Second {
				statement = strings.HasPrefix(a.Value.GetStringValue(), "INSERT INTO ")
			}
		}
	}
	return statement && way["capture.read"] && way["transform"] && way["apply"] && way["commit"], strings.Join(names, "\n")
}

// holds finds a span that shows a text somewhere.
func (c *collector) holds(text string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if shown := s.span.String(); strings.Contains(shown, text) {
			return shown
		}
	}
	return ""
}
