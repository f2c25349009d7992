package cassandra

import (
	"math"
	"math/big"
	"math/bits"
	"strings"
)

// span is a duration, whose months and days have no fixed length.
type span struct {
	months, days, nanos int64
}

const notDuration reason = "it is not a duration such as 1y2mo3d4h5m6s or P1Y2M3DT4H5M6S"

// unit is what one of a unit adds.
type unit struct {
	name string
	of   span
}

// The units of CQL (longest names first) and of ISO 8601, before and behind its T.
var (
	cqlUnits = []unit{
		{"mo", span{months: 1}},
		{"ms", span{nanos: 1e6}},
		{"us", span{nanos: 1e3}},
		{"µs", span{nanos: 1e3}},
		{"ns", span{nanos: 1}},
		{"y", span{months: 12}},
		{"w", span{days: 7}},
		{"d", span{days: 1}},
		{"h", span{nanos: 3600e9}},
		{"m", span{nanos: 60e9}},
		{"s", span{nanos: 1e9}},
	}
	dateUnits  = []unit{{"y", span{months: 12}}, {"m", span{months: 1}}, {"w", span{days: 7}}, {"d", span{days: 1}}}
	clockUnits = []unit{{"h", span{nanos: 3600e9}}, {"m", span{nanos: 60e9}}, {"s", span{nanos: 1e9}}}
)

// encodeDuration takes the notations of CQL and of ISO 8601; the sign stands in front and is for all of it.
func encodeDuration(text string) (wire, reason) {
	text = strings.ToLower(strings.TrimSpace(text))
	negative := strings.HasPrefix(text, "-")
	text = strings.TrimPrefix(text, "-")
	var d span
	ok := text != ""
	if rest, iso := strings.CutPrefix(text, "p"); iso {
		date, clock, has := strings.Cut(rest, "t")
		ok = (date != "" || clock != "") && (!has || clock != "") && d.read(date, dateUnits) && d.read(clock, clockUnits)
	} else {
		ok = ok && d.read(text, cqlUnits)
	}
	if !ok || d.months > math.MaxInt32 || d.days > math.MaxInt32 {
		return nil, notDuration
	}
	if negative {
		d = span{-d.months, -d.days, -d.nanos}
	}
	out := appendVint(nil, d.months)
	out = appendVint(out, d.days)
	return appendVint(out, d.nanos), fits
}

// read adds up numbers with their units, up to the end of the text. Only seconds have a fraction.
func (d *span) read(text string, units []unit) bool {
	for text != "" {
		n := strings.IndexFunc(text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		if n <= 0 {
			return false
		}
		amount := text[:n]
		text = text[n:]
		found := false
		for _, u := range units {
			if strings.HasPrefix(text, u.name) {
				text = text[len(u.name):]
				found = d.add(amount, u)
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

func (d *span) add(amount string, u unit) bool {
	r, ok := new(big.Rat).SetString(amount)
	if !ok || strings.HasPrefix(amount, ".") || strings.HasSuffix(amount, ".") || !r.IsInt() && u.name != "s" {
		return false
	}
	for _, part := range []struct {
		into *int64
		per  int64
	}{{&d.months, u.of.months}, {&d.days, u.of.days}, {&d.nanos, u.of.nanos}} {
		total := new(big.Rat).Mul(r, big.NewRat(part.per, 1))
		if !total.IsInt() || !total.Num().IsInt64() {
			return false
		}
		sum := new(big.Int).Add(total.Num(), big.NewInt(*part.into))
		if !sum.IsInt64() {
			return false
		}
		*part.into = sum.Int64()
	}
	return true
}

// appendVint appends a whole number in as few bytes as it needs, small negative ones among them.
func appendVint(dst wire, n int64) wire { return appendUnsignedVint(dst, uint64(n>>63)^uint64(n)<<1) }

// appendUnsignedVint appends a number whose first byte tells, by its leading ones, how many follow.
func appendUnsignedVint(dst wire, n uint64) wire {
	extra := (bits.Len64(n|1) - 1) / 7
	if extra >= 8 {
		extra = 8
	}
	for i := extra; i >= 0; i-- {
		b := byte(0)
		if 8*i < 64 {
			b = byte(n >> (8 * i))
		}
		if i == extra {
			b |= ^byte(0xff >> extra)
		}
		dst = append(dst, b)
	}
	return dst
}
