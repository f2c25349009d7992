package deadletter_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/capture/deadletter"
	"slipstream/proto/fault"
	"slipstream/proto/keyspace"
)

const (
	omit    = pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_OMIT
	encrypt = pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_ENCRYPT
	marker  = "MARKER-0815" // a value of the record
)

// newKey puts a key into a file and returns the reference to it and the file.
func newKey(t *testing.T) (reference, path string) {
	t.Helper()
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // it does not fail
	path = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(raw)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "${file:" + path + "}", path
}

// letters is a lane's stream under settings.
type letters struct {
	t        *testing.T
	c        *redis.Client
	lane     *flowv1.Lane
	settings *pipelinev1.Settings
}

func (l letters) stream() string { return keyspace.DeadLetters(l.lane.Pipeline, l.lane.Job) }

func (l letters) store(rejects ...*flowv1.Reject) {
	l.t.Helper()
	q := deadletter.NewQueue(l.c, l.lane, l.settings, noonClock)
	if n, err := q.Store(l.t.Context(), rejects); err != nil || n != len(rejects) {
		l.t.Fatalf("Store = %d, %v", n, err)
	}
}

// read reads all letters, oldest first, and opens them with the keys that these references lead to; none: it does not.
func (l letters) read(keys ...string) []*capturev1.DeadLetter {
	l.t.Helper()
	var open *deadletter.Opener
	if keys != nil {
		open = deadletter.Keys(keys).Opener()
	}
	s, err := deadletter.Stream(l.t.Context(), l.c, l.stream(), 0, true, open)
	if err != nil {
		l.t.Fatal(err)
	}
	return s.Entries
}

// raw is all that Redis holds of the stream.
func (l letters) raw() []redis.XMessage {
	l.t.Helper()
	all, err := l.c.XRange(l.t.Context(), l.stream(), "-", "+").Result()
	if err != nil || len(all) == 0 {
		l.t.Fatalf("%d entries, %v", len(all), err)
	}
	return all
}

// secretive is a reject in every part of which that may hold one a value of the record stands.
func secretive(id string) *flowv1.Reject {
	r := reject(id, 0)
	r.Record, r.Transformed = []byte(`{"psi":"`+marker+`"}`), []byte(`{"pressure":"`+marker+`"}`)
	r.Reason = `writing to ops.pump: ERROR: invalid input syntax for type integer: "` + marker + `"`
	r.Opcode = marker // of a field of the record
	return r
}

func TestNothingOfTheRecordInRedis(t *testing.T) {
	reference, _ := newKey(t)
	for name, s := range map[string]*pipelinev1.Settings{
		"omit":    {DlqPayload: omit},
		"encrypt": {DlqPayload: encrypt, DlqPayloadKey: []string{reference}},
	} {
		t.Run(name, func(t *testing.T) {
			l := letters{t, connect(t), lane(t), s}
			l.store(secretive("7-1"), secretive("7-2"))
			sealed := map[string]bool{}
			for _, e := range l.raw() {
				for field, value := range e.Values {
					if text, _ := value.(string); strings.Contains(text, marker) {
						t.Errorf("field %s holds a value of the record: %q", field, text)
					}
				}
				text, _ := e.Values["sealed"].(string)
				sealed[text] = true
			}
			if name == "encrypt" && len(sealed) != 2 {
				t.Error("two equal payloads are sealed alike")
			}
			for _, e := range l.read() {
				r := e.GetReject()
				if len(r.Record) > 0 || len(r.Transformed) > 0 || r.Reason != "" || r.Opcode != "" {
					t.Errorf("shown: %v", r)
				}
				if r.ErrorClass != "target" || r.Code != "22P02" || r.Block != "output[0]" || r.Column != "pressure" || !bytes.Equal(r.Key, reject("", 0).Key) || r.SourceId == "" {
					t.Errorf("what an operator works with is not there: %v", r)
				}
				if want := []string{"record", "transformed", "reason_rejected", "opcode"}; !slices.Equal(e.Withheld, want) || e.Payload != s.DlqPayload {
					t.Errorf("withheld %q of %s, want %q", e.Withheld, e.Payload, want)
				}
			}
			if name == "omit" {
				return
			}
			for i, e := range l.read(reference) {
				want := secretive(fmt.Sprintf("7-%d", i+1))
				if !proto.Equal(e.Reject, want) || e.Withheld != nil || e.PayloadTrouble != "" || e.PayloadKey == "" {
					t.Errorf("opened:\n%v\nwant\n%v", e, want)
				}
			}
			found, _, err := deadletter.Find(t.Context(), l.c, l.stream(), []string{l.raw()[0].ID}, deadletter.Keys{reference}.Opener())
			if err != nil || len(found) != 1 || found[0].Reject.Reason == "" {
				t.Errorf("found %v, %v", found, err)
			}
		})
	}
}

