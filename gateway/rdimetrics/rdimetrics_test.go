package rdimetrics_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"

	"slipstream/gateway/rdimetrics"
)

func status() *gatewayv1.StatusResponse {
	return &gatewayv1.StatusResponse{
		Version: "v1",
		Connections: []*gatewayv1.ConnectionStatus{
			{Name: "pg", Type: "postgresql", Status: "connected"}, {Name: "lite", Type: "sqlite", Status: "no such file"},
		},
		Status: &capturev1.PipelineStatus{
			Pipeline: "default", Running: true,
			Recorder: &capturev1.RecorderStatus{
				Method: capturev1.CaptureMethod_CAPTURE_METHOD_NOTIFICATIONS, Guarantee: capturev1.Guarantee_GUARANTEE_REPAIRED, Gaps: 3,
			},
			Gaps: []*capturev1.Gap{{Id: "a"}, {Id: "b", RepairedMs: 1}},
			Jobs: []*capturev1.JobStatus{
				{
					Job: "emp", Backlog: 7, LagMs: 1500, Skipped: 2, ExpiredUnread: 1, DeadLetters: 4,
					Counts:        &flowv1.Counts{Changes: 100, Inserted: 10, Updated: 60, Deleted: 5, Filtered: 20, Rejected: 5},
					Work:          &capturev1.Work{Batches: 4, Changes: 100, ReadNs: 2e6, TransformNs: 1e6, WriteNs: 5e6, AcknowledgeNs: 5e5},
					LastBatch:     &capturev1.Work{Batches: 1, Changes: 30, ReadNs: 1e6, TransformNs: 5e5, WriteNs: 4e6, AcknowledgeNs: 5e5},
					LastArrivalMs: 1000,
				},
				{
					Job: "pump", LastArrivalMs: 900,
					Work:      &capturev1.Work{Batches: 1, Changes: 15, ReadNs: 1e6, WriteNs: 5e5},
					LastBatch: &capturev1.Work{Batches: 1, Changes: 15, ReadNs: 1e6, WriteNs: 5e5},
				},
				{Job: "idle", LastArrivalMs: 2000}, // nothing settled since its totals were set to zero
			},
		},
	}
}

