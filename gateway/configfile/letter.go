package configfile

import (
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

const keyReference = "write ${file:/path} or ${env:NAME}, and keep the base64 of 32 bytes there"

// letters reads what becomes of the payload of dead letters. Keys are written as references and stay unresolved: capture
// alone needs them (G10).
func (s *settings) letters() {
	v, keys := s.m.Take("dlq_payload"), s.m.Take("dlq_payload_key")
	if v.Present() {
		switch word, _ := v.Choice("keep", "omit", "encrypt"); word {
		case "omit":
			s.out.DlqPayload = pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_OMIT
		case "encrypt":
			s.out.DlqPayload = pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_ENCRYPT
		}
	}
	switch keys.Kind() {
	case yamlfile.Absent:
		if s.out.DlqPayload == pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_ENCRYPT {
			v.Error("add dlq_payload_key: ${file:/path}, and keep the base64 of 32 bytes there: openssl rand -base64 32",
				"dlq_payload: encrypt needs a key")
		}
	case yamlfile.Null:
		keys.Error(keyReference, "dlq_payload_key has no value")
	case yamlfile.String:
		s.key(keys)
	default:
		members, ok := keys.Items()
		if !ok {
			return
		}
		if len(members) == 0 {
			keys.Error(keyReference, "dlq_payload_key is empty")
		}
		for _, one := range members {
			s.key(one)
		}
	}
}

// key is a reference and nothing else: a key that is written here would be stored beside what it is to protect. What stands
// there instead is not repeated.
func (s *settings) key(v yamlfile.Value) {
	reference, ok := v.Reference()
	if !ok || len(reference) < len("${x}") || strings.ContainsAny(reference[2:len(reference)-1], "${}") {
		v.Error(keyReference, "a key of dlq_payload_key must be a reference, and nothing beside it")
		return
	}
	s.out.DlqPayloadKey = append(s.out.DlqPayloadKey, reference)
}