// A value that could not be read is told of in words of ours: there is nothing to hide.
func TestUnreadStaysInClear(t *testing.T) {
	l := letters{t, connect(t), lane(t), &pipelinev1.Settings{DlqPayload: omit}}
	l.store(&flowv1.Reject{SourceId: "1-1", Output: -1, Key: []byte("a"), Reason: "value expired before it was read", ErrorClass: "capture"})
	if e := l.read()[0]; e.Reject.Reason == "" || len(e.Withheld) > 0 {
		t.Errorf("stored as %v", e)
	}
}

func TestTampering(t *testing.T) {
	reference, _ := newKey(t)
	l := letters{t, connect(t), lane(t), &pipelinev1.Settings{DlqPayload: encrypt, DlqPayloadKey: []string{reference}}}
	l.store(secretive("1-0"), secretive("2-0"))
	raw := l.raw()
	first, second := raw[0].Values, raw[1].Values
	copied := func(change func(map[string]any)) map[string]any {
		c := map[string]any{}
		for k, v := range first {
			c[k] = v
		}
		change(c)
		return c
	}
	sealed := func(v map[string]any) string { s, _ := v["sealed"].(string); return s }
	changed := map[string]map[string]any{
		"the payload of another letter": copied(func(v map[string]any) { v["sealed"] = second["sealed"] }),
		"another source id":             copied(func(v map[string]any) { v["source_id"] = "9-9" }),
		"another output":                copied(func(v map[string]any) { v["output"] = "1 relational.write" }),
		"another lane":                  copied(func(v map[string]any) { v["lane"] = "x/pumps/fleet/3of4" }),
		"another key":                   copied(func(v map[string]any) { v["key"] = "pump:2" }),
		"another class":                 copied(func(v map[string]any) { v["error_class"] = "transform" }),
		"a field left out":              copied(func(v map[string]any) { delete(v, "column") }),
		"a field more":                  copied(func(v map[string]any) { v["record"] = `{"psi":"forged"}` }),
		"a bit of the payload":          copied(func(v map[string]any) { s := []byte(sealed(v)); s[len(s)-1] ^= 1; v["sealed"] = string(s) }),
		"a bit of the nonce":            copied(func(v map[string]any) { s := []byte(sealed(v)); s[3] ^= 1; v["sealed"] = string(s) }),
		"cut":                           copied(func(v map[string]any) { v["sealed"] = sealed(v)[:7] }),
		"no payload":                    copied(func(v map[string]any) { delete(v, "sealed") }),
		"another version":               copied(func(v map[string]any) { v["sealed"] = "\x02" + sealed(v)[1:] }),
	}
	for name, values := range changed {
		t.Run(name, func(t *testing.T) {
			if err := l.c.Del(t.Context(), l.stream()).Err(); err != nil {
				t.Fatal(err)
			}
			if err := l.c.XAdd(t.Context(), &redis.XAddArgs{Stream: l.stream(), Values: values}).Err(); err != nil {
				t.Fatal(err)
			}
			e := l.read(reference)[0]
			if !strings.Contains(e.PayloadTrouble, "was changed") || strings.Contains(e.Reject.Reason, marker) || !slices.Contains(e.Withheld, "record") {
				t.Errorf("opened: %v", e)
			}
		})
	}
	t.Run("another stream", func(t *testing.T) {
		other := l
		other.lane = proto.Clone(l.lane).(*flowv1.Lane)
		other.lane.Job = "valves"
		if err := l.c.XAdd(t.Context(), &redis.XAddArgs{Stream: other.stream(), Values: first}).Err(); err != nil {
			t.Fatal(err)
		}
		if e := other.read(reference)[0]; !strings.Contains(e.PayloadTrouble, "was changed, or moved") {
			t.Errorf("opened: %v", e)
		}
	})
}

