package value

import pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

// Rules are the choices spec 10.3 leaves to the user. The zero value is the default of each.
type Rules struct {
	// Empty says which empty strings are NULL (empty_as_null).
	Empty Empty
	// NUL says what becomes of NUL characters in text (strip_nul).
	NUL NUL
	// Round rounds digits that the column cannot keep half away from zero, instead of rejecting them
	// (numeric_overflow: round).
	Round bool
	// Truncate cuts what is too long for a text or binary column, instead of rejecting it (truncate).
	Truncate bool
	// Unit is the unit of numbers that stand for times; by default it is found from their magnitude (unit).
	Unit Unit
	// Encoding is how text stands for bytes (binary).
	Encoding Encoding
	// As is the kind a value is read as before it becomes what the column takes (type); Other where none is named.
	As Kind
}

// Empty says which empty strings are NULL.
type Empty uint8

// The choices of empty_as_null.
const (
	EmptyNonText Empty = iota // in every column that is not text
	EmptyAlways               // in text too
	EmptyNever                // nowhere: what is not text rejects them
)

// NUL says what becomes of NUL characters in text, which PostgreSQL cannot store.
type NUL uint8

// The choices for NUL characters.
const (
	NULReject NUL = iota // the value does not fit
	NULStrip             // they are left out
	NULKeep              // they stay: the dialect takes them
)

// Unit is what a number in a date or time column counts, since 1970 or since midnight.
type Unit uint8

// The units.
const (
	UnitAuto Unit = iota // by magnitude
	UnitDays             // not for times of day
	UnitSeconds
	UnitMillis
	UnitMicros
	UnitNanos
)

// Encoding is how text stands for bytes.
type Encoding uint8

// The encodings.
const (
	EncodingAuto   Encoding = iota // hexadecimal after 0x or \x, else base64
	EncodingBase64                 // base64 alone
	EncodingHex                    // hexadecimal, also without 0x or \x in front
	EncodingUTF8                   // the text itself
)

// RulesOf are the choices that an output makes for one of its columns, for Type.With.
func RulesOf(w *pipelinev1.RelationalWrite, c *pipelinev1.OutputColumn) Rules {
	r := Rules{
		Empty:    empties[w.GetEmptyAsNull()],
		Round:    w.GetNumericOverflow() == pipelinev1.NumericOverflow_NUMERIC_OVERFLOW_ROUND,
		Truncate: c.GetTruncate(),
		Unit:     units[c.GetUnit()],
		Encoding: encodings[c.GetBinary()],
		As:       kinds[c.GetType()],
	}
	if w.GetStripNul() {
		r.NUL = NULStrip
	}
	return r
}

var (
	empties = map[pipelinev1.EmptyAsNull]Empty{
		pipelinev1.EmptyAsNull_EMPTY_AS_NULL_ALWAYS: EmptyAlways,
		pipelinev1.EmptyAsNull_EMPTY_AS_NULL_NEVER:  EmptyNever,
	}
	units = map[pipelinev1.TimeUnit]Unit{
		pipelinev1.TimeUnit_TIME_UNIT_SECONDS:      UnitSeconds,
		pipelinev1.TimeUnit_TIME_UNIT_MILLISECONDS: UnitMillis,
		pipelinev1.TimeUnit_TIME_UNIT_MICROSECONDS: UnitMicros,
		pipelinev1.TimeUnit_TIME_UNIT_NANOSECONDS:  UnitNanos,
		pipelinev1.TimeUnit_TIME_UNIT_DAYS:         UnitDays,
	}
	encodings = map[pipelinev1.BinaryEncoding]Encoding{
		pipelinev1.BinaryEncoding_BINARY_ENCODING_BASE64: EncodingBase64,
		pipelinev1.BinaryEncoding_BINARY_ENCODING_HEX:    EncodingHex,
		pipelinev1.BinaryEncoding_BINARY_ENCODING_UTF8:   EncodingUTF8,
	}
	kinds = map[pipelinev1.ColumnType]Kind{
		pipelinev1.ColumnType_COLUMN_TYPE_INTEGER:   Integer,
		pipelinev1.ColumnType_COLUMN_TYPE_DECIMAL:   Decimal,
		pipelinev1.ColumnType_COLUMN_TYPE_DOUBLE:    Float,
		pipelinev1.ColumnType_COLUMN_TYPE_BOOLEAN:   Boolean,
		pipelinev1.ColumnType_COLUMN_TYPE_TEXT:      Text,
		pipelinev1.ColumnType_COLUMN_TYPE_DATE:      Date,
		pipelinev1.ColumnType_COLUMN_TYPE_TIME:      Time,
		pipelinev1.ColumnType_COLUMN_TYPE_TIMESTAMP: Timestamp,
		pipelinev1.ColumnType_COLUMN_TYPE_BINARY:    Binary,
		pipelinev1.ColumnType_COLUMN_TYPE_JSON:      JSON,
		pipelinev1.ColumnType_COLUMN_TYPE_UUID:      UUID,
	}
)

// With is the type under the rules of a job. What its dialect says of NUL characters goes before strip_nul: where they
// can be stored nothing is taken out. The elements of an array follow the same rules.
func (t Type) With(r Rules) Type {
	if t.Rules.NUL == NULKeep {
		r.NUL = NULKeep
	}
	t.Rules = r
	if t.Elem != nil {
		elem := t.Elem.With(r)
		elem.Rules.As = Other // the hint is about the list
		if r.As != Other && r.As != JSON && r.As != Text {
			elem.Rules.As = r.As
			t.Rules.As = Other // or about what is in it
		}
		t.Elem = &elem
	}
	return t
}
