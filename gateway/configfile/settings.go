package configfile

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"slipstream/proto/secret"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

// Defaults are the settings of a pipeline whose config.yaml has no applier section (spec 2.5, and design for our own).
func Defaults() *pipelinev1.Settings {
	return &pipelinev1.Settings{
		OnFailedRetryInterval: 5,
		ReadBatchSize:         2000,
		Duration:              100,
		WriteBatchSize:        200,
		ErrorHandling:         pipelinev1.ErrorHandling_ERROR_HANDLING_DLQ,
		DlqMaxMessages:        1000,
		DlqPayload:            pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_KEEP,
		Partitions:            4,
		SweepRate:             0,
		PositionTable:         "slipstream_position",
		RowTable:              "slipstream_row",
		TrimDelay:             60,
		Dedup:                 false,
		DedupMaxSize:          1024,
		WaitTimeout:           1000,
		RetryOnReplicaFailure: true,
		UseNativeJsonMerge:    true,
	}
}

const (
	// maxPartitions bounds the streams of a job: every partition is a lane and a stream.
	maxPartitions = 256
	// maxSyncProcesses is the upper end of initial_sync_processes in spec 2.5.
	maxSyncProcesses = 32
	// maxIdle is the upper end of idle_sleep_time_ms there.
	maxIdle = 999999
)

var tableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

func hasReference(s string) bool { return secret.HasReference(s) }

// settings reads the applier section.
type settings struct {
	m       *yamlfile.Map
	resolve Resolve
	out     *pipelinev1.Settings

	dataType, onUpdate string // what redis.write does by default
}

func readSettings(m *yamlfile.Map, resolve Resolve) *settings {
	s := &settings{m: m, resolve: resolve, out: Defaults()}
	if v := m.Take("batch"); v.Present() {
		if n, ok := s.number(v, 1, math.MaxInt32); ok {
			s.out.ReadBatchSize, s.out.WriteBatchSize = n, n
			v.Deprecated("write read_batch_size: and write_batch_size:", "batch is an old name")
		}
	}
	s.take("on_failed_retry_interval", 1, &s.out.OnFailedRetryInterval)
	s.take("read_batch_size", 1, &s.out.ReadBatchSize)
	s.take("write_batch_size", 1, &s.out.WriteBatchSize)
	s.duration()
	s.take("dlq_max_messages", 1, &s.out.DlqMaxMessages)
	s.take("dedup_max_size", 1, &s.out.DedupMaxSize)
	s.take("sweep_rate", 0, &s.out.SweepRate)
	s.take("trim_delay", 0, &s.out.TrimDelay)
	if v := m.Take("partitions"); v.Present() {
		if n, ok := s.number(v, 1, maxPartitions); ok {
			s.out.Partitions = n
		}
	}
	if v := m.Take("error_handling"); v.Present() {
		if word, ok := v.Choice("dlq", "ignore"); ok && word == "ignore" {
			s.out.ErrorHandling = pipelinev1.ErrorHandling_ERROR_HANDLING_IGNORE
		}
	}
	if v := m.Take("dedup"); v.Present() {
		s.out.Dedup, _ = v.Bool()
	}
	s.table("position_table", &s.out.PositionTable)
	s.table("row_table", &s.out.RowTable)
	if s.out.GetRowTable() == s.out.GetPositionTable() {
		m.Take("row_table").Error("give it another name", "row_table and position_table are one table")
	}
	s.sizes()
	s.letters()
	s.redis()
	s.withoutEffect()
	m.Done(yamlfile.Hints{})
	return s
}

// table reads the name of one of our own tables.
func (s *settings) table(key string, into *string) {
	v := s.m.Take(key)
	if !v.Present() {
		return
	}
	if name, ok := v.Text(); ok && !tableName.MatchString(name) {
		v.Error("use letters, digits and underscores, at most 63", "%s: %q is no table name", key, name)
	} else if ok {
		*into = name
	}
}

