package value

import "time"

const (
	notDate      reason = "it is neither an ISO 8601 date nor an epoch number"
	notTimestamp reason = "it is neither ISO 8601 nor an epoch number"
	notTime      reason = "it is neither HH:MM:SS nor a number since midnight"
	notDays      reason = "a time of day counts no days"
	tooPrecise   reason = "it has more fraction digits than the column"
)

// The first and the last second that a canonical text can say: years 1 to 9999.
const (
	firstSecond = -62135596800
	lastSecond  = 253402300799
)

const secondsPerDay = 86400

// appendDate takes ISO 8601 dates, the date part of timestamps as it is written, and numbers: days below 100,000, else
// an epoch in UTC.
func appendDate(dst []byte, t *Type, text []byte) ([]byte, reason) {
	if n, ok := parseNumber(text); ok {
		unit := t.Rules.Unit
		if unit == UnitDays || unit == UnitAuto && n.exp <= 5 {
			unit = UnitDays
		}
		second, _, why := epoch(n, unit)
		if why != fits {
			return dst, why
		}
		return appendUnixDay(dst, second)
	}
	if infinite := special(text); t.Special && infinite != "" && infinite != nan {
		return append(dst, infinite...), fits
	}
	year, month, day, rest, ok := cutDate(text)
	if !ok {
		return dst, notDate
	}
	if len(rest) > 0 {
		if _, _, _, ok := cutTimeOfDay(rest); !ok {
			return dst, notDate
		}
	}
	return appendDay(dst, year, month, day), fits
}

// unixDay is the second since 1970 in which a day begins.
func unixDay(year, month, day int) int64 {
	return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Unix()
}

func appendUnixDay(dst []byte, second int64) ([]byte, reason) {
	if second < firstSecond || second > lastSecond {
		return dst, outOfRange
	}
	year, month, day := time.Unix(second, 0).UTC().Date()
	return appendDay(dst, year, int(month), day), fits
}

// cutTimeOfDay reads what follows a date: T or a blank, a time, and maybe an offset, up to the end of the text.
func cutTimeOfDay(b []byte) (seconds int, f fraction, offset int, ok bool) {
	if b[0] != 'T' && b[0] != 't' && b[0] != ' ' {
		return 0, f, 0, false
	}
	seconds, f, b, ok = cutClock(b[1:])
	if !ok {
		return 0, f, 0, false
	}
	offset, _, ok = parseZone(b)
	return seconds, f, offset, ok
}

// appendTimestamp takes ISO 8601 text and epoch numbers. Text without an offset is UTC; the canonical text is UTC.
func appendTimestamp(dst []byte, t *Type, text []byte) ([]byte, reason) {
	if n, ok := parseNumber(text); ok {
		second, f, why := epoch(n, t.Rules.Unit)
		if why != fits {
			return dst, why
		}
		return appendInstant(dst, t, second, f)
	}
	if infinite := special(text); t.Special && infinite != "" && infinite != nan {
		return append(dst, infinite...), fits
	}
	year, month, day, rest, ok := cutDate(text)
	if !ok {
		return dst, notTimestamp
	}
	var seconds, offset int
	var f fraction
	if len(rest) > 0 {
		if seconds, f, offset, ok = cutTimeOfDay(rest); !ok {
			return dst, notTimestamp
		}
	}
	if offset != 0 || seconds >= secondsPerDay || !f.fitsIn(t.Fraction) {
		// Another day may begin: let the calendar say.
		return appendInstant(dst, t, unixDay(year, month, day)+int64(seconds-offset), f)
	}
	dst = appendDay(dst, year, month, day)
	dst = append(dst, ' ')
	return appendUTC(appendClock(dst, seconds, f.nanos), t), fits
}

func appendUTC(dst []byte, t *Type) []byte {
	if t.Zoned {
		return append(dst, "+00:00"...)
	}
	return dst
}

// appendInstant writes seconds since 1970 and a fraction.
func appendInstant(dst []byte, t *Type, second int64, f fraction) ([]byte, reason) {
	nanos, carry, why := f.fit(t)
	if why != fits {
		return dst, why
	}
	second += carry
	if second < firstSecond || second > lastSecond {
		return dst, outOfRange
	}
	at := time.Unix(second, 0).UTC()
	year, month, day := at.Date()
	dst = appendDay(dst, year, int(month), day)
	dst = append(dst, ' ')
	seconds := at.Hour()*3600 + at.Minute()*60 + at.Second()
	return appendUTC(appendClock(dst, seconds, nanos), t), fits
}

