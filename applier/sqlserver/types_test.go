package sqlserver

import (
	"errors"
	"strings"
	"testing"

	"slipstream/applier/value"
	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// arrives converts a text for a type and returns what the server gets, or why it does not.
func arrives(t *testing.T, r typeRow, text string) (any, string) {
	t.Helper()
	typ := r.valueType("c")
	out, null, err := value.Convert(nil, &typ, applierv1.ValueKind_VALUE_KIND_STRING, []byte(text))
	if err != nil {
		return nil, err.Error()
	}
	if null {
		out = nil
	}
	v, err := r.travels().value(&r, out)
	if err != nil {
		t.Fatal(err)
	}
	return v, ""
}

// TestTypes sends values of every type (spec 10.3): exact, or not at all.
func TestTypes(t *testing.T) {
	latin := typeRow{name: "varchar", length: 5, collation: "SQL_Latin1_General_CP1_CI_AS", codePage: 1252}
	for _, c := range []struct {
		name  string
		typ   typeRow
		text  string
		want  any
		wrong string
	}{
		{"tinyint", typeRow{name: "tinyint"}, "255", int64(255), ""},
		{"tinyint negative", typeRow{name: "tinyint"}, "-1", nil, "cannot convert '-1' to tinyint for column c: it is out of range"},
		{"int", typeRow{name: "int"}, "2147483648", nil, "it is out of range"},
		{"bigint", typeRow{name: "bigint"}, "-9223372036854775808", int64(-9223372036854775808), ""},
		{"bit", typeRow{name: "bit"}, "yes", true, ""},
		{"bit 2", typeRow{name: "bit"}, "2", nil, "it is not a boolean"},
		{"decimal", typeRow{name: "decimal", precision: 38, scale: 10}, "1234567890123456789012345678.0123456789", "1234567890123456789012345678.0123456789", ""},
		{"decimal with more digits", typeRow{name: "decimal", precision: 12, scale: 2}, "1.005", nil, "cannot convert '1.005' to decimal(12,2)"},
		{"money", typeRow{name: "money"}, "922337203685477.5807", "922337203685477.5807", ""},
		{"money least", typeRow{name: "money"}, "-922337203685477.5808", "-922337203685477.5808", ""},
		{"money too large", typeRow{name: "money"}, "922337203685477.5808", nil, "to money for column c: it is out of range"},
		{"money fraction", typeRow{name: "money"}, "1.00001", nil, "more fraction digits"},
		{"smallmoney", typeRow{name: "smallmoney"}, "-214748.3648", "-214748.3648", ""},
		{"smallmoney too large", typeRow{name: "smallmoney"}, "214748.3648", nil, "it is out of range"},
		{"real", typeRow{name: "real"}, "0.1", float64(0.1), ""},
		{"float", typeRow{name: "float", precision: 53}, "1e300", 1e300, ""},
		{"float(24)", typeRow{name: "float", precision: 24}, "1e300", nil, "it is out of range"},
		{"float infinite", typeRow{name: "float", precision: 53}, "inf", nil, "not a number"},
		{"date", typeRow{name: "date"}, "0001-01-01", "0001-01-01", ""},
		{"time", typeRow{name: "time", fraction: 7}, "23:59:59.9999999", "23:59:59.9999999", ""},
		{"time of 24", typeRow{name: "time", fraction: 7}, "24:00:00", nil, "it is out of range"},
		{"datetime2", typeRow{name: "datetime2", fraction: 7}, "2030-02-01 10:30:45.1234567", "2030-02-01T10:30:45.1234567", ""},
		{"datetime2(3)", typeRow{name: "datetime2", fraction: 3}, "2030-02-01 10:30:45.1234", nil, "more fraction digits than the column"},
		{"datetimeoffset", typeRow{name: "datetimeoffset", fraction: 7}, "2030-02-01T10:30:45+02:00", "2030-02-01T08:30:45+00:00", ""},
		{"datetime", typeRow{name: "datetime"}, "2030-02-01 10:30:45.123", "2030-02-01T10:30:45.123", ""},
		{"datetime of long ago", typeRow{name: "datetime"}, "1752-12-31", nil, "it is out of range"},
		{"smalldatetime", typeRow{name: "smalldatetime"}, "2030-02-01 10:30", "2030-02-01T10:30:00", ""},
		{"smalldatetime with seconds", typeRow{name: "smalldatetime"}, "2030-02-01 10:30:45", nil, "the column keeps no seconds"},
		{"smalldatetime too late", typeRow{name: "smalldatetime"}, "2079-06-07", nil, "it is out of range"},
		{"uniqueidentifier", typeRow{name: "uniqueidentifier"}, "{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", ""},
		{"nvarchar counts pairs of bytes", typeRow{name: "nvarchar", length: 3}, "a🚀", "a🚀", ""},
		{"nvarchar too long", typeRow{name: "nvarchar", length: 3}, "🚀🚀", nil, "it is too long"},
		{"varchar counts bytes of its code page", latin, "Grüße", "Grüße", ""},
		{"varchar too long", latin, "Grüße!", nil, "cannot convert 'Grüße!' to varchar(5) for column c: it is too long"},
		{"varchar without the character", latin, "я", nil, "it has a character that the column cannot hold"},
		{"varchar of a double-byte page", typeRow{name: "varchar", length: 3, collation: "Japanese_CI_AS", codePage: 932}, "世a", "世a", ""},
		{"varchar of a double-byte page, too long", typeRow{name: "varchar", length: 3, collation: "Japanese_CI_AS", codePage: 932}, "世界", nil, "it is too long"},
		{"varchar in UTF-8", typeRow{name: "varchar", length: 4, collation: "Latin1_General_100_CI_AS_SC_UTF8", codePage: utf8CodePage}, "🚀", "🚀", ""},
		{"varchar in UTF-8, too long", typeRow{name: "varchar", length: 4, collation: "Latin1_General_100_CI_AS_SC_UTF8", codePage: utf8CodePage}, "🚀a", nil, "it is too long"},
		{"char is padded", typeRow{name: "char", length: 4, codePage: 1252}, "ab  ", "ab", ""},
		{"NUL", typeRow{name: "nvarchar", length: -1}, "a\x00", nil, "it has a NUL character"},
		{"varbinary", typeRow{name: "varbinary", length: 2}, "0x00ff", []byte{0, 0xff}, ""},
		{"varbinary too long", typeRow{name: "varbinary", length: 2}, "0x00ff00", nil, "it is too long"},
		{"xml of several elements and text", typeRow{name: "xml"}, "<a x='1'/>b<c:d/>", "<a x='1'/>b<c:d/>", ""},
		{"xml that is not closed", typeRow{name: "xml"}, "<a>", nil, "well-formed"},
		{"xml with an encoding", typeRow{name: "xml"}, "<?xml version='1.0' encoding='ISO-8859-1'?><a/>", "<a/>", ""},
		{"xml drops its declaration", typeRow{name: "xml"}, "\ufeff<?xml version='1.0' encoding='utf-8'?><a>ü</a>", "<a>ü</a>", ""},
		{"sql_variant", typeRow{name: "sql_variant"}, "7", "7", ""},
		{"sql_variant too long", typeRow{name: "sql_variant"}, strings.Repeat("x", 4001), nil, "it is too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, wrong := arrives(t, c.typ, c.text)
			if c.wrong != "" {
				if !strings.Contains(wrong, c.wrong) {
					t.Errorf("refused with %q, want %q; sent %v", wrong, c.wrong, got)
				}
				return
			}
			if b, ok := got.([]byte); ok {
				if string(b) != string(c.want.([]byte)) {
					t.Errorf("sent %x, want %x", b, c.want)
				}
				return
			}
			if wrong != "" || got != c.want {
				t.Errorf("sent %#v, want %#v; %s", got, c.want, wrong)
			}
		})
	}
}

