package lane_test

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	changev1 "slipstream/proto/slipstream/change/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/proto/keyspace"
)

// TestWaitsForTheKeyOfItsLetters: a lane that could not store a reject as it is to be does not begin, and says why; a
// reject that comes while the key is away waits for it. Nothing is lost and nothing stored in clear (G1, G6).
func TestWaitsForTheKeyOfItsLetters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	put := func() {
		raw := make([]byte, 32)
		_, _ = rand.Read(raw) // it does not fail
		if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(raw)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := newLine(t, addr(t))
	l.config.Settings.DlqPayload = pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_ENCRYPT
	l.config.Settings.DlqPayloadKey = []string{"${file:" + path + "}"}
	l.target.Reject = func(c *changev1.Change) string {
		if strings.HasPrefix(string(c.GetKey()), l.key("bad")) {
			return "no MARKER-17"
		}
		return ""
	}
	l.create()
	l.set("a", "1")
	one, _ := l.run()
	waits := func() bool {
		s := one.Status()
		return s.State.String() == "LANE_STATE_WAITING" && strings.Contains(s.Fault.GetMessage(), path) && s.Fault.GetFix() != ""
	}
	eventually(t, "the lane says which key it lacks", waits)
	if len(l.target.Rows("job", "target")) > 0 || one.Status().Generation != 0 {
		t.Error("it began without the key")
	}
	put()
	l.rows(map[string]string{"a": "1"})
	if one.Status().Generation != 1 {
		t.Errorf("generation %d, want 1", one.Status().Generation)
	}

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	l.set("bad", "1")
	l.set("b", "1")
	eventually(t, "the lane waits with a reject in hand", waits)
	letters := keyspace.DeadLetters(l.name, "job")
	if n, err := l.rdb.Exists(t.Context(), letters).Result(); err != nil || n != 0 {
		t.Errorf("%d streams of dead letters while the key is away, %v", n, err)
	}
	put()
	l.rows(map[string]string{"a": "1", "b": "1"})
	all, err := l.rdb.XRange(t.Context(), letters, "-", "+").Result()
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v; want one dead letter", all, err)
	}
	if text, _ := all[0].Values["sealed"].(string); text == "" || all[0].Values["reason_rejected"] != nil {
		t.Errorf("stored as %v", all[0].Values)
	}
}

// TestDropsNeedNoKey: where rejects are dropped nothing is to be sealed.
func TestDropsNeedNoKey(t *testing.T) {
	l := newLine(t, addr(t))
	l.config.Settings.ErrorHandling = pipelinev1.ErrorHandling_ERROR_HANDLING_IGNORE
	l.config.Settings.DlqPayload = pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_ENCRYPT
	l.create()
	l.set("a", "1")
	l.run()
	l.rows(map[string]string{"a": "1"})
}
