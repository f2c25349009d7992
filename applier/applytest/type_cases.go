package applytest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Every row of the table of spec 10.3: what is taken and how it reads back, what is refused and in which words. Values go
// in one batch a type, so that a refused value is seen to cost its own record alone.
var typeCases = []testCase{
	{"integers", integerTypeCase},
	{"decimals", decimalTypeCase},
	{"floats", floatTypeCase},
	{"booleans", booleanTypeCase},
	{"text of any size, and of a declared one", textTypeCase},
	{"dates by epoch and ISO", dateTypeCase},
	{"timestamps by the magnitude of an epoch", timestampTypeCase},
	{"timestamps with a zone", zonedTypeCase},
	{"times of day by magnitude", clockTypeCase},
	{"bytes", bytesTypeCase},
	{"JSON", documentTypeCase},
	{"UUIDs", uuidTypeCase},
	{"types of the dialect's own", ownTypeCase},
}

// Taken is a value and the canonical text that the column holds for it.
type Taken struct {
	Value any // string, []byte, bool, nil, or what Number and Document make
	Want  string
}

// OwnType is a column type of a dialect that has no place in Types.
type OwnType struct {
	// Declared is the type as the dialect spells it.
	Declared string
	// Takes are values that arrive.
	Takes []Taken
	// Refuses are values that are rejected before the database sees them, in the words of spec 10.3.
	Refuses []any
	// Server are values that the database itself refuses, in its own words.
	Server []any
}

// Number is a JSON number as a value.
func Number(text string) any { return number(text) }

// Document is a JSON object or array as a value.
func Document(text string) any { return document(text) }

// shown is a value as a reason quotes it: cut at 64 characters.
func shown(v any) string {
	text := fmt.Sprint(v)
	if b, ok := v.([]byte); ok {
		text = string(b)
	}
	if r := []rune(text); len(r) > 64 {
		text = string(r[:64]) + "…"
	}
	return text
}

// typed writes values into a column of a type, a row each, and looks at what became of every one.
func (f *fixture) typed(t *testing.T, own OwnType) {
	t.Helper()
	db := f.database(t)
	f.create(t, db, "t", [][2]string{{"id", f.Types.Integer}, {"v", own.Declared}}, "id")
	c := f.open(t, db, job(out("t", "*id", "v")))
	rows := table(0)
	var want []string
	n := uint32(0)
	add := func(v any) {
		rows.upsert(n, number(fmt.Sprint(1000+n)), v)
		n++
	}
	for _, taken := range own.Takes {
		want = append(want, fmt.Sprintf("%d|%s", 1000+n, taken.Want))
		add(taken.Value)
	}
	refusedFrom := n
	for _, v := range slices.Concat(own.Refuses, own.Server) {
		add(v)
	}
	s := c.apply(batch(1, rows))
	if bad := int(s.Counts.GetRejected()); bad != len(own.Refuses)+len(own.Server) {
		t.Errorf("%s: %d records are rejected, want %d", own.Declared, bad, len(own.Refuses)+len(own.Server))
	}
	reasonOf := map[uint32]string{}
	select {
	case x := <-c.rejects:
		for _, r := range x.Rejects {
			reasonOf[r.Change] = r.Reason
			if local := r.ErrorClass == "validation"; r.Column != "v" && local || local != (r.Change < refusedFrom+uint32(len(own.Refuses))) {
				t.Errorf("%s: reject of column %q and class %s: %s", own.Declared, r.Column, r.ErrorClass, r.Reason)
			}
		}
	default:
	}
	for i := range refusedFrom {
		if why, ok := reasonOf[i]; ok {
			t.Errorf("%s refuses %v: %s", own.Declared, own.Takes[i].Value, why)
		}
	}
	for i, v := range own.Refuses {
		why := reasonOf[refusedFrom+uint32(i)]
		if !strings.HasPrefix(why, "cannot convert '"+shown(v)+"' to ") || !strings.Contains(why, " for column v") {
			t.Errorf("%s and %v: the reason is %q", own.Declared, v, why)
		}
	}
	for i, v := range own.Server {
		if reasonOf[refusedFrom+uint32(len(own.Refuses)+i)] == "" {
			t.Errorf("%s takes %v", own.Declared, v)
		}
	}
	var got []string // not every type can be sorted by
	for _, row := range db.Query(t, "SELECT "+f.Quote("id")+", "+f.Quote("v")+" FROM "+f.Quote("t")+" ORDER BY "+f.Quote("id")) {
		got = append(got, strings.Join(row, "|"))
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("%s: row %s is missing", own.Declared, want[i])
		case i >= len(want):
			t.Errorf("%s: row %s is too many", own.Declared, got[i])
		case got[i] != want[i]:
			t.Errorf("%s: %v is stored as %s, want %s", own.Declared, own.Takes[i].Value, got[i], want[i])
		}
	}
}