func TestRotation(t *testing.T) {
	old, oldPath := newKey(t)
	renewed, _ := newKey(t)
	l := letters{t, connect(t), lane(t), &pipelinev1.Settings{DlqPayload: encrypt, DlqPayloadKey: []string{old}}}
	l.store(secretive("1-0"))
	l.settings.DlqPayloadKey = []string{renewed, old}
	l.store(secretive("2-0"))
	both := l.read(renewed, old)
	for _, e := range both {
		if e.PayloadTrouble != "" || !strings.Contains(e.Reject.Reason, marker) {
			t.Errorf("does not open with both keys: %v", e)
		}
	}
	if both[0].PayloadKey == both[1].PayloadKey {
		t.Error("both are sealed with one key")
	}
	one := l.read(renewed)
	if one[1].PayloadTrouble != "" || !strings.Contains(one[0].PayloadTrouble, "sealed with key "+both[0].PayloadKey+", which is not in applier.dlq_payload_key") {
		t.Errorf("with the new key alone: %v", one)
	}
	// An old key that is gone is no reason to stop sealing with the new one.
	if err := os.Remove(oldPath); err != nil {
		t.Fatal(err)
	}
	l.store(secretive("3-0"))
	if e := l.read(renewed, old)[0]; !strings.Contains(e.PayloadTrouble, "dlq_payload_key[1]") || !strings.Contains(e.PayloadTrouble, oldPath) {
		t.Errorf("with the old key away: %v", e)
	}
	// A key renewed in place, and one put back, need no restart.
	l.settings.DlqPayloadKey = []string{old}
	q := deadletter.NewQueue(l.c, l.lane, l.settings, noonClock)
	if err := q.Ready(); err == nil {
		t.Error("ready without a key")
	}
	if err := os.WriteFile(oldPath, []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := q.Ready(); err != nil {
		t.Errorf("not ready with a key: %v", err)
	}
}

// Without its key nothing is stored: not in clear either (G1).
func TestWithoutItsKeyNothingIsStored(t *testing.T) {
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte(base64.StdEncoding.EncodeToString([]byte("a password"))), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LETTER_TEST_WORDS", "correct horse, battery staple")
	for name, tt := range map[string]struct {
		settings *pipelinev1.Settings
		says     string
	}{
		"none":            {&pipelinev1.Settings{DlqPayload: encrypt}, "no dlq_payload_key is set"},
		"gone":            {&pipelinev1.Settings{DlqPayload: encrypt, DlqPayloadKey: []string{"${env:LETTER_TEST_NOT_SET}"}}, "LETTER_TEST_NOT_SET is not set"},
		"short":           {&pipelinev1.Settings{DlqPayload: encrypt, DlqPayloadKey: []string{"${file:" + short + "}"}}, "base64 of 10 bytes, not of 32"},
		"words":           {&pipelinev1.Settings{DlqPayload: encrypt, DlqPayloadKey: []string{"${env:LETTER_TEST_WORDS}"}}, "is not base64"},
		"unknown payload": {&pipelinev1.Settings{DlqPayload: 9}, "does not know dlq_payload 9"},
	} {
		t.Run(name, func(t *testing.T) {
			c, l := connect(t), lane(t)
			q := deadletter.NewQueue(c, l, tt.settings, noonClock)
			for _, err := range []error{q.Ready(), func() error {
				_, err := q.Store(t.Context(), []*flowv1.Reject{secretive("1-0")})
				return err
			}()} {
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%v, want %q", err, tt.says)
					continue
				}
				if strings.Contains(err.Error(), "horse") || strings.Contains(err.Error(), "a password") {
					t.Errorf("the key is shown: %v", err)
				}
				if f := fault.Of(err); f.Class != flowv1.FaultClass_FAULT_CLASS_PERMISSION || f.Fix == "" {
					t.Errorf("class %s, fix %q", f.Class, f.Fix)
				}
			}
			if n, err := c.Exists(t.Context(), keyspace.DeadLetters(l.Pipeline, l.Job)).Result(); err != nil || n != 0 {
				t.Errorf("%d streams, %v", n, err)
			}
		})
	}
}

func TestKeysAreChecked(t *testing.T) {
	one, path := newKey(t)
	found := deadletter.Keys{one, "${env:LETTER_TEST_NOT_SET}", "${file:" + path + "}"}.Check()
	if found[0] != nil || found[1] == nil || found[2] == nil || !strings.Contains(found[2].Error(), "same key as number 1") {
		t.Errorf("found %v", found)
	}
}
