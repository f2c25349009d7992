package value_test

import (
	"errors"
	"strings"
	"testing"

	"slipstream/applier/value"
	applierv1 "slipstream/proto/slipstream/applier/v1"
)

const (
	null     = applierv1.ValueKind_VALUE_KIND_UNSPECIFIED
	str      = applierv1.ValueKind_VALUE_KIND_STRING
	num      = applierv1.ValueKind_VALUE_KIND_NUMBER
	boolean  = applierv1.ValueKind_VALUE_KIND_BOOLEAN
	document = applierv1.ValueKind_VALUE_KIND_DOCUMENT
	raw      = applierv1.ValueKind_VALUE_KIND_BYTES
	absent   = applierv1.ValueKind_VALUE_KIND_ABSENT
)

var (
	int16Type     = value.Type{Kind: value.Integer, Name: "smallint", Bits: 16}
	int32Type     = value.Type{Kind: value.Integer, Name: "integer", Bits: 32}
	int64Type     = value.Type{Kind: value.Integer, Name: "bigint", Bits: 64}
	uint8Type     = value.Type{Kind: value.Integer, Name: "tinyint unsigned", Bits: 8, Unsigned: true}
	uint64Type    = value.Type{Kind: value.Integer, Name: "bigint unsigned", Bits: 64, Unsigned: true}
	numericType   = value.Type{Kind: value.Decimal, Name: "numeric", Special: true}
	moneyType     = value.Type{Kind: value.Decimal, Name: "numeric(10,2)", Precision: 10, Scale: 2, Special: true}
	thousandsType = value.Type{Kind: value.Decimal, Name: "numeric(3,-3)", Precision: 3, Scale: -3}
	tinyType      = value.Type{Kind: value.Decimal, Name: "numeric(2,5)", Precision: 2, Scale: 5}
	doubleType    = value.Type{Kind: value.Float, Name: "double precision", Bits: 64, Special: true}
	realType      = value.Type{Kind: value.Float, Name: "real", Bits: 32}
	boolType      = value.Type{Kind: value.Boolean, Name: "boolean"}
	textType      = value.Type{Kind: value.Text, Name: "text"}
	shortType     = value.Type{Kind: value.Text, Name: "varchar(5)", Length: 5}
	bytesType     = value.Type{Kind: value.Text, Name: "varchar(5 bytes)", Length: 5, LengthInBytes: true}
	charType      = value.Type{Kind: value.Text, Name: "char(5)", Length: 5, Padded: true}
	dateType      = value.Type{Kind: value.Date, Name: "date", Special: true}
	stampType     = value.Type{Kind: value.Timestamp, Name: "timestamp", Fraction: 6, Special: true}
	secondsType   = value.Type{Kind: value.Timestamp, Name: "timestamp(0)"}
	zonedType     = value.Type{Kind: value.Timestamp, Name: "timestamptz", Fraction: 6, Zoned: true}
	nanosType     = value.Type{Kind: value.Timestamp, Name: "timestamp(9)", Fraction: 9}
	timeType      = value.Type{Kind: value.Time, Name: "time", Fraction: 6}
	zonedTimeType = value.Type{Kind: value.Time, Name: "timetz", Fraction: 6, Zoned: true}
	binaryType    = value.Type{Kind: value.Binary, Name: "bytea"}
	shortBinary   = value.Type{Kind: value.Binary, Name: "varbinary(2)", Length: 2}
	jsonType      = value.Type{Kind: value.JSON, Name: "jsonb"}
	uuidType      = value.Type{Kind: value.UUID, Name: "uuid"}
	intsType      = value.Type{Kind: value.Array, Name: "integer[]", Elem: &int32Type}
	textsType     = value.Type{Kind: value.Array, Name: "text[]", Elem: &textType}
	blobsType     = value.Type{Kind: value.Array, Name: "bytea[]", Elem: &binaryType}
	docsType      = value.Type{Kind: value.Array, Name: "jsonb[]", Elem: &jsonType}
	inetType      = value.Type{Kind: value.Other, Name: "inet"}
)

