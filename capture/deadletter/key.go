package deadletter

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"slipstream/proto/fault"
	"slipstream/proto/secret"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// keyBytes is how long a key is: AES-256.
const keyBytes = 32

// Keys are the keys of a pipeline's dead letters, as references: the first seals, all open. They are resolved whenever they
// are used, so that one can be put in place, renewed and taken away while capture runs; what they lead to is not kept (G10).
type Keys []string

// KeysOf are the keys that a pipeline has.
func KeysOf(s *pipelinev1.Settings) Keys { return s.GetDlqPayloadKey() }

// key is a key at hand.
type key struct {
	id   string // names it in entries; says nothing of it
	aead cipher.AEAD
}

// Check says of each key what is wrong with it; nil where nothing is.
func (k Keys) Check() []error {
	found := make([]error, len(k))
	seen := map[string]int{}
	for i, reference := range k {
		one, err := readKey(reference)
		if err != nil {
			found[i] = err
		} else if before, twice := seen[one.id]; twice {
			found[i] = fmt.Errorf("it is the same key as number %d of the list", before+1)
		} else {
			seen[one.id] = i
		}
	}
	return found
}

// sealing is the key that seals. Where it is missing the lane waits (G6).
func (k Keys) sealing() (key, error) {
	if len(k) == 0 {
		return key{}, unsealed(errors.New("no dlq_payload_key is set"))
	}
	one, err := readKey(k[0])
	if err != nil {
		return key{}, unsealed(err)
	}
	return one, nil
}

// unsealed is why nothing can be sealed.
func unsealed(err error) error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_PERMISSION, "dead letters cannot be encrypted (applier.dlq_payload_key): %w", err).
		WithFix("let capture have the key: the base64 of 32 bytes, as openssl rand -base64 32 makes them")
}

// readKey resolves a reference. Its errors never hold what it leads to.
func readKey(reference string) (key, error) {
	text, err := secret.Resolve(reference)
	if err != nil {
		return key{}, err
	}
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		raw, err = base64.RawURLEncoding.DecodeString(text)
	}
	switch {
	case err != nil:
		return key{}, fmt.Errorf("what %s holds is not base64", reference)
	case len(raw) != keyBytes:
		return key{}, fmt.Errorf("what %s holds is the base64 of %d bytes, not of %d", reference, len(raw), keyBytes)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return key{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return key{}, err
	}
	sum := sha256.Sum256(append([]byte("slipstream dead letter key\x00"), raw...))
	return key{id: hex.EncodeToString(sum[:8]), aead: aead}, nil
}

// Opener opens sealed letters with the keys at hand. It is for one request and one goroutine; nil opens nothing.
type Opener struct {
	keys   Keys
	read   bool
	known  map[string]key
	failed []string // of the keys, what is wrong with them
}

// Opener makes one. The keys are read when the first sealed letter comes.
func (k Keys) Opener() *Opener { return &Opener{keys: k} }

// find is the key of an id, or why there is none.
func (o *Opener) find(id string) (key, error) {
	if !o.read {
		o.read, o.known = true, map[string]key{}
		for i, reference := range o.keys {
			one, err := readKey(reference)
			if err != nil {
				o.failed = append(o.failed, fmt.Sprintf("dlq_payload_key[%d]: %v", i, err))
				continue
			}
			o.known[one.id] = one
		}
	}
	one, ok := o.known[id]
	switch {
	case ok:
		return one, nil
	case len(o.failed) > 0:
		return key{}, fmt.Errorf("it is sealed with key %s, which is not at hand: %s", id, strings.Join(o.failed, "; "))
	}
	return key{}, fmt.Errorf("it is sealed with key %s, which is not in applier.dlq_payload_key", id)
}
