package deadletter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Words of the field payload.
const (
	payloadOmit    = "omit"
	payloadEncrypt = "encrypt"
)

// sealVersion is the first byte of what is sealed, and of what it is bound to.
const sealVersion = 1

// errBroken says that a letter is not as it was sealed.
var errBroken = errors.New("it does not open: it was changed, or moved from another letter, since it was sealed")

// withhold takes the payload out of a reject: what holds data of the record, or may quote it. names are what there was of
// it, by the fields of an entry.
func withhold(r *flowv1.Reject) (clear, payload *flowv1.Reject, names []string) {
	clear, payload = proto.CloneOf(r), &flowv1.Reject{}
	if len(r.GetRecord()) > 0 {
		clear.Record, payload.Record, names = nil, r.GetRecord(), append(names, fieldRecord)
	}
	if len(r.GetTransformed()) > 0 {
		clear.Transformed, payload.Transformed, names = nil, r.GetTransformed(), append(names, fieldTransformed)
	}
	if r.GetReason() != "" {
		clear.Reason, payload.Reason, names = "", r.GetReason(), append(names, fieldReason)
	}
	switch r.GetOpcode() {
	case "", "c", "u", "d", "r":
	default: // a job may make one of the record's fields the opcode
		clear.Opcode, payload.Opcode, names = "", r.GetOpcode(), append(names, fieldOpcode)
	}
	return clear, payload, names
}

// bare says that a reject holds nothing of a record: its value could not be read, and its reason is one of ours.
func bare(r *flowv1.Reject) bool {
	return r.GetErrorClass() == "capture" && len(r.GetRecord()) == 0 && len(r.GetTransformed()) == 0
}

// put is the entry of a reject as the queue's pipeline wants it. It fails rather than store in clear what is not to be.
func (q *Queue) put(r *flowv1.Reject, now string) ([]any, error) {
	switch q.payload {
	case pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_UNSPECIFIED, pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_KEEP:
		return encode(r, q.job, now), nil
	case pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_OMIT, pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_ENCRYPT:
	default:
		return nil, unsealed(fmt.Errorf("this version of capture does not know dlq_payload %d", q.payload))
	}
	if bare(r) {
		return encode(r, q.job, now), nil
	}
	clear, payload, names := withhold(r)
	fields := append(encode(clear, q.job, now), fieldWithheld, strings.Join(names, " "))
	if q.payload == pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_OMIT {
		return append(fields, fieldPayload, payloadOmit), nil
	}
	k, err := q.keys.sealing()
	if err != nil {
		return nil, err
	}
	fields = append(fields, fieldPayload, payloadEncrypt, fieldLane, q.lane, fieldPayloadKey, k.id)
	text, err := proto.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("encoding the payload of a dead letter: %w", err)
	}
	values := make(map[string]any, len(fields)/2)
	for i := 0; i < len(fields); i += 2 {
		name, _ := fields[i].(string)
		values[name] = fields[i+1]
	}
	return append(fields, fieldSealed, string(k.aead.Seal([]byte{sealVersion}, nil, text, bond(q.stream, values)))), nil
}

// bond is what a sealed payload is bound to: the stream, and every field of its entry that stands in clear, the lane, the
// source id and the output among them. With another entry, or this one changed, it does not open.
func bond(stream string, values map[string]any) []byte {
	b := []byte{sealVersion}
	add := func(text string) {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	add(stream)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if name != fieldSealed {
			text, _ := values[name].(string)
			add(name)
			add(text)
		}
	}
	return b
}

// open puts the payload of a sealed entry back into its reject.
func (o *Opener) open(stream string, values map[string]any, into *flowv1.Reject) error {
	id, _ := values[fieldPayloadKey].(string)
	sealed, _ := values[fieldSealed].(string)
	if sealed == "" || sealed[0] != sealVersion {
		return errors.New("it is sealed in a way that this version of capture does not know, or was changed")
	}
	k, err := o.find(id)
	if err != nil {
		return err
	}
	text, err := k.aead.Open(nil, nil, []byte(sealed[1:]), bond(stream, values))
	if err != nil {
		return errBroken
	}
	payload := &flowv1.Reject{}
	if err := proto.Unmarshal(text, payload); err != nil {
		return errBroken
	}
	proto.Merge(into, payload)
	return nil
}
