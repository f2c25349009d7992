// Package value converts what a record holds into what a column takes (spec 10.3).
//
// A Type describes a column as its dialect's catalogue does; Convert turns the text of one value into the canonical
// text of that type, or says why it does not fit. The words:
//
//   - Canonical: one text for all spellings that the database regards as the same value, so that two keys are equal
//     exactly when their bytes are: "01" and "1" of an integer, "1.50" and "1.5" of a decimal, an instant written with
//     two offsets. Where only the server knows what is equal (Other, JSON, collations) the text stays as it came.
//   - Null: SQL NULL. It comes from a missing field, from JSON null, and from an empty string in a column that is not
//     text (Rules.Empty).
//
// Promises: a value is never cut, rounded, zeroed or replaced unless the job says so; what does not fit is an *Error, which is the
// reason a dead letter shows. Decimals never pass through binary floating point. Text that is canonical already is
// appended without an allocation. The package knows no database and no driver: dialects (the sibling folders) map their
// catalogue to Types and bind the texts.
//
// Canonical texts by kind:
//
//	Integer    -12
//	Decimal    -12.5 (no exponent, no zeros that say nothing; exponent form only beyond 64 added zeros)
//	Float      the shortest digits that read back as the same number
//	Boolean    1 or 0
//	Text       as it came
//	Date       2030-02-01
//	Timestamp  2030-02-01 10:30:45.123456, in UTC; zoned: followed by +00:00
//	Time       10:30:45.123456; zoned: followed by its offset, +00:00 where none was given
//	Binary     the bytes themselves
//	JSON       JSON text
//	UUID       32 lower-case hexadecimal digits in five groups
//	Array      {1,NULL,"a b"}: elements canonical, quoted where needed
//	Pairs      "a"=>"1", "b"=>NULL, sorted by name; what came in that notation stays
//	Other      as it came
//	Raw        as it came; a boolean is 1 or 0, a JSON number has its shortest form
//
// A job may choose otherwise in some things (Rules, which RulesOf reads from a compiled output and Type.With applies):
// which empty texts are NULL, whether digits are rounded, texts cut and NUL characters left out, how text stands for
// bytes, the unit of numbers that stand for times, and the kind a value is read as before it becomes what the column
// takes.
package value

import (
	"unicode/utf8"

	applierv1 "slipstream/proto/slipstream/applier/v1"
)

// Convert appends the canonical text of a value to dst. A null value appends nothing and says so; so does a value of
// kind ABSENT, which a caller tells apart before. On an error, which is always an *Error, dst comes back as it was.
func Convert(dst []byte, t *Type, kind applierv1.ValueKind, text []byte) (out []byte, null bool, err error) {
	switch kind {
	case applierv1.ValueKind_VALUE_KIND_UNSPECIFIED, applierv1.ValueKind_VALUE_KIND_ABSENT:
		return dst, true, nil
	case applierv1.ValueKind_VALUE_KIND_STRING, applierv1.ValueKind_VALUE_KIND_BYTES:
		if emptyIsNull(t, text) {
			return dst, true, nil
		}
	}
	out, why := convert(dst, t, kind, text)
	if why == fits && t.Refuses != nil {
		why = reason(t.Refuses(out[len(dst):], t.Rules.Round))
	}
	if why != fits {
		return dst, false, newError(t, text, why)
	}
	return out, false, nil
}

// reason says in a few words why a value does not fit; empty when it does. Constants, so that a rejected value costs
// one allocation, the Error.
type reason string

const fits reason = ""

func convert(dst []byte, t *Type, kind applierv1.ValueKind, text []byte) ([]byte, reason) {
	if t.Rules.As != Other && t.Rules.As != t.Kind {
		return convertAs(dst, t, kind, text)
	}
	switch t.Kind {
	case Text:
		return appendText(dst, t, text)
	case Binary:
		return appendBinary(dst, t, kind, text)
	case JSON:
		return appendJSON(dst, t, kind, text)
	case Other:
		return appendOther(dst, t, text)
	case Array:
		return appendArray(dst, t, kind, text)
	case Pairs:
		return appendPairs(dst, t, kind, text)
	case Raw:
		return appendRaw(dst, kind, text), fits
	}
	if kind == applierv1.ValueKind_VALUE_KIND_DOCUMENT {
		return dst, "an object or array is not a single value"
	}
	text = trim(text)
	switch t.Kind {
	case Integer:
		return appendInteger(dst, t, kind, text)
	case Boolean:
		return appendBoolean(dst, kind, text)
	}
	if kind == applierv1.ValueKind_VALUE_KIND_BOOLEAN {
		return dst, "a boolean does not fit"
	}
	switch t.Kind {
	case Decimal:
		return appendDecimal(dst, t, text)
	case Float:
		return appendFloat(dst, t, text)
	case Date:
		return appendDate(dst, t, text)
	case Timestamp:
		return appendTimestamp(dst, t, text)
	case Time:
		return appendTime(dst, t, text)
	case UUID:
		return appendUUID(dst, text)
	}
	return dst, "the column's type is not known"
}

// emptyIsNull applies empty_as_null (spec 10.3): hashes cannot hold null, so an empty string stands for it wherever it
// could not be a value. Blanks around numbers, times and the like say nothing, so there a blank text is empty too.
func emptyIsNull(t *Type, text []byte) bool {
	isText := (t.Kind == Text || t.Kind == Raw) && (t.Rules.As == Other || t.Rules.As == Text)
	if len(text) > 0 && (text[0] > ' ' || isText || t.Kind == Binary || len(trim(text)) > 0) {
		return false
	}
	switch t.Rules.Empty {
	case EmptyAlways:
		return true
	case EmptyNever:
		return false
	}
	return !isText
}

// trim cuts blanks off both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && blank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && blank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func blank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func digit(c byte) bool { return c-'0' <= 9 }

// appendOther passes a text to the server, which alone can judge it (spec 10.3: enum, inet, interval and the like).
func appendOther(dst []byte, t *Type, text []byte) ([]byte, reason) {
	if !utf8.Valid(text) {
		return dst, notUTF8
	}
	return appendWithoutNUL(dst, t, text)
}
