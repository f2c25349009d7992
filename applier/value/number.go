package value

const notNumber reason = "it is not a number"

// number is a decimal number as its text says it: 0.DIGITS × 10^exp, where DIGITS neither begins nor ends with 0.
// Nothing is rounded and nothing is copied.
type number struct {
	negative bool
	digits   []byte // from the first to the last significant digit; may have a point among them
	count    int    // number of digits, the point left out; 0 when the number is zero
	exp      int    // place of the point, counted from before the first digit
}

// exponentLimit bounds what an exponent can say, far beyond what any column takes.
const exponentLimit = 1 << 24

// parseNumber reads decimal and exponent text: an optional sign, digits with at most one point, an optional exponent.
func parseNumber(b []byte) (number, bool) {
	var n number
	i := 0
	if i < len(b) && (b[i] == '-' || b[i] == '+') {
		n.negative = b[i] == '-'
		i++
	}
	mantissa := i
	first, last, point := -1, -1, -1 // where the significant digits begin and end, and the point
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == '.' && point < 0:
			point = i
			continue
		case !digit(c):
		default:
			if c != '0' {
				if first < 0 {
					first = i
				}
				last = i
			}
			continue
		}
		break
	}
	end := i
	digits := end - mantissa
	if point >= 0 {
		digits--
	} else {
		point = end
	}
	if digits == 0 {
		return number{}, false
	}
	exp, ok := parseExponent(b[end:])
	if !ok {
		return number{}, false
	}
	if first < 0 {
		return number{}, true // zero has no sign
	}
	n.digits = b[first : last+1]
	n.count = last + 1 - first
	if first < point {
		n.exp = point - first + exp
		if point < last {
			n.count--
		}
	} else {
		n.exp = point + 1 - first + exp
	}
	return n, true
}

// parseExponent reads what follows the digits: nothing, or e, a sign, digits.
func parseExponent(b []byte) (int, bool) {
	if len(b) == 0 {
		return 0, true
	}
	if b[0] != 'e' && b[0] != 'E' {
		return 0, false
	}
	b = b[1:]
	negative := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative = b[0] == '-'
		b = b[1:]
	}
	if len(b) == 0 {
		return 0, false
	}
	exp := 0
	for _, c := range b {
		if !digit(c) {
			return 0, false
		}
		if exp < exponentLimit {
			exp = exp*10 + int(c-'0')
		}
	}
	if negative {
		exp = -exp
	}
	return exp, true
}

// whole tells whether the number has no fraction.
func (n number) whole() bool { return n.count <= n.exp || n.count == 0 }

// integer returns the digits before the point as an unsigned number, and the nanos among the digits behind it, as a
// count of 10^-9. rest says that digits remain behind those; ok is false where the integer does not fit 64 bits.
func (n number) integer() (whole, nanos uint64, rest, ok bool) {
	if n.exp > 20 {
		return 0, 0, false, false
	}
	place := n.exp // of the next digit: above 0 it stands before the point
	ok = true
	put := func(d uint64) {
		switch {
		case place > 0:
			if whole > (^uint64(0)-d)/10 {
				ok = false
			}
			whole = whole*10 + d
		case place > -9:
			nanos = nanos*10 + d
		case d != 0:
			rest = true
		}
		place--
	}
	if place < -9 {
		return 0, 0, n.count > 0, true
	}
	for _, c := range n.digits {
		if c != '.' {
			put(uint64(c - '0'))
		}
	}
	if n.count == 0 {
		return 0, 0, false, true
	}
	for place > -9 {
		put(0)
	}
	return whole, nanos, rest, ok
}
