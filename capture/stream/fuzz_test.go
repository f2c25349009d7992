package stream

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"

	"slipstream/capture/resp"
)

// answer is what a server says to XREAD of one stream with one entry of these fields.
func answer(fields ...[]byte) []byte {
	b := []byte("*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n7-1\r\n")
	b = fmt.Appendf(b, "*%d\r\n", len(fields))
	for _, f := range fields {
		b = append(strconv.AppendInt(append(b, '$'), int64(len(f)), 10), "\r\n"...)
		b = append(append(b, f...), "\r\n"...)
	}
	return b
}

// decode reads what a server sent.
func decode(sent []byte, foreign, side bool) (*Batch, error) {
	conn := &resp.Conn{In: resp.NewReader(bytes.NewReader(sent), 0)}
	r := NewReader(conn, Stream{Foreign: foreign}, "", Position{})
	b := r.batch()
	return b, r.entries(b, side)
}

// sound says what is wrong with an entry that was read.
func sound(e *Entry, foreign, side bool) string {
	carries := e.After != nil || e.Hash != nil
	own := e.Hash != nil || e.Found != FoundUnknown
	aside := !e.AsOf.IsZero() || e.Connection != ""
	switch {
	case e.Side != side, e.Carries != carries:
		return "it is not what it says"
	case !e.Op.Valid():
		return "its op is none"
	case e.Ms < 0:
		return "its time lies before all times"
	case e.Fault != "":
		return ""
	case e.Key == nil:
		return "it has no key, and no fault"
	case foreign && !side && (own || aside), !side && aside:
		return "an application has a say in what is not its own"
	case e.Type != "" && e.Type != "hash" && e.Type != "json":
		return "its type is none"
	}
	var packed []byte
	for name, value := range Unpack(e.Hash) {
		packed = Pack(Pack(packed, name), value)
	}
	if len(packed) > len(e.Hash) {
		return "its hash grows when it is packed again"
	}
	return ""
}

// FuzzEntry: whatever an application or a server sends is an entry, an entry with a fault, or an error of the protocol; it
// never stops the process, and what is an application's never passes for ours (G5).
func FuzzEntry(f *testing.F) {
	hash := Pack(Pack(nil, "name"), "\x00\xff")
	for _, seed := range [][]byte{
		answer([]byte("key"), []byte("emp:1")),
		answer([]byte("key"), []byte("emp:1"), []byte("op"), []byte("m"), []byte("after"), []byte(`{"a":1}`), []byte("ts"), []byte("5")),
		answer([]byte("key"), []byte("emp:1"), []byte("op"), []byte("zz"), []byte("type"), []byte("set"), []byte("ts"), []byte("-1")),
		answer([]byte("key"), []byte("k"), []byte("hash"), hash, []byte("as_of"), []byte("3-4"), []byte("connection"), []byte("c")),
		answer([]byte("key"), []byte("k"), []byte("found"), []byte(TextNothing), []byte("traceparent"), []byte("00-")),
		answer([]byte("key")),
		[]byte("*-1\r\n"),
		[]byte("*1\r\n*2\r\n$1\r\ns\r\n*-1\r\n"),
	} {
		f.Add(seed, byte(0))
		f.Add(seed, byte(1))
		f.Add(seed, byte(2))
	}
	f.Fuzz(func(t *testing.T, sent []byte, where byte) {
		foreign, side := where&1 != 0, where&2 != 0
		b, err := decode(sent, foreign, side)
		for i := range b.Entries {
			if wrong := sound(&b.Entries[i], foreign, side); wrong != "" {
				t.Fatalf("%s: %+v", wrong, b.Entries[i])
			}
		}
		if n := len(b.Entries); err == nil && n != b.Main+b.Side {
			t.Fatalf("%d entries, %d counted", n, b.Main+b.Side)
		}
		// The same bytes as the values of fields that are well formed.
		b, err = decode(answer([]byte("key"), sent, []byte("op"), sent, []byte("hash"), sent, []byte("as_of"), sent,
			[]byte("found"), sent, []byte("ts"), sent, []byte("type"), sent, []byte("after"), sent), foreign, side)
		if err != nil || len(b.Entries) != 1 || !bytes.Equal(b.Entries[0].Key, sent) {
			t.Fatalf("an entry of odd values: %v, %d entries", err, len(b.Entries))
		}
		if wrong := sound(&b.Entries[0], foreign, side); wrong != "" {
			t.Fatalf("%s: %+v", wrong, b.Entries[0])
		}
	})
}

// TestPack: any names and values come back as they were, and what was not packed is refused.
func TestPack(t *testing.T) {
	want := []string{"", "\x00\xff", "name", "", "long", string(bytes.Repeat([]byte("x"), 70_000))}
	var packed []byte
	for _, text := range want {
		packed = Pack(packed, text)
	}
	if err := checkPacked(packed); err != nil {
		t.Fatal(err)
	}
	var got []string
	for name, value := range Unpack(packed) {
		got = append(got, string(name), string(value))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%d texts came back as %d", len(want), len(got))
	}
	for name, bad := range map[string][]byte{
		"nothing": {}, "cut": packed[:len(packed)-1], "a name alone": Pack(nil, "name"), "no length": {0x80},
		"too long": {0xff, 0xff, 0xff, 0xff, 0x0f}, "longer than any": bytes.Repeat([]byte{0xff}, 11),
	} {
		if checkPacked(bad) == nil {
			t.Errorf("%s is taken for a hash", name)
		}
	}
}