// duration has an alias from the newer generation (A23).
func (s *settings) duration() {
	old, alias := s.m.Take("duration"), s.m.Take("read_batch_timeout_ms")
	if old.Present() && alias.Present() {
		alias.Error("remove one of the two", "duration and read_batch_timeout_ms mean the same")
	}
	s.take("read_batch_timeout_ms", 1, &s.out.Duration)
	s.take("duration", 1, &s.out.Duration)
}

func (s *settings) sizes() {
	v := s.m.Take("write_batch_size")
	if v.Present() && s.m.Take("read_batch_size").Present() && s.out.GetWriteBatchSize() > s.out.GetReadBatchSize() {
		v.Warn("write a number of at most "+strconv.FormatUint(uint64(s.out.GetReadBatchSize()), 10),
			"write_batch_size is larger than read_batch_size, so it is never reached")
	}
}

// redis reads what concerns targets of type redis, and the defaults of redis.write.
func (s *settings) redis() {
	if v := s.m.Take("target_data_type"); v.Present() {
		s.dataType, _ = v.Choice("hash", "json")
	}
	if v := s.m.Take("json_update_strategy"); v.Present() {
		s.onUpdate, _ = v.Choice("replace", "merge")
	}
	for key, into := range map[string]*bool{
		"wait_enabled": &s.out.WaitEnabled, "retry_on_replica_failure": &s.out.RetryOnReplicaFailure,
		"use_native_json_merge": &s.out.UseNativeJsonMerge,
	} {
		if v := s.m.Take(key); v.Present() {
			if on, ok := v.Bool(); ok {
				*into = on
			}
		}
	}
	s.take("wait_timeout", 1, &s.out.WaitTimeout)
}

// withoutEffect takes the keys that configurations copied from RDI hold and that mean nothing here (spec 2.5). They are
// accepted silently, but a value RDI would have refused is refused.
func (s *settings) withoutEffect() {
	for key, words := range map[string][]string{
		"dedup_strategy": {"ignore", "reject"},
		"type":           {"classic", "flink"},
	} {
		if v := s.m.Take(key); v.Present() {
			v.Choice(words...)
		}
	}
	if v := s.m.Take("debezium_lob_encoded_placeholder"); v.Present() {
		v.Text()
	}
	if v := s.m.Take("enable_async_processing"); v.Present() {
		v.Bool()
	}
	for key, high := range map[string]int64{
		"initial_sync_processes": maxSyncProcesses, "batch_queue_size": math.MaxInt32,
		"ack_queue_size": math.MaxInt32, "idle_sleep_time_ms": maxIdle, "idle_streams_check_interval_ms": math.MaxInt32,
		"busy_streams_check_interval_ms": math.MaxInt32, "retry_max_attempts": math.MaxInt32,
		"retry_initial_delay_ms": math.MaxInt32, "retry_max_delay_ms": math.MaxInt32,
	} {
		if v := s.m.Take(key); v.Present() {
			s.number(v, 1, high)
		}
	}
	if v := s.m.Take("logging"); v.Present() {
		if m, ok := v.Map(); ok {
			if level := m.Take("level"); level.Present() {
				level.Choice("trace", "debug", "info", "warn", "error")
			}
			m.Done(yamlfile.Hints{})
		}
	}
	if v := s.m.Take("advanced"); v.Present() {
		v.Map()
	}
}

func (s *settings) take(key string, low int64, into *uint32) {
	v := s.m.Take(key)
	if !v.Present() {
		if v.Written() {
			v.Error("write a number, or remove the key", "%s has no value", key)
		}
		return
	}
	if n, ok := s.number(v, low, math.MaxInt32); ok {
		*into = n
	}
}

// number is a whole number, written or referred to. What a reference stands for is never repeated in a message (G10).
func (s *settings) number(v yamlfile.Value, low, high int64) (uint32, bool) {
	reference, ok := v.Reference()
	if !ok {
		n, ok := v.Whole(low, high)
		return uint32(n), ok
	}
	text, err := s.resolve(reference)
	if err != nil {
		v.Error("set it where the gateway runs, or write the number itself", "%s: %v", v.Key(), err)
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < low || n > high {
		v.Error("let it hold "+yamlfile.Bounds(low, high), "%s: what %s holds is not a whole number in range", v.Key(), reference)
		return 0, false
	}
	return uint32(n), true
}