func with(t value.Type, rules value.Rules) value.Type {
	t.Rules = rules
	return t
}

// NULL is what the tables below write for a null result; no case expects the text itself.
const wantNull = "<null>"

// Each case gives the canonical text, or a part of the reason where it must not fit.
func TestConvert(t *testing.T) {
	t.Parallel()
	epochMillis := with(stampType, value.Rules{Unit: value.UnitMillis})
	cases := []struct {
		name string
		t    value.Type
		kind applierv1.ValueKind
		in   string
		want string // canonical text
		fail string // or part of the error
	}{
		{"integer", int32Type, str, "42", "42", ""},
		{"integer, number", int32Type, num, "-42", "-42", ""},
		{"integer, zeros in front", int32Type, str, "0042", "42", ""},
		{"integer, plus", int32Type, str, "+7", "7", ""},
		{"integer, minus zero", int32Type, str, "-0", "0", ""},
		{"integer, blanks", int32Type, str, " \t7\n", "7", ""},
		{"integer, zero fraction", int32Type, str, "5.00", "5", ""},
		{"integer, point at the end", int32Type, str, "5.", "5", ""},
		{"integer, exponent", int32Type, num, "5e3", "5000", ""},
		{"integer, exponent and point", int32Type, num, "1.25E+2", "125", ""},
		{"integer, zero with a large exponent", int32Type, num, "0e99999999999", "0", ""},
		{"integer, boolean", int32Type, boolean, "true", "1", ""},
		{"integer, boolean no", int32Type, boolean, "false", "0", ""},
		{"integer, fraction", int32Type, str, "5.5", "", "it has a fraction"},
		{"integer, small fraction", int32Type, num, "1e-3", "", "it has a fraction"},
		{"integer, text", int32Type, str, "abc", "", "cannot convert 'abc' to integer: it is not a number"},
		{"integer, two numbers", int32Type, str, "1 2", "", "not a number"},
		{"integer, two points", int32Type, str, "1.2.3", "", "not a number"},
		{"integer, hexadecimal", int32Type, str, "0x10", "", "not a number"},
		{"integer, underscore", int32Type, str, "1_000", "", "not a number"},
		{"integer, sign alone", int32Type, str, "-", "", "not a number"},
		{"integer, point alone", int32Type, str, ".", "", "not a number"},
		{"integer, exponent without digits", int32Type, str, "1e", "", "not a number"},
		{"integer, text true", int32Type, str, "true", "", "not a number"},
		{"integer, object", int32Type, document, "{}", "", "not a single value"},
		{"integer, empty", int32Type, str, "", wantNull, ""},
		{"integer, blank", int32Type, str, "  ", wantNull, ""},
		{"integer, null", int32Type, null, "", wantNull, ""},
		{"integer, absent", int32Type, absent, "", wantNull, ""},
		{"integer, empty never null", with(int32Type, value.Rules{Empty: value.EmptyNever}), str, "", "", "not a number"},
		{"smallint, most", int16Type, str, "32767", "32767", ""},
		{"smallint, one more", int16Type, str, "32768", "", "out of range"},
		{"smallint, least", int16Type, str, "-32768", "-32768", ""},
		{"smallint, one less", int16Type, str, "-32769", "", "out of range"},
		{"bigint, most", int64Type, str, "9223372036854775807", "9223372036854775807", ""},
		{"bigint, one more", int64Type, str, "9223372036854775808", "", "out of range"},
		{"bigint, least", int64Type, str, "-9223372036854775808", "-9223372036854775808", ""},
		{"bigint, one less", int64Type, str, "-9223372036854775809", "", "out of range"},
		{"bigint, past 64 bits", int64Type, str, "18446744073709551616", "", "out of range"},
		{"bigint, exponent past everything", int64Type, str, "1e400", "", "out of range"},
		{"unsigned, most", uint8Type, str, "255", "255", ""},
		{"unsigned, one more", uint8Type, str, "256", "", "out of range"},
		{"unsigned, minus", uint8Type, str, "-1", "", "out of range"},
		{"unsigned, minus zero", uint8Type, str, "-0", "0", ""},
		{"unsigned 64, most", uint64Type, str, "18446744073709551615", "18446744073709551615", ""},
		{"unsigned 64, one more", uint64Type, str, "18446744073709551616", "", "out of range"},

		{"decimal", numericType, str, "12.5", "12.5", ""},
		{"decimal, zeros at the end", numericType, str, "1.50", "1.5", ""},
		{"decimal, zeros in front", numericType, str, "-001.5", "-1.5", ""},
		{"decimal, no digit before the point", numericType, str, ".5", "0.5", ""},
		{"decimal, small", numericType, str, "0.00120", "0.0012", ""},
		{"decimal, whole", numericType, str, "120.00", "120", ""},
		{"decimal, minus zero", numericType, str, "-0.00", "0", ""},
		{"decimal, exponent", numericType, num, "1.25e-3", "0.00125", ""},
		{"decimal, exponent moves the point", numericType, num, "12.345e1", "123.45", ""},
		{"decimal, more digits than a float", numericType, num, "12345678901234567890.123456789", "12345678901234567890.123456789", ""},
		{"decimal, far", numericType, num, "12e100", "1.2e+101", ""},
		{"decimal, near", numericType, num, "12e-100", "1.2e-99", ""},
		{"decimal, too far", numericType, num, "1e131073", "", "too many digits"},
		{"decimal, too near", numericType, num, "1e-16384", "", "more fraction digits"},
		{"decimal, NaN", numericType, str, "nan", "NaN", ""},
		{"decimal, infinity", numericType, str, "-inf", "-Infinity", ""},
		{"decimal, infinity where there is none", moneyType, str, "inf", "", "not a number"},
		{"decimal, NaN where there is none", thousandsType, str, "NaN", "", "not a number"},
		{"decimal, scale", moneyType, str, "12345678.99", "12345678.99", ""},
		{"decimal, zeros past the scale", moneyType, str, "1.2300", "1.23", ""},
		{"decimal, digit past the scale", moneyType, str, "1.235", "", "cannot convert '1.235' to numeric(10,2): it has more fraction digits than the scale"},
		{"decimal, rounded up", with(moneyType, value.Rules{Round: true}), str, "1.235", "1.24", ""},
		{"decimal, rounded down", with(moneyType, value.Rules{Round: true}), str, "-1.2349", "-1.23", ""},
		{"decimal, rounded into a new digit", with(moneyType, value.Rules{Round: true}), str, "99.995", "100", ""},
		{"decimal, rounded to zero", with(moneyType, value.Rules{Round: true}), str, "-0.001", "0", ""},
		{"decimal, rounded from below the scale", with(moneyType, value.Rules{Round: true}), str, "0.005", "0.01", ""},
		{"decimal, rounded out of range", with(moneyType, value.Rules{Round: true}), str, "99999999.995", "", "too many digits"},
		{"decimal, too large", moneyType, str, "123456789", "", "too many digits"},
		{"decimal, negative scale", thousandsType, str, "123000", "123000", ""},
		{"decimal, negative scale, not a multiple", thousandsType, str, "123400", "", "more fraction digits"},
		{"decimal, negative scale, too large", thousandsType, str, "1000000", "", "too many digits"},
		{"decimal, scale above precision", tinyType, str, "0.00012", "0.00012", ""},
		{"decimal, scale above precision, too large", tinyType, str, "0.001", "", "too many digits"},
		{"decimal, boolean", moneyType, boolean, "true", "", "a boolean does not fit"},

		{"double", doubleType, str, "1.50", "1.5", ""},
		{"double, exponent", doubleType, num, "1E3", "1000", ""},
		{"double, zero", doubleType, str, "-0.0", "0", ""},
		{"double, NaN", doubleType, str, "NaN", "NaN", ""},
		{"double, infinity", doubleType, str, "+Infinity", "Infinity", ""},
		{"double, too large", doubleType, str, "1e309", "", "out of range"},
		{"double, would be zeroed", doubleType, str, "1e-400", "", "out of range"},
		{"double, hexadecimal", doubleType, str, "0x1p3", "", "not a number"},
		{"real, too large", realType, str, "1e39", "", "out of range"},
		{"real, NaN where there is none", realType, str, "nan", "", "not a number"},

		{"boolean, yes", boolType, str, "Yes", "1", ""},
		{"boolean, off", boolType, str, "OFF", "0", ""},
		{"boolean, t", boolType, str, "t", "1", ""},
		{"boolean, JSON", boolType, boolean, "false", "0", ""},
		{"boolean, number", boolType, num, "1", "1", ""},
		{"boolean, number with a point", boolType, num, "0.0", "0", ""},
		{"boolean, 2", boolType, num, "2", "", "not a boolean"},
		{"boolean, -1", boolType, num, "-1", "", "not a boolean"},
		{"boolean, word", boolType, str, "maybe", "", "not a boolean"},
		{"boolean, empty", boolType, str, "", wantNull, ""},

		{"text", textType, str, "žluťoučký kůň 🐎", "žluťoučký kůň 🐎", ""},
		{"text, empty stays", textType, str, "", "", ""},
		{"text, blanks stay", textType, str, "  a ", "  a ", ""},
		{"text, empty is null", with(textType, value.Rules{Empty: value.EmptyAlways}), str, "", wantNull, ""},
		{"text, number keeps its text", textType, num, "1.00", "1.00", ""},
		{"text, boolean", textType, boolean, "true", "true", ""},
		{"text, document", textType, document, `{"a":1}`, `{"a":1}`, ""},
		{"text, five characters", shortType, str, "áéíóú", "áéíóú", ""},
		{"text, six characters", shortType, str, "áéíóúů", "", "too long"},
		{"text, too many bytes", bytesType, str, "áéí", "", "too long"},
		{"text, NUL", textType, str, "a\x00b", "", `cannot convert 'a\x00b' to text: it has a NUL character`},
		{"text, NUL stripped", with(textType, value.Rules{NUL: value.NULStrip}), str, "\x00a\x00b", "ab", ""},
		{"text, NUL stripped fits", with(shortType, value.Rules{NUL: value.NULStrip}), str, "abc\x00de", "abcde", ""},
		{"text, NUL kept", with(textType, value.Rules{NUL: value.NULKeep}), str, "a\x00b", "a\x00b", ""},
		{"text, not UTF-8", textType, str, "a\xff", "", `cannot convert 'a\xff' to text: it is not valid UTF-8`},
		{"char, padding", charType, str, "ab   ", "ab", ""},
		{"char, much padding", charType, str, "ab        ", "ab", ""},
		{"char, too long", charType, str, "abcdef", "", "too long"},

		{"date", dateType, str, "2030-02-01", "2030-02-01", ""},
		{"date, of a timestamp", dateType, str, "2030-02-01T23:59:59.5-05:00", "2030-02-01", ""},
		{"date, milliseconds", dateType, num, "1896134400000", "2030-02-01", ""},
		{"date, days", dateType, num, "21946", "2030-02-01", ""},
		{"date, days before 1970", dateType, num, "-1", "1969-12-31", ""},
		{"date, last number of days", dateType, num, "99999", "2243-10-16", ""},
		{"date, seconds", dateType, num, "100000", "1970-01-02", ""},
		{"date, seconds before 1970", dateType, num, "-100000", "1969-12-30", ""},
		{"date, unit days", with(dateType, value.Rules{Unit: value.UnitDays}), num, "100000", "2243-10-17", ""},
		{"date, unit days, too many", with(dateType, value.Rules{Unit: value.UnitDays}), num, "99999999", "", "out of range"},
		{"date, part of a day", dateType, num, "1.5", "", "has a fraction"},
		{"date, leap day", dateType, str, "2024-02-29", "2024-02-29", ""},
		{"date, no leap day", dateType, str, "2100-02-29", "", "neither an ISO 8601 date"},
		{"date, no such month", dateType, str, "2024-13-01", "", "neither an ISO 8601 date"},
		{"date, year zero", dateType, str, "0000-01-01", "", "neither an ISO 8601 date"},
		{"date, something behind", dateType, str, "2024-01-01x", "", "neither an ISO 8601 date"},
		{"date, infinity", dateType, str, "infinity", "Infinity", ""},
		{"date, NaN", dateType, str, "nan", "", "neither an ISO 8601 date"},

		{"timestamp", stampType, str, "2030-02-01 10:30:45.123456", "2030-02-01 10:30:45.123456", ""},
		{"timestamp, T and Z", stampType, str, "2030-02-01T10:30:45Z", "2030-02-01 10:30:45", ""},
		{"timestamp, lower case", stampType, str, "2030-02-01t10:30:45z", "2030-02-01 10:30:45", ""},
		{"timestamp, offset", stampType, str, "2030-02-01T00:30:45+01:00", "2030-01-31 23:30:45", ""},
		{"timestamp, short offset", stampType, str, "2030-02-01 10:30-0530", "2030-02-01 16:00:00", ""},
		{"timestamp, blank and offset", stampType, str, "2030-02-01 10:30:45 +02", "2030-02-01 08:30:45", ""},
		{"timestamp, UTC", stampType, str, "2030-02-01 10:30:45 UTC", "2030-02-01 10:30:45", ""},
		{"timestamp, date alone", stampType, str, "2030-02-01", "2030-02-01 00:00:00", ""},
		{"timestamp, zeros at the end", stampType, str, "2030-02-01T10:30:45.500000000000Z", "2030-02-01 10:30:45.5", ""},
		{"timestamp, comma", stampType, str, "2030-02-01T10:30:45,25", "2030-02-01 10:30:45.25", ""},
		{"timestamp, end of day", stampType, str, "2030-02-28T24:00:00", "2030-03-01 00:00:00", ""},
		{"timestamp, leap second", stampType, str, "2016-12-31T23:59:60Z", "2017-01-01 00:00:00", ""},
		{"timestamp, leap second at noon", stampType, str, "2016-12-31T11:59:60Z", "2016-12-31 12:00:00", ""},
		{"timestamp, nanoseconds", stampType, str, "2030-02-01T10:30:45.123456789", "", "more fraction digits than the column"},
		{"timestamp, rounded", with(stampType, value.Rules{Round: true}), str, "2030-12-31T23:59:59.9999995", "2031-01-01 00:00:00", ""},
		{"timestamp, seconds only", secondsType, str, "2030-02-01T10:30:45.5", "", "more fraction digits than the column"},
		{"timestamp(9)", nanosType, str, "2030-02-01T10:30:45.123456789", "2030-02-01 10:30:45.123456789", ""},
		{"timestamp(9), ten digits", nanosType, str, "2030-02-01T10:30:45.1234567891", "", "more fraction digits"},
		{"timestamp, hour 25", stampType, str, "2030-02-01 25:00", "", "neither ISO 8601"},
		{"timestamp, past the end of day", stampType, str, "2030-02-01 24:00:01", "", "neither ISO 8601"},
		{"timestamp, point without digits", stampType, str, "2030-02-01 10:00:00.", "", "neither ISO 8601"},
		{"timestamp, zone name", stampType, str, "2030-02-01 10:00 Europe/Prague", "", "neither ISO 8601"},
		{"timestamp, seconds", stampType, num, "1896172245", "2030-02-01 10:30:45", ""},
		{"timestamp, most seconds", stampType, num, "99999999999", "5138-11-16 09:46:39", ""},
		{"timestamp, least milliseconds", stampType, num, "100000000000", "1973-03-03 09:46:40", ""},
		{"timestamp, milliseconds", stampType, str, "1896172245123", "2030-02-01 10:30:45.123", ""},
		{"timestamp, milliseconds with a fraction", stampType, str, "1896172245123.456", "2030-02-01 10:30:45.123456", ""},
		{"timestamp, milliseconds as exponent", stampType, num, "1.896172245123456e12", "2030-02-01 10:30:45.123456", ""},
		{"timestamp, microseconds", stampType, num, "1896172245123456", "2030-02-01 10:30:45.123456", ""},
		{"timestamp, nanoseconds that fit", stampType, num, "1896172245123456000", "2030-02-01 10:30:45.123456", ""},
		{"timestamp, nanoseconds that do not", stampType, num, "1896172245123456789", "", "more fraction digits"},
		{"timestamp, before 1970", stampType, num, "-1.5", "1969-12-31 23:59:58.5", ""},
		{"timestamp, unit ms", epochMillis, num, "5000", "1970-01-01 00:00:05", ""},
		{"timestamp, too late", epochMillis, num, "1e30", "", "out of range"},
		{"timestamp, infinity", stampType, str, "-infinity", "-Infinity", ""},
		{"timestamptz", zonedType, str, "2030-02-01T10:30:45+02:00", "2030-02-01 08:30:45+00:00", ""},
		{"timestamptz, no zone is UTC", zonedType, str, "2030-02-01 10:30:45", "2030-02-01 10:30:45+00:00", ""},
		{"timestamptz, epoch", zonedType, num, "0", "1970-01-01 00:00:00+00:00", ""},
		{"timestamptz, infinity where there is none", zonedType, str, "infinity", "", "neither ISO 8601"},
		{"timestamp, before year 1", stampType, str, "0001-01-01T00:00:00+01:00", "", "out of range"},

		{"time", timeType, str, "10:30:45.5", "10:30:45.5", ""},
		{"time, no seconds", timeType, str, "10:30", "10:30:00", ""},
		{"time, end of day", timeType, str, "24:00:00", "24:00:00", ""},
		{"time, seconds", timeType, num, "37845", "10:30:45", ""},
		{"time, milliseconds", timeType, num, "37845123", "10:30:45.123", ""},
		{"time, microseconds", timeType, num, "37845123456", "10:30:45.123456", ""},
		{"time, seconds with a fraction", timeType, num, "37845.25", "10:30:45.25", ""},
		{"time, a day of microseconds", timeType, num, "86400000000", "", "out of range"},
		{"time, negative", timeType, num, "-1", "", "out of range"},
		{"time, offset", timeType, str, "00:30:00+01:00", "23:30:00", ""},
		{"time, text", timeType, str, "noon", "", "neither HH:MM:SS"},
		{"timetz", zonedTimeType, str, "10:30:45-05:30", "10:30:45-05:30", ""},
		{"timetz, no zone", zonedTimeType, str, "10:30:45", "10:30:45+00:00", ""},

		{"binary, base64", binaryType, str, "aGVsbG8=", "hello", ""},
		{"binary, no padding", binaryType, str, "aGVsbG8", "hello", ""},
		{"binary, URL alphabet", binaryType, str, "-_-_", "\xfb\xff\xbf", ""},
		{"binary, line breaks", binaryType, str, "aGVs\r\nbG8=\n", "hello", ""},
		{"binary, 0x", binaryType, str, "0x68656C6c6f", "hello", ""},
		{"binary, \\x", binaryType, str, `\x00ff`, "\x00\xff", ""},
		{"binary, 0x and base64", binaryType, str, "0xyz", "\xd3\x1c\xb3", ""},
		{"binary, \\x and base64", binaryType, str, `\xyz`, "", "neither base64"},
		{"binary, odd hexadecimal", binaryType, str, `\x0`, "", "neither base64"},
		{"binary, cut base64", binaryType, str, "aGVsb", "", "neither base64"},
		{"binary, wrong padding", binaryType, str, "aGVsbG8==", "", "neither base64"},
		{"binary, padding alone", binaryType, str, "====", "", "neither base64"},
		{"binary, words", binaryType, str, "hello world", "", "neither base64"},
		{"binary, raw", binaryType, raw, "\x00\xff", "\x00\xff", ""},
		{"binary, raw blanks", binaryType, raw, " ", " ", ""},
		{"binary, number", binaryType, num, "1234", "", "neither base64"},
		{"binary, too long", shortBinary, raw, "abc", "", "too long"},
		{"binary, empty", binaryType, str, "", wantNull, ""},

		{"json, object", jsonType, document, `{"a":[1,2]}`, `{"a":[1,2]}`, ""},
		{"json, number", jsonType, num, "1.00", "1.00", ""},
		{"json, boolean", jsonType, boolean, "true", "true", ""},
		{"json, text that is JSON", jsonType, str, ` {"a": 1} `, `{"a": 1}`, ""},
		{"json, text", jsonType, str, "say \"hi\"\\\n", `"say \"hi\"\\\n"`, ""},
		{"json, control character", jsonType, str, "a\x01b", `"a\u0001b"`, ""},
		{"json, empty", jsonType, str, "", wantNull, ""},
		{"json, empty stays", with(jsonType, value.Rules{Empty: value.EmptyNever}), str, "", `""`, ""},
		{"json, NUL escape", jsonType, document, `{"a":"\u0000"}`, "", "NUL character"},
		{"json, escaped backslash before u0000", jsonType, document, `{"a":"\\u0000"}`, `{"a":"\\u0000"}`, ""},
		{"json, NUL escape kept", with(jsonType, value.Rules{NUL: value.NULKeep}), document, `["\u0000"]`, `["\u0000"]`, ""},
		{"json, NUL", jsonType, str, "a\x00b", "", "NUL character"},
		{"json, NUL stripped", with(jsonType, value.Rules{NUL: value.NULStrip}), str, "a\x00b", `"ab"`, ""},
		{"json, NUL kept", with(jsonType, value.Rules{NUL: value.NULKeep}), str, "a\x00b", `"a\u0000b"`, ""},
		{"json, pair", jsonType, document, `"\ud83d\ude00"`, `"\ud83d\ude00"`, ""},
		{"json, high half", jsonType, document, `"\ud83dx"`, "", "surrogate"},
		{"json, high half at the end", jsonType, document, `"\ud83d"`, "", "surrogate"},
		{"json, high half and an escape", jsonType, document, `"\ud83d\n"`, "", "surrogate"},
		{"json, low half", jsonType, document, `"\ude00"`, "", "surrogate"},
		{"json, two high halves", jsonType, document, `"\ud83d\ud83d\ude00"`, "", "surrogate"},
		{"json, not UTF-8", jsonType, str, "\xff", "", "UTF-8"},

		{"uuid", uuidType, str, "A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", ""},
		{"uuid, braces", uuidType, str, "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", ""},
		{"uuid, no dashes", uuidType, str, "a0eebc999c0b4ef8bb6d6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", ""},
		{"uuid, other dashes", uuidType, str, "a0eebc9-99c0b-4ef8-bb6d-6bb9bd380a11", "", "not a UUID"},
		{"uuid, short", uuidType, str, "a0eebc99", "", "not a UUID"},
		{"uuid, letter", uuidType, str, "g0eebc999c0b4ef8bb6d6bb9bd380a11", "", "not a UUID"},

		{"array, JSON", intsType, document, "[1,null,03]", "", "neither a JSON array"},
		{"array, JSON numbers", intsType, document, `[1,null,"03"]`, "{1,NULL,3}", ""},
		{"array, JSON text", intsType, str, " [1, 2] ", "{1,2}", ""},
		{"array, empty", intsType, document, "[]", "{}", ""},
		{"array, nested", intsType, document, "[[1,2],[3,4]]", "{{1,2},{3,4}}", ""},
		{"array, element does not fit", intsType, document, `[1,"x"]`, "", "not a number"},
		{"array, literal", intsType, str, "{ 1 , NULL, 03 }", "{1,NULL,3}", ""},
		{"array, empty literal", intsType, str, "{ }", "{}", ""},
		{"array, nested literal", intsType, str, "{{1},{2}}", "{{1},{2}}", ""},
		{"array, quoted literal", textsType, str, `{"a\"b",c d,"null",null}`, `{"a\"b","c d","null",NULL}`, ""},
		{"array, texts", textsType, document, `["a","","b,c","NULL","\u00e9\\"]`, `{a,"","b,c","NULL","é\\"}`, ""},
		{"array, bytes", blobsType, document, `["aGk="]`, `{"\\x6869"}`, ""},
		{"array, documents", docsType, document, `[{"a":1},[2]]`, `{"{\"a\":1}",[2]}`, ""},
		{"array, open literal", intsType, str, "{1", "", "neither a JSON array"},
		{"array, comma at the end", intsType, str, "{1,}", "", "neither a JSON array"},
		{"array, something behind", intsType, str, "{1}2", "", "neither a JSON array"},
		{"array, object", intsType, document, `{"a":1}`, "", "neither a JSON array"},
		{"array, number", intsType, num, "1", "", "neither a JSON array"},
		{"array, too deep", intsType, document, "[[[[[[[1]]]]]]]", "", "too deep"},
		{"array, deep literal", intsType, str, "{{{{{{{1}}}}}}}", "", "too deep"},
		{"array, NUL", textsType, document, `["\u0000"]`, "", "NUL"},
		{"array, half character", textsType, document, `["\ud800"]`, "", "surrogate"},
		{"array, empty text", intsType, str, "", wantNull, ""},

		{"other", inetType, str, "10.0.0.1/8", "10.0.0.1/8", ""},
		{"other, empty", inetType, str, "", wantNull, ""},
		{"other, NUL", inetType, str, "a\x00", "", "NUL"},
		{"other, not UTF-8", inetType, str, "\xc3", "", "UTF-8"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const before = "before|"
			out, isNull, err := value.Convert([]byte(before), &c.t, c.kind, []byte(c.in))
			got, ok := strings.CutPrefix(string(out), before)
			if !ok {
				t.Fatalf("what was in dst is gone: %q", out)
			}
			if c.fail != "" {
				if err == nil || !strings.Contains(err.Error(), c.fail) {
					t.Fatalf("got %q and error %v, want an error with %q", got, err, c.fail)
				}
				if got != "" || isNull {
					t.Fatalf("an error came with %q, null %v", got, isNull)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if isNull {
				got += wantNull
			}
			if got != c.want {
				t.Fatalf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestErrorShowsTheColumnAndCutsTheValue(t *testing.T) {
	t.Parallel()
	typ := value.Type{Kind: value.Integer, Bits: 32, Name: "integer", Column: "age"}
	_, _, err := value.Convert(nil, &typ, str, []byte(strings.Repeat("ž", 65)))
	want := "cannot convert '" + strings.Repeat("ž", 64) + "…' to integer for column age: it is not a number"
	if err == nil || err.Error() != want {
		t.Fatalf("got %v, want %s", err, want)
	}
	var e *value.Error
	if !errors.As(err, &e) || e.Column != "age" || e.Type != "integer" {
		t.Fatalf("the error is %#v", err)
	}
	_, _, err = value.Convert(nil, &typ, str, []byte(strings.Repeat("x", 64)))
	if err == nil || strings.Contains(err.Error(), "…") {
		t.Fatalf("64 characters are shown whole: %v", err)
	}
}
