package deadletter

import (
	"strconv"
	"strings"

	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// Fields of an entry (spec 9.4). All values are strings; nested ones are JSON.
const (
	fieldTimestamp   = "timestamp"
	fieldJob         = "job"
	fieldOutput      = "output" // index and writer: "0 relational.write"; -1 where no output was reached
	fieldConnection  = "connection"
	fieldTable       = "table"
	fieldOpcode      = "opcode"
	fieldCommand     = "command"
	fieldKey         = "key"
	fieldRecord      = "record"
	fieldTransformed = "transformed"
	fieldReason      = "reason_rejected"
	fieldClass       = "error_class"
	fieldBlock       = "block"
	fieldCode        = "sqlstate"
	fieldColumn      = "column"
	fieldAttempts    = "attempts"
	fieldSourceID    = "source_id"

	// Where dlq_payload is not keep.
	fieldPayload    = "payload"     // omit or encrypt
	fieldWithheld   = "withheld"    // fields that are left out or sealed, separated by blanks
	fieldLane       = "lane"        // of sealed ones: a letter is bound to it
	fieldPayloadKey = "payload_key" // id of the key
	fieldSealed     = "sealed"      // version, nonce, ciphertext
)

// Record is the name of the field that holds the record, as it stands among those withheld.
const Record = fieldRecord

// encode is the entry of a reject: field, value, …; fields that are empty are left out.
func encode(r *flowv1.Reject, job, now string) []any {
	fields := make([]any, 0, 44)
	put := func(field, value string) {
		if value != "" {
			fields = append(fields, field, value)
		}
	}
	put(fieldTimestamp, now)
	put(fieldJob, job)
	put(fieldOutput, strings.TrimSpace(strconv.Itoa(int(r.GetOutput()))+" "+r.GetWriter()))
	put(fieldConnection, r.GetConnection())
	put(fieldTable, r.GetTable())
	put(fieldOpcode, r.GetOpcode())
	put(fieldCommand, r.GetCommand())
	put(fieldKey, string(r.GetKey()))
	put(fieldRecord, string(r.GetRecord()))
	put(fieldTransformed, string(r.GetTransformed()))
	put(fieldReason, r.GetReason())
	put(fieldClass, r.GetErrorClass())
	put(fieldBlock, r.GetBlock())
	put(fieldCode, r.GetCode())
	put(fieldColumn, r.GetColumn())
	put(fieldAttempts, strconv.FormatUint(uint64(max(r.GetAttempts(), 1)), 10))
	put(fieldSourceID, r.GetSourceId())
	return fields
}

// decode is the reject of an entry, and the time it was stored.
func decode(values map[string]any) (*flowv1.Reject, string, int64) {
	text := func(field string) string {
		s, _ := values[field].(string)
		return s
	}
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	index, writer, _ := strings.Cut(text(fieldOutput), " ")
	r := &flowv1.Reject{
		SourceId: text(fieldSourceID), Output: int32(number(index)), Writer: writer, Connection: text(fieldConnection),
		Table: text(fieldTable), Opcode: text(fieldOpcode), Command: text(fieldCommand), Key: []byte(text(fieldKey)),
		Record: []byte(text(fieldRecord)), Transformed: []byte(text(fieldTransformed)), Reason: text(fieldReason),
		ErrorClass: text(fieldClass), Block: text(fieldBlock), Code: text(fieldCode), Column: text(fieldColumn),
		Attempts: uint32(number(text(fieldAttempts))),
	}
	return r, text(fieldJob), number(text(fieldTimestamp))
}
