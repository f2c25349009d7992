package replay

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"slipstream/capture/deadletter"
	"slipstream/capture/stream"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// planner decides about the dead letters of a job.
type planner struct {
	job        Job
	headers    []stream.Header
	asRecorded bool
	unguarded  map[string]string // by connection: why a recorded value may not be written; empty: it may
}

// plan returns the stream and the fields of the entry that takes the place of a dead letter, or the reason to keep it.
// There says whether its key exists.
func (p *planner) plan(letter *capturev1.DeadLetter, there bool) (s stream.Stream, fields []any, reason string) {
	r := letter.GetReject()
	if len(r.GetKey()) == 0 {
		return s, nil, "it names no key"
	}
	if reason := p.writer(r); reason != "" {
		return s, nil, reason
	}
	at := stream.PartitionOf(r.GetKey(), len(p.job.Streams))
	if !p.reads(at, r.GetConnection()) {
		return s, nil, "the lane of its key is not open yet: replay it when it runs"
	}
	fields = []any{stream.FieldKey, r.GetKey(), stream.FieldCommand, Command}
	if c := r.GetConnection(); c != "" {
		fields = append(fields, stream.FieldConnection, c)
	}
	own, reason := p.entry(letter, there)
	return p.job.Streams[at], append(fields, own...), reason
}

// entry returns what of the fields says what is to be done.
func (p *planner) entry(letter *capturev1.DeadLetter, there bool) (fields []any, reason string) {
	r := letter.GetReject()
	asOf, main := recordedAt(r)
	withheld := slices.Contains(letter.GetWithheld(), deadletter.Record)
	switch {
	case r.GetOpcode() == "d" && (withheld || len(r.GetRecord()) > 0) && !there: // a delete, and still one
		fields = op(stream.OpDelete)
		if main {
			fields = append(fields, stream.FieldAsOf, asOf)
		}
		return fields, ""
	case !there:
		return nil, "its key does not exist any more: there is nothing to write"
	case !p.asRecorded || r.GetOpcode() == "d": // a delete whose key is back is overtaken by the key's value
		return op(stream.OpRead), ""
	case withheld && letter.GetPayloadTrouble() != "":
		return nil, "its record is not to be had: " + letter.GetPayloadTrouble()
	case withheld:
		return nil, "its record was not kept (dlq_payload: omit): replay the current value"
	case !main:
		return nil, "its value was read by a sweep or a replay, which does not tell what is newer: replay the current value"
	}
	if reason := p.guard(r.GetConnection()); reason != "" {
		return nil, reason
	}
	value, reason := recorded(r.GetRecord(), p.job.Spec.GetSource().GetBinaryFields())
	return append(append(op(stream.OpRead), stream.FieldAsOf, asOf), value...), reason
}

func op(o stream.Op) []any { return []any{stream.FieldOp, string(rune(o))} }

// recordedAt is the ID of the change that was rejected, and whether it is one of the main stream.
func recordedAt(r *flowv1.Reject) (id string, main bool) {
	parsed, err := stream.ParseID(r.GetSourceId())
	return parsed.String(), err == nil && !parsed.IsZero()
}

// writer says why the job does not write any more what was rejected, or would write something else a second time.
func (p *planner) writer(r *flowv1.Reject) string {
	c := r.GetConnection()
	if c != "" && !slices.Contains(stream.Connections(p.job.Spec), c) {
		return fmt.Sprintf("the job does not write to connection %q any more", c)
	}
	for i, o := range p.job.Spec.GetOutputs() {
		if r.GetOutput() < 0 || int(r.GetOutput()) == i || o.GetConnection() != c {
			continue
		}
		switch o.GetRelational().GetLoadStrategy() {
		case pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND, pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2:
			return fmt.Sprintf("output[%d] keeps history and has the record already: a replay would add it a second time", i)
		}
	}
	return ""
}

// reads says whether the lanes that an entry is for have begun to read its stream: before that an entry would be lost.
func (p *planner) reads(at int, connection string) bool {
	wanted := []string{connection}
	if connection == "" {
		wanted = stream.Connections(p.job.Spec)
	}
	for _, c := range wanted {
		if !p.headers[at].Reads(c) {
			return false
		}
	}
	return true
}

// guard says why a recorded value may not be written to a connection: where an output of it keeps no row index nothing
// tells what is newer (G4).
func (p *planner) guard(connection string) string {
	reason, known := p.unguarded[connection]
	if known {
		return reason
	}
	for i, o := range p.job.Spec.GetOutputs() {
		if (connection == "" || o.GetConnection() == connection) && !o.GetRelational().GetRowIndex() {
			reason = fmt.Sprintf("output[%d] keeps no row index, which alone tells whether something newer was written: "+
				"replay the current value", i)
			break
		}
	}
	p.unguarded[connection] = reason
	return reason
}

// recorded is the value in the record of a dead letter, as fields of an entry.
func recorded(text []byte, binary []string) (fields []any, reason string) {
	var r struct {
		Type  string          `json:"type"`
		TsMs  int64           `json:"ts_ms"`
		After json.RawMessage `json:"after"`
	}
	const none = "no value was recorded with it: replay the current value"
	if err := json.Unmarshal(text, &r); err != nil || !strings.HasPrefix(string(r.After), "{") {
		return nil, none
	}
	if r.TsMs > 0 {
		fields = append(fields, stream.FieldTs, strconv.FormatInt(r.TsMs, 10))
	}
	if r.Type != "hash" {
		return append(fields, stream.FieldType, "json", stream.FieldAfter, []byte(r.After)), ""
	}
	var hash map[string]string
	if err := json.Unmarshal(r.After, &hash); err != nil || len(hash) == 0 {
		return nil, none
	}
	var packed []byte
	for _, name := range slices.Sorted(maps.Keys(hash)) {
		value := hash[name]
		if slices.Contains(binary, name) { // in records these are base64 (spec 1.6)
			if raw, err := base64.StdEncoding.DecodeString(value); err == nil {
				value = string(raw)
			}
		}
		packed = stream.Pack(stream.Pack(packed, name), value)
	}
	return append(fields, stream.FieldType, "hash", stream.FieldHash, packed), ""
}
