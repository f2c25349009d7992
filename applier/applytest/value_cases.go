package applytest

import (
	"strings"
	"testing"
)

var valueCases = []testCase{
	{"null and empty", emptyCase},
	{"text", textCase},
	{"NUL characters", nulCase},
	{"numbers", numberCase},
	{"booleans", booleanCase},
	{"dates and times", timeCase},
	{"bytes, documents and UUIDs", binaryCase},
}

// converted writes one value a row into a column of a type and compares what the table then holds.
func (f *fixture) converted(t *testing.T, declared string, values []any, want []string) {
	t.Helper()
	db := f.database(t)
	f.create(t, db, "t", [][2]string{{"id", f.Types.Integer}, {"v", declared}}, "id")
	c := f.open(t, db, job(out("t", "*id", "v")))
	r := table(0)
	for i, v := range values {
		r.upsert(uint32(i), number(strings.Repeat("1", i+1)), v)
	}
	c.apply(batch(1, r))
	select {
	case x := <-c.rejects:
		t.Fatalf("rejected:\n%s", reasons(x.Rejects))
	default:
	}
	got := f.rows(t, db, "t", []string{"id", "v"})
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range want {
		if w := strings.Repeat("1", i+1) + "|" + want[i]; got[i] != w {
			t.Errorf("%v into %s gave %s, want %s", values[i], declared, got[i], w)
		}
	}
}

func emptyCase(t *testing.T, f *fixture) {
	f.converted(t, f.Types.Text, []any{nil, "", " ", "null"}, []string{Null, "", " ", "null"})
	if f.Lacks[NeedTypes] != "" {
		return
	}
	for _, declared := range []string{f.Types.Integer, f.Types.Decimal, f.Types.Float, f.Types.Boolean, f.Types.Date, f.Types.Timestamp, f.Types.Time} {
		f.converted(t, declared, []any{nil, ""}, []string{Null, Null})
	}
}

func textCase(t *testing.T, f *fixture) {
	digits := "12345678901234567890.12345678901234567890123456789"
	long := strings.Repeat("long enough to leave a page behind ", 4000)
	f.converted(t, f.Types.Text,
		[]any{"plain", "Grüße, 世界", "🚀 e\u0301", `it's "quoted" \ {a,b}`, "line\r\n\tbreak", "007", "1.50", number("1.50"), number(digits), number("9007199254740993"), true, document(`{"a": [1,2]}`), long},
		[]string{"plain", "Grüße, 世界", "🚀 e\u0301", `it's "quoted" \ {a,b}`, "line\r\n\tbreak", "007", "1.50", "1.50", digits, "9007199254740993", "true", `{"a": [1,2]}`, long})
}

func nulCase(t *testing.T, f *fixture) {
	if f.NULInText {
		f.converted(t, f.Types.Text, []any{"a\x00b", "\x00"}, []string{"a\x00b", "\x00"})
	} else {
		db, c := f.people(t)
		c.apply(batch(1, table(0).upsert(0, "a", "x\x00y", "1").upsert(1, "b", "fine", "2")))
		r := c.refused()
		if len(r) != 1 || !strings.HasPrefix(r[0].Reason, "cannot convert ") || r[0].Column != "name" {
			t.Errorf("rejects: %v", r)
		}
		f.wantRows(t, db, "people", personColumns, "b|fine|2")
	}
	if f.Lacks[NeedTypes] != "" {
		return
	}
	f.converted(t, f.Types.Binary, []any{"YQBi", "0x00ff00"}, []string{"a\x00b", "\x00\xff\x00"})
}

func numberCase(t *testing.T, f *fixture) {
	f.converted(t, f.Types.Integer,
		[]any{"9223372036854775807", "-9223372036854775808", number("0"), "-0", number("5.0"), "12e2", true, " 42 "},
		[]string{"9223372036854775807", "-9223372036854775808", "0", "0", "5", "1200", "1", "42"})
	f.converted(t, f.Types.Decimal,
		[]any{"1234567890.12", number("-0.01"), "0.10", number("1e3"), "007", "1234567890"},
		[]string{"1234567890.12", "-0.01", "0.1", "1000", "7", "1234567890"})
	f.converted(t, f.Types.Float,
		[]any{"0.1", number("1e300"), "-2.5", number("3")},
		[]string{"0.1", "1e+300", "-2.5", "3"})
}

func booleanCase(t *testing.T, f *fixture) {
	f.converted(t, f.Types.Boolean,
		[]any{"1", "0", true, false, "TRUE", "off", "Yes", number("0")},
		[]string{"1", "0", "1", "0", "1", "0", "1", "0"})
}

func timeCase(t *testing.T, f *fixture) {
	f.converted(t, f.Types.Date,
		[]any{"2030-02-01", "1896134400000", number("21946"), "2030-02-01T23:59:59Z", "1969-12-31"},
		[]string{"2030-02-01", "2030-02-01", "2030-02-01", "2030-02-01", "1969-12-31"})
	f.converted(t, f.Types.Timestamp,
		[]any{"1896172245123.456", number("1896172245"), "2030-02-01T10:30:45+02:00", "2030-02-01 10:30:45.5", number("1896172245123456")},
		[]string{"2030-02-01 10:30:45.123456", "2030-02-01 10:30:45", "2030-02-01 08:30:45", "2030-02-01 10:30:45.5", "2030-02-01 10:30:45.123456"})
	f.converted(t, f.Types.Zoned,
		[]any{"2030-02-01T10:30:45+02:00", "2030-02-01T10:30:45Z", number("1896172245123")},
		[]string{"2030-02-01 08:30:45+00:00", "2030-02-01 10:30:45+00:00", "2030-02-01 10:30:45.123+00:00"})
	f.converted(t, f.Types.Time,
		[]any{"10:30", "10:30:45.25", number("3661"), number("86399000")},
		[]string{"10:30:00", "10:30:45.25", "01:01:01", "23:59:59"})
}

func binaryCase(t *testing.T, f *fixture) {
	f.converted(t, f.Types.Binary,
		[]any{"aGVsbG8=", `\x68656c6c6f`, "0x00", []byte{0, 1, 0xfe}},
		[]string{"hello", "hello", "\x00", "\x00\x01\xfe"})
	if f.Types.JSON != "" {
		f.converted(t, f.Types.JSON,
			[]any{document(`{"a":1}`), `[1,2]`, "not json", true},
			[]string{`{"a":1}`, `[1,2]`, `"not json"`, "true"})
	}
	if f.Types.UUID != "" {
		f.converted(t, f.Types.UUID,
			[]any{"{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}", "a0eebc999c0b4ef8bb6d6bb9bd380a11"},
			[]string{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"})
	}
}