// fitsIn tells whether a fraction has no more digits than a column keeps.
func (f fraction) fitsIn(digits int) bool { return !f.rest && f.nanos%grain(digits) == 0 }

// grain is the smallest step of a column with so many fraction digits, in nanoseconds.
func grain(digits int) int {
	step := 1
	for ; digits < 9; digits++ {
		step *= 10
	}
	return step
}

// fit returns the nanoseconds a column keeps of a fraction, and the second that rounding may have filled.
func (f fraction) fit(t *Type) (nanos int, carry int64, why reason) {
	if f.fitsIn(t.Fraction) {
		return f.nanos, 0, fits
	}
	if !t.Rules.Round {
		return 0, 0, tooPrecise
	}
	step := grain(t.Fraction)
	nanos = (f.nanos + step/2) / step * step
	if nanos == int(time.Second) {
		return 0, 1, fits
	}
	return nanos, 0, fits
}

// epoch reads a number as a time since 1970 in UTC. Without a unit its magnitude tells: below 10^11 seconds, 10^14
// milliseconds, 10^17 microseconds, else nanoseconds (spec 10.3). Digits behind the unit are its fraction.
func epoch(n number, unit Unit) (int64, fraction, reason) {
	switch {
	case unit == UnitSeconds || unit == UnitAuto && n.exp <= 11:
	case unit == UnitMillis || unit == UnitAuto && n.exp <= 14:
		n.exp -= 3
	case unit == UnitMicros || unit == UnitAuto && n.exp <= 17:
		n.exp -= 6
	case unit == UnitDays:
		if !n.whole() {
			return 0, fraction{}, hasFraction
		}
		days, _, _, ok := n.integer()
		if !ok || days > lastSecond/secondsPerDay {
			return 0, fraction{}, outOfRange
		}
		return signed(days, n.negative) * secondsPerDay, fraction{}, fits
	default:
		n.exp -= 9
	}
	whole, nanos, rest, ok := n.integer()
	if !ok || whole > lastSecond {
		return 0, fraction{}, outOfRange
	}
	f := fraction{nanos: int(nanos), rest: rest}
	second := signed(whole, n.negative)
	if n.negative && nanos > 0 {
		second--
		f.nanos = int(time.Second) - f.nanos
	}
	return second, f, fits
}

func signed(magnitude uint64, negative bool) int64 {
	if negative {
		return -int64(magnitude)
	}
	return int64(magnitude)
}

// appendTime takes HH:MM[:SS[.f]], with an offset where there is one, and numbers since midnight: below 86,400
// seconds, below 86,400,000 milliseconds, else microseconds (A18). A column without a zone gets the time in UTC.
func appendTime(dst []byte, t *Type, text []byte) ([]byte, reason) {
	var seconds, offset int
	var f fraction
	if n, ok := parseNumber(text); ok {
		var why reason
		if seconds, f, why = sinceMidnight(n, t.Rules.Unit); why != fits {
			return dst, why
		}
	} else {
		var rest []byte
		if seconds, f, rest, ok = cutClock(text); !ok {
			return dst, notTime
		}
		if offset, _, ok = parseZone(rest); !ok {
			return dst, notTime
		}
	}
	nanos, carry, why := f.fit(t)
	if why != fits {
		return dst, why
	}
	seconds += int(carry)
	if !t.Zoned && offset != 0 {
		seconds = (seconds - offset + 2*secondsPerDay) % secondsPerDay
	}
	if seconds > secondsPerDay || seconds == secondsPerDay && nanos > 0 {
		return dst, outOfRange
	}
	dst = appendClock(dst, seconds, nanos)
	if t.Zoned {
		dst = appendOffset(dst, offset)
	}
	return dst, fits
}

func sinceMidnight(n number, unit Unit) (int, fraction, reason) {
	whole, _, _, ok := n.integer()
	if !ok || n.negative {
		return 0, fraction{}, outOfRange
	}
	switch {
	case unit == UnitSeconds || unit == UnitAuto && whole < secondsPerDay:
	case unit == UnitMillis || unit == UnitAuto && whole < secondsPerDay*1000:
		n.exp -= 3
	case unit == UnitNanos:
		n.exp -= 9
	case unit == UnitDays:
		return 0, fraction{}, notDays
	default:
		n.exp -= 6
	}
	whole, nanos, rest, _ := n.integer()
	if whole >= secondsPerDay {
		return 0, fraction{}, outOfRange
	}
	return int(whole), fraction{nanos: int(nanos), rest: rest}, fits
}
