package cassandra

import (
	"bytes"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"gopkg.in/inf.v0"

	"slipstream/applier/value"
	applierv1 "slipstream/proto/slipstream/applier/v1"
)

var userTypes = map[string]userType{
	"address": {names: []string{"street", "zip", "Geo"}, types: []string{"text", "int", "frozen<tuple<double, double>>"}},
	"My Type": {names: []string{"a"}, types: []string{"list<int>"}},
}

// driverType is the driver's own reading of a type.
func driverType(text string) gocql.TypeInfo {
	if text == "address" {
		return gocql.UDTTypeInfo{Name: "address", Elements: []gocql.UDTField{
			{Name: "street", Type: driverType("text")},
			{Name: "zip", Type: driverType("int")},
			{Name: "Geo", Type: driverType("tuple<double, double>")},
		}}
	}
	return gocql.NewNativeType(4, gocql.TypeCustom, text)
}

const (
	str = applierv1.ValueKind_VALUE_KIND_STRING
	num = applierv1.ValueKind_VALUE_KIND_NUMBER
	doc = applierv1.ValueKind_VALUE_KIND_DOCUMENT
	yes = applierv1.ValueKind_VALUE_KIND_BOOLEAN
	raw = applierv1.ValueKind_VALUE_KIND_BYTES
)

// convert goes the whole way of a value: package value, then our bytes.
func convert(t *testing.T, declared string, kind applierv1.ValueKind, text string) (wire, string) {
	t.Helper()
	typ, err := parseType(declared, userTypes)
	if err != nil {
		t.Fatal(err)
	}
	v := typ.valueType("c")
	canonical, null, err := value.Convert([]byte{}, &v, kind, []byte(text))
	if err != nil {
		return nil, err.Error()
	}
	if null {
		return nil, ""
	}
	b, why := typ.encode(canonical, v.Rules)
	return b, string(why)
}

func decimal(s string) *inf.Dec {
	d, _ := new(inf.Dec).SetString(s)
	return d
}

func whole10(s string) *big.Int {
	n, _ := new(big.Int).SetString(s, 10)
	return n
}