// unless leaves values out where the database does not keep to declared sizes.
func (f *fixture) unless(any bool, values ...any) []any {
	if any {
		return nil
	}
	return values
}

func integerTypeCase(t *testing.T, f *fixture) {
	f.typed(t, OwnType{
		Declared: f.Types.Integer,
		Takes: []Taken{
			{"0", "0"},
			{"-1", "-1"},
			{"+5", "5"},
			{" 12 ", "12"},
			{"007", "7"},
			{number("7.0"), "7"},
			{"1e3", "1000"},
			{number("12.50e1"), "125"},
			{true, "1"},
			{false, "0"},
			{"9223372036854775807", "9223372036854775807"},
			{number("-9223372036854775808"), "-9223372036854775808"},
			{nil, Null},
			{"", Null},
		},
		Refuses: []any{
			"1.5", number("0.1"), "9223372036854775808", number("-9223372036854775809"), "1e19", "abc", "0x10", "1 2", "true",
			document(`{"a":1}`), document(`[1]`), strings.Repeat("9", 100),
		},
	})
	if f.Types.Small != "" {
		f.typed(t, OwnType{
			Declared: f.Types.Small,
			Takes:    []Taken{{"32767", "32767"}, {number("-32768"), "-32768"}},
			Refuses:  f.unless(f.AnySize, "32768", number("-32769"), "65536", "4294967296"),
		})
	}
}

func decimalTypeCase(t *testing.T, f *fixture) {
	f.typed(t, OwnType{
		Declared: f.Types.Decimal,
		Takes: []Taken{
			{"9999999999.99", "9999999999.99"},
			{number("-9999999999.99"), "-9999999999.99"},
			{"0.10", "0.1"},
			{number("1E2"), "100"},
			{"12.5e-1", "1.25"},
			{"1.500", "1.5"},
			{" 3 ", "3"},
			{"-0", "0"},
			{nil, Null},
			{"", Null},
		},
		Refuses: append([]any{"1,5", "abc", "0x1", "1.2.3", document(`[1.5]`)},
			f.unless(f.AnySize, "10000000000", "10000000000.00", number("0.001"), "1e-3", "99999999999999999999.99", "0.125")...),
	})
}

func floatTypeCase(t *testing.T, f *fixture) {
	f.typed(t, OwnType{
		Declared: f.Types.Float,
		Takes: []Taken{
			{"0.1", "0.1"},
			{number("1.7976931348623157e308"), "1.7976931348623157e+308"},
			{"-2.5e-300", "-2.5e-300"},
			{number("3.00000000000000001"), "3"}, // a float keeps 53 bits, and so it is declared
			{"0", "0"},
			{nil, Null},
			{"", Null},
		},
		Refuses: []any{"abc", "1,5", "0x1p4", "1e400", document(`{}`)},
	})
}

func booleanTypeCase(t *testing.T, f *fixture) {
	own := OwnType{
		Declared: f.Types.Boolean, Takes: []Taken{{nil, Null}, {"", Null}},
		Refuses: []any{"2", number("2"), "maybe", "ja", "1.5", document(`[]`)},
	}
	for _, yes := range []any{"1", "true", "t", "yes", "y", "on", "TRUE", "Yes", true, number("1")} {
		own.Takes = append(own.Takes, Taken{yes, "1"})
	}
	for _, no := range []any{"0", "false", "f", "no", "n", "off", "FALSE", "Off", false, number("0")} {
		own.Takes = append(own.Takes, Taken{no, "0"})
	}
	f.typed(t, own)
}