// gather serves one reading.
func gather(t *testing.T, compat bool, names ...string) string {
	t.Helper()
	now := time.Unix(1000, 0)
	c := rdimetrics.New(rdimetrics.Config{
		Compat: compat, Now: func() time.Time { return now },
		Read: func(context.Context) (*gatewayv1.StatusResponse, error) { return status(), nil },
	})
	text, err := testutil.CollectAndFormat(c, expfmt.TypeTextPlain, names...)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestNames: the names, labels and operations of spec 8.1, with both labels of the state (A14).
func TestNames(t *testing.T) {
	wants := []string{
		`rdi_engine_state{state="RUNNING",status="RUNNING",sync_mode="STREAMING"} 1`,
		`rdi_incoming_entries{data_source="slipstream:{default}:emp",job="emp",operation="pending"} 7`,
		`rdi_incoming_entries{data_source="slipstream:{default}:emp",job="emp",operation="inserted"} 10`,
		`rdi_incoming_entries{data_source="slipstream:{default}:emp",job="emp",operation="updated"} 60`,
		`rdi_incoming_entries{data_source="slipstream:{default}:emp",job="emp",operation="deleted"} 5`,
		`rdi_incoming_entries{data_source="slipstream:{default}:emp",job="emp",operation="filtered"} 20`,
		`rdi_incoming_entries{data_source="slipstream:{default}:emp",job="emp",operation="rejected"} 5`,
		`rdi_stream_event_latency_ms{data_source="slipstream:{default}:emp",job="emp"} 1500`,
		`rdi_stream_event_latency_ms{data_source="slipstream:{default}:pump",job="pump"} 0`,
		`rdi_version_info{cli="v1",engine="v1"} 1`,
		`incoming_records_total 107`, `processed_records_total 75`, `rejected_records_total 5`, `filtered_records_total 20`,
		`rdi_target_connected{connection="pg",type="postgresql"} 1`, `rdi_target_connected{connection="lite",type="sqlite"} 0`,
		`rdi_skipped_entries{data_source="slipstream:{default}:emp",job="emp",reason="type"} 2`,
		`rdi_skipped_entries{data_source="slipstream:{default}:emp",job="emp",reason="expired"} 1`,
		`rdi_capture_gap_total 3`, `rdi_capture_gaps_open 1`,
		`rdi_dlq_size{data_source="slipstream:{default}:emp",job="emp"} 4`,
		`rdi_capture_guarantee{guarantee="repaired",method="notifications"} 1`,
		`rdi_processed_batches_total 5`, `rdi_processor_batch_size_total 115`, `rdi_processor_batch_size_last 30`,
		`rdi_processor_read_time_ms_total 3`, `rdi_processor_read_time_ms_last 1`,
		`rdi_processor_transform_time_ms_total 1`, `rdi_processor_transform_time_ms_last 0.5`,
		`rdi_processor_write_time_ms_total 5.5`, `rdi_processor_write_time_ms_last 4`,
		`rdi_processor_process_time_ms_total 6.5`, `rdi_processor_process_time_ms_last 4.5`,
		`rdi_processor_ack_time_ms_total 0.5`, `rdi_processor_ack_time_ms_last 0.5`,
		`rdi_processor_total_time_ms_total 10`, `rdi_processor_total_time_ms_last 6`,
		`rdi_processor_rec_per_sec_total 11500`, `rdi_processor_rec_per_sec_last 5000`,
		`slipstream_status_read_errors_total 0`,
	}
	names := []string{"rdi_metrics_incoming_entries", "rdi_metrics_stream_size"}
	for _, want := range wants {
		name, _, _ := strings.Cut(want, " ")
		name, _, _ = strings.Cut(name, "{")
		names = append(names, name)
	}
	got := gather(t, false, names...)
	for _, want := range wants {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(got, "rdi_metrics_") {
		t.Error("the quickstart's names are there without being asked for")
	}
	if t.Failed() {
		t.Log(got)
	}
}

// TestCompat: the names of the quickstart stand beside the others (A14).
func TestCompat(t *testing.T) {
	got := gather(t, true, "rdi_metrics_incoming_entries", "rdi_metrics_stream_size", "rdi_metrics_stream_last_latency_ms")
	for _, want := range []string{
		`rdi_metrics_incoming_entries{data_source="slipstream:{default}:emp",job="emp",operation="updated"} 60`,
		`rdi_metrics_stream_size{data_source="slipstream:{default}:emp",job="emp"} 7`,
		`rdi_metrics_stream_last_latency_ms{data_source="slipstream:{default}:emp",job="emp"} 1500`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// TestReading: an answer serves for an interval; a failure leaves the state at 0, no stale numbers, and is counted.
func TestReading(t *testing.T) {
	now, reads, away := time.Unix(1000, 0), 0, false
	c := rdimetrics.New(rdimetrics.Config{
		Interval: 5 * time.Second, Now: func() time.Time { return now },
		Read: func(ctx context.Context) (*gatewayv1.StatusResponse, error) {
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("a reading without a bound")
			}
			if reads++; away {
				return nil, errors.New("away")
			}
			return status(), nil
		},
	})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	value := func(name string) float64 {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == name {
				m := f.GetMetric()[0]
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
		return -1
	}
	if v := value("rdi_engine_state"); v != 1 || reads != 1 {
		t.Fatalf("state %v after %d readings", v, reads)
	}
	now, away = now.Add(4*time.Second), true
	if v := value("rdi_engine_state"); v != 1 || reads != 1 {
		t.Fatalf("state %v after %d readings within the interval", v, reads)
	}
	now = now.Add(time.Second)
	if v := value("rdi_engine_state"); v != 0 || reads != 2 {
		t.Fatalf("state %v after %d readings", v, reads)
	}
	if value("rdi_incoming_entries") != -1 || value("slipstream_status_read_errors_total") != 1 {
		t.Error("numbers of before, or no error counted")
	}
	now, away = now.Add(5*time.Second), false
	if value("rdi_incoming_entries") == -1 || value("monitor_time_elapsed_total") != 10 {
		t.Error("no numbers after the gateway came back")
	}
}

// TestSyncMode: SNAPSHOT until an initial load has reached the targets (spec 8.1).
func TestSyncMode(t *testing.T) {
	recorder := &capturev1.RecorderStatus{}
	load := &capturev1.Sweep{Cause: "initial_load", EndedMs: 5}
	for want, st := range map[string]*capturev1.PipelineStatus{
		"UNKNOWN":   {},
		"SNAPSHOT":  {Recorder: recorder, Sweeps: []*capturev1.Sweep{load}},
		"STREAMING": {Recorder: recorder, Sweeps: []*capturev1.Sweep{{Cause: "initial_load", SettledMs: 9}, {Cause: "repair"}}},
	} {
		if got := rdimetrics.SyncMode(st); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