// TestBytesAreTheDrivers compares our bytes of every type with those the driver makes of a Go value (spec 10.3).
func TestBytesAreTheDrivers(t *testing.T) {
	id := "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
	timeID := "d2177dd0-eaa2-11de-a572-001b779c76e3"
	uuid := func(s string) gocql.UUID {
		u, err := gocql.ParseUUID(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	at := time.Date(2030, 2, 1, 10, 30, 45, 123_000_000, time.UTC)
	for _, c := range []struct {
		declared string
		kind     applierv1.ValueKind
		text     string
		want     any
	}{
		{"ascii", str, "plain", "plain"},
		{"text", str, "Grüße, 世界", "Grüße, 世界"},
		{"text", str, "", ""},
		{"text", str, "a\x00b", "a\x00b"},
		{"text", num, "1.50", "1.50"},
		{"text", doc, `{"a":[1]}`, `{"a":[1]}`},
		{"varchar", yes, "true", "true"},
		{"tinyint", str, "-128", int8(-128)},
		{"smallint", num, "32767", int16(32767)},
		{"int", str, "-2147483648", int32(-2147483648)},
		{"bigint", num, "9223372036854775807", int64(9223372036854775807)},
		{"bigint", yes, "true", int64(1)},
		{"varint", str, "0", whole10("0")},
		{"varint", str, "127", whole10("127")},
		{"varint", str, "128", whole10("128")},
		{"varint", str, "-128", whole10("-128")},
		{"varint", str, "-129", whole10("-129")},
		{"varint", num, "-1", whole10("-1")},
		{"varint", str, "-32768", whole10("-32768")},
		{"varint", str, "123456789012345678901234567890", whole10("123456789012345678901234567890")},
		{"varint", num, "1e70", whole10("1" + strings.Repeat("0", 70))},
		{"decimal", str, "-12.5", decimal("-12.5")},
		{"decimal", num, "0.001", decimal("0.001")},
		{"decimal", str, "1e3", decimal("1000")},
		{"float", num, "0.1", float32(0.1)},
		{"double", str, "-1e300", -1e300},
		{"boolean", str, "yes", true},
		{"boolean", yes, "false", false},
		{"date", str, "2030-02-01", time.Date(2030, 2, 1, 0, 0, 0, 0, time.UTC)},
		{"date", num, "1896134400000", time.Date(2030, 2, 1, 0, 0, 0, 0, time.UTC)},
		{"date", str, "1969-12-31", time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC)},
		{"time", str, "10:30:45.25", 10*time.Hour + 30*time.Minute + 45*time.Second + 250*time.Millisecond},
		{"time", num, "3661", time.Hour + time.Minute + time.Second},
		{"timestamp", num, "1896172245123", at},
		{"timestamp", str, "2030-02-01T12:30:45.123+02:00", at},
		{"timestamp", str, "1960-01-01T00:00:00.5Z", time.Date(1960, 1, 1, 0, 0, 0, 500_000_000, time.UTC)},
		{"blob", str, "aGVsbG8=", []byte("hello")},
		{"blob", raw, "\x00\xff", []byte{0, 0xff}},
		{"uuid", str, "{" + strings.ToUpper(id) + "}", uuid(id)},
		{"timeuuid", str, timeID, uuid(timeID)},
		{"inet", str, "/127.0.0.1", net.ParseIP("127.0.0.1").To4()},
		{"inet", str, "host/10.1.2.3", net.ParseIP("10.1.2.3").To4()},
		{"inet", str, "2001:db8::1", net.ParseIP("2001:db8::1")},
		{"duration", str, "1y2mo3w4d5h6m7s8ms9us10ns", gocql.Duration{Months: 14, Days: 25, Nanoseconds: (5*3600+6*60+7)*1e9 + 8_009_010}},
		{"duration", str, "P1Y2M3DT4H5M6.5S", gocql.Duration{Months: 14, Days: 3, Nanoseconds: (4*3600+5*60+6)*1e9 + 5e8}},
		{"duration", str, "-2d", gocql.Duration{Days: -2}},
		{"duration", str, "300d12h", gocql.Duration{Days: 300, Nanoseconds: 12 * 3600 * 1e9}},
		{"list<int>", doc, `[1,-2,3]`, []int32{1, -2, 3}},
		{"list<int>", str, `[1, 2]`, []int32{1, 2}},
		{"list<int>", doc, `[]`, []int32{}},
		{"frozen<list<text>>", str, `['it''s', 'b']`, []string{"it's", "b"}},
		{"list<text>", doc, `["a",{"b":1},[2],true,1.50]`, []string{"a", `{"b":1}`, "[2]", "true", "1.50"}},
		{"set<text>", doc, `["a","b"]`, []string{"a", "b"}},
		{"set<uuid>", str, "{" + id + "}", []gocql.UUID{uuid(id)}},
		{"set<int>", str, "{}", []int32{}},
		{"map<text, int>", doc, `{"a":1}`, map[string]int32{"a": 1}},
		{"map<text, int>", str, `{'a': 1}`, map[string]int32{"a": 1}},
		{"map<int, frozen<list<int>>>", doc, `{"7":[1,2]}`, map[int32][]int32{7: {1, 2}}},
		{"map<int, text>", doc, `[[7,"x"]]`, map[int32]string{7: "x"}},
		{"map<text, timestamp>", doc, `{"a":1896172245123}`, map[string]time.Time{"a": at}},
		{"frozen<tuple<int, text>>", doc, `[1,"x"]`, []any{int32(1), "x"}},
		{"tuple<int, text>", str, `(1, 'x')`, []any{int32(1), "x"}},
		{"tuple<int, text>", doc, `[1]`, []any{int32(1), nil}},
		{"address", doc, `{"street":"Main","ZIP":"123","geo":[1.5,2]}`, map[string]any{"street": "Main", "zip": int32(123), "Geo": []any{1.5, 2.0}}},
		{"address", str, `{street: 'Main'}`, map[string]any{"street": "Main"}},
		{"list<frozen<list<int>>>", doc, `["[1]"]`, [][]int32{{1}}},
		{"vector<float, 3>", doc, `[1,2.5,-3]`, []float32{1, 2.5, -3}},
		{"vector<text, 2>", doc, `["a","bc"]`, []string{"a", "bc"}},
	} {
		t.Run(c.declared+" "+c.text, func(t *testing.T) {
			got, why := convert(t, c.declared, c.kind, c.text)
			if why != "" {
				t.Fatalf("it does not fit: %s", why)
			}
			want, err := gocql.Marshal(driverType(strings.TrimSuffix(strings.TrimPrefix(c.declared, "frozen<"), frozenEnd(c.declared))), c.want)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) || (got == nil) != (want == nil) {
				t.Errorf("%x, the driver says %x", got, want)
			}
		})
	}
}

