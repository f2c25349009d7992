package value

import (
	"fmt"

	applierv1 "slipstream/proto/slipstream/applier/v1"
)

// convertAs reads a value as the kind that the job names (Rules.As) and makes what the column takes of that: a timestamp
// in a text column is its canonical text, in a number column its epoch number in Rules.Unit, milliseconds where none is
// named; a UUID in a binary column is its 16 bytes. The canonical text of the first step stands behind dst until the
// second is done, so that no other memory is needed.
func convertAs(dst []byte, t *Type, kind applierv1.ValueKind, text []byte) ([]byte, reason) {
	read := Type{Kind: t.Rules.As, Fraction: 9, Zoned: t.Zoned, Special: true, Rules: t.Rules}
	read.Rules.As = Other
	column := *t
	column.Rules.As = Other
	mid, why := convert(dst, &read, kind, text)
	if why != fits {
		return dst, why
	}
	out, why := appendRead(mid, &column, read.Kind, mid[len(dst):])
	if why != fits {
		return dst, why
	}
	n := copy(out[len(dst):], out[len(mid):])
	return out[:len(dst)+n], fits
}

// appendRead converts the canonical text of one kind into what a column of another takes.
func appendRead(dst []byte, t *Type, as Kind, text []byte) ([]byte, reason) {
	numeric := t.Kind == Integer || t.Kind == Decimal || t.Kind == Float
	kind := applierv1.ValueKind_VALUE_KIND_STRING
	switch as {
	case Integer, Decimal, Float:
		kind = applierv1.ValueKind_VALUE_KIND_NUMBER
	case Boolean:
		if numeric {
			kind = applierv1.ValueKind_VALUE_KIND_NUMBER
			break
		}
		kind = applierv1.ValueKind_VALUE_KIND_BOOLEAN
		if text[0] == '1' {
			text = []byte("true")
		} else {
			text = []byte("false")
		}
	case Date, Timestamp, Time:
		if numeric {
			return appendEpoch(dst, t, as, text)
		}
		if as == Timestamp && t.Kind == Time {
			return dst, "a timestamp is not a time of day"
		}
	case Binary:
		kind = applierv1.ValueKind_VALUE_KIND_BYTES
	case JSON:
		kind = kindOfJSON(t, text)
	case UUID:
		if t.Kind == Binary {
			kind = applierv1.ValueKind_VALUE_KIND_BYTES
			var raw [16]byte
			text, _ = appendHex(raw[:0], withoutDashes(text))
		}
	}
	return convert(dst, t, kind, text)
}

// kindOfJSON tells what JSON text is to a column. Text columns get it as it is.
func kindOfJSON(t *Type, text []byte) applierv1.ValueKind {
	if t.Kind == Text {
		return applierv1.ValueKind_VALUE_KIND_STRING
	}
	switch text[0] {
	case '{', '[':
		return applierv1.ValueKind_VALUE_KIND_DOCUMENT
	case 't', 'f':
		return applierv1.ValueKind_VALUE_KIND_BOOLEAN
	case '"', 'n':
		return applierv1.ValueKind_VALUE_KIND_STRING
	}
	return applierv1.ValueKind_VALUE_KIND_NUMBER
}

func withoutDashes(text []byte) []byte {
	out := make([]byte, 0, 32)
	for _, c := range text {
		if c != '-' {
			out = append(out, c)
		}
	}
	return out
}

// appendEpoch writes a date, timestamp or time of day, in canonical text, as a number of the column's unit.
func appendEpoch(dst []byte, t *Type, as Kind, text []byte) ([]byte, reason) {
	if special(text) != "" {
		return convert(dst, t, applierv1.ValueKind_VALUE_KIND_STRING, text)
	}
	second, nanos := instantOf(as, text)
	sign := ""
	if second < 0 {
		sign = "-"
		second = -second
		if nanos > 0 {
			second, nanos = second-1, 1_000_000_000-nanos
		}
	}
	places := 3
	switch t.Rules.Unit {
	case UnitDays:
		if as == Time {
			return dst, notDays
		}
		if second%secondsPerDay != 0 || nanos != 0 {
			return dst, "it has a time of day"
		}
		second /= secondsPerDay
		places = 0
	case UnitSeconds:
		places = 0
	case UnitMicros:
		places = 6
	case UnitNanos:
		places = 9
	}
	var buffer [32]byte
	digits := fmt.Appendf(buffer[:0], "%s%d%09d", sign, second, nanos)
	point := len(digits) - 9 + places
	if places < 9 {
		digits = append(digits[:point+1], digits[point:]...)
		digits[point] = '.'
	}
	return convert(dst, t, applierv1.ValueKind_VALUE_KIND_NUMBER, digits)
}

// instantOf reads canonical text: seconds since 1970 or since midnight in UTC, and nanoseconds.
func instantOf(as Kind, text []byte) (second int64, nanos int) {
	if as != Time {
		year, month, day, rest, _ := cutDate(text)
		second = unixDay(year, month, day)
		if len(rest) == 0 {
			return second, 0
		}
		text = rest[1:]
	}
	seconds, f, rest, _ := cutClock(text)
	offset, _, _ := parseZone(rest)
	second += int64(seconds - offset)
	if as == Time {
		second = (second + 2*secondsPerDay) % secondsPerDay
	}
	return second, f.nanos
}