// TestRounding: numeric_overflow: round lets smalldatetime round, which the server does.
func TestRounding(t *testing.T) {
	r := typeRow{name: "smalldatetime"}
	if why := r.refuses([]byte("2030-02-01 10:30:45"), true); why != "" {
		t.Error(why)
	}
}

// TestMisfit: what does not fit is a fault of the record, and shows 64 characters of it.
func TestMisfit(t *testing.T) {
	f := misfit(&value.Type{Name: "money", Column: "price"}, []byte(strings.Repeat("9", 70)), "it is out of range")
	var e *value.Error
	if f.Class != flowv1.FaultClass_FAULT_CLASS_DATA || !errors.As(f, &e) || e.Value != strings.Repeat("9", 64)+"…" || e.Column != "price" {
		t.Errorf("%s %v", fault.ClassName(f.Class), f)
	}
}

// TestLoose: texts that a collation may take for equal are one, so that their rows are written in the order of events.
func TestLoose(t *testing.T) {
	for _, c := range []struct {
		collation string
		a, b      string
		equal     bool
	}{
		{"SQL_Latin1_General_CP1_CI_AS", "Key", "kEY", true},
		{"SQL_Latin1_General_CP1_CI_AS", "key", "key  ", true},
		{"SQL_Latin1_General_CP1_CI_AS", "key", "keys", false},
		{"SQL_Latin1_General_CP1_CI_AS", " key", "key", false},
		{"Latin1_General_CI_AI", "Straße", "STRASSE", true},
		{"Latin1_General_CI_AI", "résumé", "Resume", true},
		{"Latin1_General_CI_AI", "re\u0301sume", "Resume", true},
		{"Japanese_CI_AS", "ｶﾀｶﾅ", "カタカナ", true},
		{"Japanese_CI_AS", "ひらがな", "ヒラガナ", true},
		{"Greek_CI_AS", "ΟΔΟΣ", "οδος", true},
		{"Turkish_CI_AS", "İ", "i", true},
		{"Latin1_General_BIN2", "key", "KEY", false},
		{"Latin1_General_BIN2", "key", "key ", true},
		{"Latin1_General_100_BIN2_UTF8", "é", "e", false},
	} {
		loose := typeRow{name: "nvarchar", length: 20, collation: c.collation}.valueType("c").Loose
		a, b := string(loose(nil, []byte(c.a))), string(loose([]byte("x"), []byte(c.b)))
		if got := "x"+a == b; got != c.equal {
			t.Errorf("%s: %q and %q fold to %q and %q", c.collation, c.a, c.b, a, b[1:])
		}
	}
	if string(looseBytes(nil, []byte{1, 0, 0})) != "\x01" || string(looseMoment(nil, []byte("2030-02-01 10:00:00.123"))) != "2030-02-01 10:00:00" {
		t.Error("bytes or moments")
	}
}