func frozenEnd(declared string) string {
	if strings.HasPrefix(declared, "frozen<") {
		return ">"
	}
	return ""
}

// TestDecodeGivesBackTheText goes there and back.
func TestDecodeGivesBackTheText(t *testing.T) {
	for _, c := range [][3]string{
		{"text", "a|b", "a|b"},
		{"tinyint", "-5", "-5"},
		{"smallint", "300", "300"},
		{"int", "-70000", "-70000"},
		{"bigint", "5000000000", "5000000000"},
		{"varint", "-170141183460469231731687303715884105729", "-170141183460469231731687303715884105729"},
		{"decimal", "-0.05", "-0.05"},
		{"decimal", "12.50", "12.5"},
		{"decimal", "1e3", "1000"},
		{"decimal", "0", "0"},
		{"float", "0.1", "0.1"},
		{"double", "-Infinity", "-Infinity"},
		{"double", "NaN", "NaN"},
		{"boolean", "off", "0"},
		{"date", "0001-01-01", "0001-01-01"},
		{"date", "9999-12-31", "9999-12-31"},
		{"time", "23:59:59.999999999", "23:59:59.999999999"},
		{"time", "00:00", "00:00:00"},
		{"timestamp", "2030-02-01T10:30:45.1Z", "2030-02-01 10:30:45.1+00:00"},
		{"timestamp", "1950-02-01T10:30:45.001Z", "1950-02-01 10:30:45.001+00:00"},
		{"uuid", "a0eebc999c0b4ef8bb6d6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{"inet", "/::ffff:1.2.3.4", "1.2.3.4"},
		{"duration", "-1mo2d", "-1mo2d"},
		{"duration", "0s", "0s"},
		{"list<int>", "[1, 2]", "[1,2]"},
		{"set<text>", "[]", "[]"},
		{"map<int, boolean>", `{"1": true}`, `{"1":true}`},
		{"frozen<map<text, frozen<list<decimal>>>>", `{"a":[1.5]}`, `{"a":[1.5]}`},
		{"tuple<int, text>", `[null, "x"]`, `[null,"x"]`},
		{"address", `{"zip": 5}`, `{"Geo":null,"street":null,"zip":5}`},
		{`"My Type"`, `{"a": [1]}`, `{"a":[1]}`},
		{"vector<int, 2>", "[1, 2]", "[1,2]"},
		{"vector<text, 2>", `["", "x"]`, `["","x"]`},
		{"vector<frozen<vector<float, 2>>, 2>", "[[1,2],[3,4]]", "[[1,2],[3,4]]"},
	} {
		b, why := convert(t, c[0], str, c[1])
		if why != "" {
			t.Errorf("%s into %s: %s", c[1], c[0], why)
			continue
		}
		typ, err := parseType(c[0], userTypes)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(typ.decode(b)); got != c[2] {
			t.Errorf("%s into %s came back as %s, want %s", c[1], c[0], got, c[2])
		}
	}
}

// TestUnfit: what does not fit says why, and is never cut or zeroed (spec 10.3).
func TestUnfit(t *testing.T) {
	for _, c := range []struct {
		declared string
		kind     applierv1.ValueKind
		text     string
		why      string
	}{
		{"ascii", str, "Grüße", "not ASCII"},
		{"tinyint", str, "128", "out of range"},
		{"int", str, "1.5", "fraction"},
		{"varint", str, "1.5", "fraction"},
		{"boolean", str, "perhaps", "not a boolean"},
		{"date", str, "2030-02-30", "ISO 8601 date"},
		{"time", str, "24:00:00", "time of day"},
		{"timestamp", str, "2030-02-01T10:30:45.1234567Z", "fraction"},
		{"uuid", str, "abc", "UUID"},
		{"timeuuid", str, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "version 1"},
		{"inet", str, "localhost", "IP address"},
		{"inet", str, "fe80::1%eth0", "IP address"},
		{"duration", str, "1.5d", "duration"},
		{"duration", str, "P", "duration"},
		{"duration", str, "1d-2h", "duration"},
		{"list<int>", doc, `[1,null]`, "no null"},
		{"list<int>", doc, `["x"]`, "in it, cannot convert 'x' to int"},
		{"list<int>", str, `1,2`, "neither JSON nor"},
		{"list<int>", str, `{1, 2}`, "not a list"},
		{"list<int>", num, "5", "not a list"},
		{"set<int>", doc, `[1,1]`, "twice"},
		{"map<text, int>", doc, `["a"]`, "not a map"},
		{"map<int, int>", doc, `{"1":1,"01":2}`, "twice"},
		{"tuple<int, text>", doc, `[1,"a",2]`, "fewer fields"},
		{"address", doc, `{"street":"a","no":1}`, "no field no"},
		{"address", doc, `[1]`, "not an object"},
		{"vector<float, 3>", doc, `[1,2]`, "3 members"},
		{"list<int>", str, strings.Repeat("[", 200) + strings.Repeat("]", 200), "too deep"},
	} {
		_, why := convert(t, c.declared, c.kind, c.text)
		if !strings.Contains(why, c.why) {
			t.Errorf("%s into %s: %q, want %q in it", c.text, c.declared, why, c.why)
		}
	}
}

// TestTypeNames: every type of the catalogue is read, what is not known is refused.
func TestTypeNames(t *testing.T) {
	for _, good := range []string{
		"counter", "frozen<address>", "map<text, frozen<set<\"My Type\">>>", "tuple<int>", "vector<frozen<tuple<int, int>>, 1536>",
	} {
		if _, err := parseType(good, userTypes); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "int4", "list", "list<>", "list<int, int>", "map<int>", "vector<int>", "vector<int, x>", "list<int", "int>", "frozen<int>x",
		"'org.apache.cassandra.db.marshal.DynamicCompositeType'", `"address`, strings.Repeat("list<", 300) + "int" + strings.Repeat(">", 300),
	} {
		if typ, err := parseType(bad, userTypes); err == nil {
			t.Errorf("%s was taken for %+v", bad, typ)
		}
	}
	typ, err := parseType("map<text, frozen<list<int>>>", nil)
	if err != nil {
		t.Fatal(err)
	}
	if typ.shown != "map<text, frozen<list<int>>>" || !typ.elems[1].frozen || typ.elems[1].shown != "frozen<list<int>>" {
		t.Errorf("%+v %+v", typ, typ.elems[1])
	}
}

// FuzzEncode: no text makes the encoder panic, and what it makes can be read.
func FuzzEncode(f *testing.F) {
	for _, seed := range []string{`{'a': [1]}`, `{"a":[1]}`, `{`, `('`, `{a: b, c}`, `[,]`, "P1Y", "1e9"} {
		f.Add(seed)
	}
	var types []*cqlType
	for _, name := range []string{"map<text, frozen<list<int>>>", "set<text>", "address", "tuple<int, duration>", "vector<text, 1>", "inet", "duration"} {
		typ, err := parseType(name, userTypes)
		if err != nil {
			f.Fatal(err)
		}
		types = append(types, typ)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, typ := range types {
			if b, why := typ.encode([]byte(text), value.Rules{}); why == fits && b != nil {
				typ.decode(b)
			}
			typ.decode(wire(text))
		}
	})
}