func textTypeCase(t *testing.T, f *fixture) {
	f.typed(t, OwnType{
		Declared: f.Types.Text,
		Takes: []Taken{
			{"", ""},
			{" ", " "},
			{nil, Null},
			{"007", "007"},
			{number("1.50"), "1.50"},
			{true, "true"},
			{document(`{"a":[1,"ü"]}`), `{"a":[1,"ü"]}`},
			{document(`[]`), `[]`},
			{"a\tb\r\n'\"\\", "a\tb\r\n'\"\\"},
			{"🚀", "🚀"},
		},
	})
	rockets := "🚀🚀🚀🚀🚀"
	if f.Pairs {
		rockets = "🚀🚀a"
	}
	f.typed(t, OwnType{
		Declared: f.Types.Five,
		Takes:    []Taken{{"Grüße", "Grüße"}, {number("12345"), "12345"}, {false, "false"}, {rockets, rockets}, {document(`[1,2]`), "[1,2]"}},
		Refuses:  f.unless(f.AnySize, "Grüße!", number("123456"), "🚀🚀🚀🚀🚀🚀", document(`[1,2,3]`), strings.Repeat("x", 5000)),
	})
}

func dateTypeCase(t *testing.T, f *fixture) {
	f.typed(t, OwnType{
		Declared: f.Types.Date,
		Takes: []Taken{
			{"2030-02-01", "2030-02-01"},
			{"2024-02-29", "2024-02-29"},
			{"2030-02-01T23:59:59.999Z", "2030-02-01"},
			{"2030-02-01 10:00:00", "2030-02-01"},
			{number("0"), "1970-01-01"},
			{"99999", "2243-10-16"},          // days
			{number("100000"), "1970-01-02"}, // seconds
			{"-99999", "1696-03-18"},
			{"1896134400000", "2030-02-01"}, // the form of spec 10.2
			{number("1896134400"), "2030-02-01"},
			{"1896134400000000", "2030-02-01"},
			{"1896134400000000000", "2030-02-01"},
			{nil, Null},
			{"", Null},
		},
		Refuses: []any{"2030-02-30", "2023-02-29", "2030-13-01", "01.02.2030", "2030-02", "soon", document(`{}`)},
	})
}

// epochs are texts of the same instant, or of the borders between two units (spec 10.3).
var epochs = []Taken{
	{"99999999999", "5138-11-16 09:46:39"},        // the last that is seconds
	{"100000000000", "1973-03-03 09:46:40"},       // the first that is milliseconds
	{"99999999999999", "5138-11-16 09:46:39.999"}, // the last
	{"100000000000000", "1973-03-03 09:46:40"},    // microseconds
	{"99999999999999999", "5138-11-16 09:46:39.999999"},
	{"100000000000000000", "1973-03-03 09:46:40"}, // nanoseconds
	{number("1896172245"), "2030-02-01 10:30:45"},
	{number("1896172245123"), "2030-02-01 10:30:45.123"},
	{"1896172245123456", "2030-02-01 10:30:45.123456"},
	{"1896172245123456000", "2030-02-01 10:30:45.123456"},
	{"1896172245123.456", "2030-02-01 10:30:45.123456"}, // the form of spec 10.2
	{"0", "1970-01-01 00:00:00"},
	{"-1", "1969-12-31 23:59:59"},
	{number("-100000000000"), "1966-10-31 14:13:20"},
}

func timestampTypeCase(t *testing.T, f *fixture) {
	f.typed(t, OwnType{
		Declared: f.Types.Timestamp,
		Takes: slices.Concat(epochs, []Taken{
			{"2030-02-01T10:30:45Z", "2030-02-01 10:30:45"},
			{"2030-02-01T10:30:45.5+02:00", "2030-02-01 08:30:45.5"},
			{"2030-02-01 10:30:45.123456", "2030-02-01 10:30:45.123456"},
			{"2030-02-01T10:30:45-0530", "2030-02-01 16:00:45"},
			{"2030-02-01", "2030-02-01 00:00:00"},
			{nil, Null},
			{"", Null},
		}),
		Refuses: append([]any{"2030-02-30T00:00:00Z", "2030-02-01T25:00:00Z", "2030-02-01T10:61:00Z", "soon", "10:30", document(`[0]`)},
			f.unless(f.AnySize, "2030-02-01T10:30:45.1234567Z", "1896172245123456789")...),
	})
}

