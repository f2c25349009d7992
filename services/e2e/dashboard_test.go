package e2e_test

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"slipstream/deploy/dev/devserver"
	"slipstream/gateway/rdimetrics"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	"slipstream/services/internal/host"
)

// tapJob filters and rejects some of what it reads.
const tapJob = `source:
  redis: {trigger: write-behind, key_pattern: "tap:*"}
  keys: {fields: {id: 1}}
transform:
  - uses: filter
    with: {language: jmespath, expression: "shut != 'yes'"}
output:
  - uses: relational.write
    with: {connection: hr, table: tap, keys: [id], mapping: [flow]}
`

// TestDashboard: the queries of RDI's sample dashboard (spec 8.1) find data in a real Prometheus that scrapes what
// `slipstream monitor` serves.
func TestDashboard(t *testing.T) {
	tg := postgresTarget(t, devserver.SharedPostgres(t))
	tg.exec(t, "CREATE TABLE tap (id integer PRIMARY KEY, flow integer)")
	server := devserver.Redis(t, devserver.RedisOptions{})
	c := client(t, server.Addr)
	l := startEmbedded(t, server.Addr)
	deploy(t, l, map[string]string{"config.yaml": config(server.Addr, tg, ""), "jobs/tap.yaml": tapJob})
	running(t, l)
	must(t, c.HSet(t.Context(), "tap:1", "flow", "5").Err(), c.HSet(t.Context(), "tap:2", "flow", "6").Err(),
		c.HSet(t.Context(), "tap:3", "shut", "yes").Err(), c.HSet(t.Context(), "tap:4", "flow", "much").Err())
	rowsAre(t, tg, "SELECT id, flow FROM tap ORDER BY id", "1|5", "2|6")
	must(t, c.Del(t.Context(), "tap:2").Err())
	rowsAre(t, tg, "SELECT id, flow FROM tap ORDER BY id", "1|5")

	registry := prometheus.NewRegistry()
	must(t, registry.Register(rdimetrics.New(rdimetrics.Config{
		Interval: time.Second, Compat: true,
		Read: func(ctx context.Context) (*gatewayv1.StatusResponse, error) {
			return l.gateway().Status(ctx, &gatewayv1.StatusRequest{})
		},
	})))
	ctx, cancel := context.WithCancel(t.Context())
	at, ended := make(chan string, 1), make(chan error, 1)
	exporter := host.Exporter{
		Address: "127.0.0.1:0", Metrics: registry, Log: slog.New(slog.DiscardHandler), Ready: func(address string) { at <- address },
	}
	go func() { ended <- exporter.Serve(ctx) }()
	defer func() {
		cancel()
		must(t, <-ended)
	}()
	p := devserver.Prometheus(t, <-at)

	const source = `data_source=~".*tap.*"`
	for query, holds := range map[string]func(value string) bool{
		"sum(rdi_engine_state)": is("1"),
		`rdi_incoming_entries{operation="pending",` + source + `}`:                        is("0"),
		`sum(rdi_incoming_entries{operation=~"inserted|updated",` + source + `})`:         is("2"),
		`rdi_incoming_entries{operation="deleted",` + source + `}`:                        is("1"),
		`rdi_incoming_entries{operation="filtered",` + source + `}`:                       is("1"),
		`rdi_incoming_entries{operation="rejected",` + source + `}`:                       is("1"),
		`rdi_stream_event_latency_ms{` + source + `}`:                                     is("0"),
		`sum(rate(rdi_incoming_entries{operation!~".*pending",` + source + `}[1m]))`:      func(v string) bool { return v != "" },
		`sum(rdi_metrics_incoming_entries{` + source + `})`:                               is("5"),
		`rdi_metrics_stream_size{` + source + `}`:                                         func(v string) bool { return v != "" },
		`rdi_metrics_stream_last_latency_ms{` + source + `}`:                              is("0"),
		"rdi_processed_batches_total":                                                     positive,
		"rdi_processor_batch_size_total":                                                  is("5"),
		`count({__name__=~"rdi_processor_(read|transform|write|ack)_time_ms_last"} > 0)`:  is("4"),
		`count({__name__=~"rdi_processor_(read|transform|write|ack)_time_ms_total"} > 0)`: is("4"),
		"rdi_processor_rec_per_sec_total":                                                 positive,
		`rdi_processor_total_time_ms_total - rdi_processor_read_time_ms_total - rdi_processor_process_time_ms_total -
			rdi_processor_ack_time_ms_total < bool 0.001`: is("1"),
		`rdi_engine_state{state="RUNNING",status="RUNNING",sync_mode=~"SNAPSHOT|STREAMING"}`: is("1"),
	} {
		await(t, 90*time.Second, query, func() (bool, string) {
			values, err := p.Query(t.Context(), query)
			must(t, err)
			return len(values) > 0 && !slices.ContainsFunc(values, func(v string) bool { return !holds(v) }), strings.Join(values, ", ")
		})
	}
}

func positive(value string) bool {
	v, err := strconv.ParseFloat(value, 64)
	return err == nil && v > 0
}

func is(want string) func(string) bool {
	return func(value string) bool { return value == want }
}
