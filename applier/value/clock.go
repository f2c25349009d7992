package value

// The readers of ISO 8601 text. Each takes its part off the front.

// fraction is what follows the seconds: nanoseconds, and whether digits other than 0 remain behind them.
type fraction struct {
	nanos int
	rest  bool
}

// twoDigits reads a two-digit number at the front of b.
func twoDigits(b []byte) (int, bool) {
	if len(b) < 2 || !digit(b[0]) || !digit(b[1]) {
		return 0, false
	}
	return int(b[0]-'0')*10 + int(b[1]-'0'), true
}

// cutDate reads YYYY-MM-DD, years 1 to 9999, days that exist.
func cutDate(b []byte) (year, month, day int, rest []byte, ok bool) {
	if len(b) < 10 || b[4] != '-' || b[7] != '-' {
		return 0, 0, 0, nil, false
	}
	century, ok1 := twoDigits(b)
	year, ok2 := twoDigits(b[2:])
	month, ok3 := twoDigits(b[5:])
	day, ok4 := twoDigits(b[8:])
	year += century * 100
	if !ok1 || !ok2 || !ok3 || !ok4 || year == 0 || month == 0 || month > 12 || day == 0 || day > daysIn(year, month) {
		return 0, 0, 0, nil, false
	}
	return year, month, day, b[10:], true
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// cutClock reads HH:MM[:SS[.f]], where 24:00:00 is the end of the day and second 60 a leap second, which counts into the
// next minute. The fraction may follow a comma.
func cutClock(b []byte) (seconds int, f fraction, rest []byte, ok bool) {
	hour, ok1 := twoDigits(b)
	if !ok1 || len(b) < 5 || b[2] != ':' {
		return 0, f, nil, false
	}
	minute, ok2 := twoDigits(b[3:])
	second, ok3 := 0, true
	b = b[5:]
	if len(b) > 0 && b[0] == ':' {
		if second, ok3 = twoDigits(b[1:]); ok3 {
			b = b[3:]
			f, b, ok3 = cutFraction(b)
		}
	}
	if !ok2 || !ok3 || hour > 24 || minute > 59 || second > 60 || second == 60 && (f.nanos != 0 || f.rest) {
		return 0, f, nil, false
	}
	seconds = hour*3600 + minute*60 + second
	if hour == 24 && (seconds > 86400 || f.nanos != 0 || f.rest) {
		return 0, f, nil, false
	}
	return seconds, f, b, true
}

// cutFraction reads a point or comma and digits, or nothing.
func cutFraction(b []byte) (f fraction, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '.' && b[0] != ',' {
		return f, b, true
	}
	b = b[1:]
	i := 0
	for ; i < len(b) && digit(b[i]); i++ {
		if i < 9 {
			f.nanos = f.nanos*10 + int(b[i]-'0')
		} else if b[i] != '0' {
			f.rest = true
		}
	}
	for j := i; j < 9; j++ {
		f.nanos *= 10
	}
	return f, b[i:], i > 0
}

// parseZone reads all of b as an offset from UTC in seconds: nothing, Z, UTC, GMT, ±HH, ±HHMM or ±HH:MM, after blanks.
func parseZone(b []byte) (offset int, zoned, ok bool) {
	b = trim(b)
	switch {
	case len(b) == 0:
		return 0, false, true
	case equalFold(b, "z"), equalFold(b, "utc"), equalFold(b, "gmt"):
		return 0, true, true
	case b[0] != '+' && b[0] != '-':
		return 0, false, false
	}
	negative := b[0] == '-'
	b = b[1:]
	hour, ok1 := twoDigits(b)
	minute, ok2 := 0, true
	switch {
	case len(b) == 4:
		minute, ok2 = twoDigits(b[2:])
	case len(b) == 5 && b[2] == ':':
		minute, ok2 = twoDigits(b[3:])
	case len(b) != 2:
		ok2 = false
	}
	if !ok1 || !ok2 || hour > 15 || minute > 59 {
		return 0, false, false
	}
	offset = hour*3600 + minute*60
	if negative {
		offset = -offset
	}
	return offset, true, true
}

func appendTwo(dst []byte, n int) []byte {
	return append(dst, '0'+byte(n/10), '0'+byte(n%10))
}

// appendDay writes YYYY-MM-DD.
func appendDay(dst []byte, year, month, day int) []byte {
	dst = appendTwo(dst, year/100)
	dst = appendTwo(dst, year%100)
	dst = append(dst, '-')
	dst = appendTwo(dst, month)
	dst = append(dst, '-')
	return appendTwo(dst, day)
}

// appendClock writes HH:MM:SS and as much of the fraction as is not 0.
func appendClock(dst []byte, seconds, nanos int) []byte {
	dst = appendTwo(dst, seconds/3600)
	dst = append(dst, ':')
	dst = appendTwo(dst, seconds/60%60)
	dst = append(dst, ':')
	dst = appendTwo(dst, seconds%60)
	if nanos == 0 {
		return dst
	}
	dst = append(dst, '.')
	for unit := 100_000_000; nanos > 0; unit /= 10 {
		dst = append(dst, '0'+byte(nanos/unit))
		nanos %= unit
	}
	return dst
}

// appendOffset writes ±HH:MM.
func appendOffset(dst []byte, offset int) []byte {
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	dst = append(dst, sign)
	dst = appendTwo(dst, offset/3600)
	dst = append(dst, ':')
	return appendTwo(dst, offset/60%60)
}