func zonedTypeCase(t *testing.T, f *fixture) {
	own := OwnType{
		Declared: f.Types.Zoned,
		Takes: []Taken{
			{"2030-02-01T10:30:45", "2030-02-01 10:30:45+00:00"}, // without a zone: UTC
			{"2030-02-01T10:30:45+02:00", "2030-02-01 08:30:45+00:00"},
			{"2030-02-01T00:30:00+05:30", "2030-01-31 19:00:00+00:00"},
			{nil, Null},
			{"", Null},
		},
		Refuses: []any{"2030-02-30T00:00:00Z", "2030-02-01T10:30:45+99:00", "soon"},
	}
	for _, e := range epochs {
		if f.Instants32 && (e.Want < "1970-01-01 00:00:01" || e.Want >= "2038-01-19 03:14:08") {
			own.Server = append(own.Server, e.Value)
			continue
		}
		own.Takes = append(own.Takes, Taken{e.Value, e.Want + "+00:00"})
	}
	f.typed(t, own)
}

func clockTypeCase(t *testing.T, f *fixture) {
	f.typed(t, OwnType{
		Declared: f.Types.Time,
		Takes: []Taken{
			{"10:30", "10:30:00"},
			{"10:30:45", "10:30:45"},
			{"10:30:45.25", "10:30:45.25"},
			{"00:00:00", "00:00:00"},
			{"86399", "23:59:59"},              // the last second
			{number("86400"), "00:01:26.4"},    // milliseconds
			{"86399999", "23:59:59.999"},       // the last
			{number("86400000"), "00:01:26.4"}, // microseconds
			{"86399999999", "23:59:59.999999"}, // the last of the day
			{number("0"), "00:00:00"},
			{nil, Null},
			{"", Null},
		},
		Refuses: []any{"24:00:01", "10:60", "86400000000", "-1", "noon", document(`{}`)},
	})
}

func bytesTypeCase(t *testing.T, f *fixture) {
	f.typed(t, OwnType{
		Declared: f.Types.Binary,
		Takes: []Taken{
			{"aGVsbG8=", "hello"},
			{"0x00ff7F", "\x00\xff\x7f"},
			{`\x68656c6c6f`, "hello"},
			{[]byte("\x00raw\xfe"), "\x00raw\xfe"},
			{"AAECAwQFBgcICQ==", "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09"},
			{nil, Null},
			{"", Null},
		},
		Refuses: []any{"ab!", "not base64 at all", "0xabc", "a"},
	})
}

func documentTypeCase(t *testing.T, f *fixture) {
	if f.Types.JSON == "" {
		return // the dialect has no such type
	}
	f.typed(t, OwnType{
		Declared: f.Types.JSON,
		Takes: []Taken{
			{document(`{"a":1}`), `{"a":1}`},
			{document(`[1,"2",null,true]`), `[1,"2",null,true]`},
			{`{"b":"ü"}`, `{"b":"ü"}`},
			{"plain words", `"plain words"`},
			{"42", "42"},
			{number("1.5"), "1.5"},
			{false, "false"},
			{`"quoted"`, `"quoted"`},
			{`{broken`, `"{broken"`},
			{nil, Null},
			{"", Null},
		},
	})
}

func uuidTypeCase(t *testing.T, f *fixture) {
	if f.Types.UUID == "" {
		return // the dialect has no such type
	}
	const same = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
	f.typed(t, OwnType{
		Declared: f.Types.UUID,
		Takes: []Taken{
			{same, same},
			{strings.ToUpper(same), same},
			{"{" + same + "}", same},
			{strings.ReplaceAll(same, "-", ""), same},
			{nil, Null},
			{"", Null},
		},
		Refuses: []any{"xyz", same[:35], same + "0", strings.Replace(same, "a0", "g0", 1), "{" + same, number("1")},
	})
}

func ownTypeCase(t *testing.T, f *fixture) {
	for _, own := range f.Own {
		t.Run(own.Declared, func(t *testing.T) { f.typed(t, own) })
	}
}
