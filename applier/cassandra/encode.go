package cassandra

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/big"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"slipstream/applier/value"
)

// reason says in a few words why a value does not fit; empty when it does.
type reason string

const (
	fits      reason = ""
	notASCII  reason = "it is not ASCII"
	notInet   reason = "it is not an IP address"
	notVarint reason = "it is not a whole number"
)

// encode makes the bytes of a value in canonical text (package value). Rules are the column's own, which hold for what
// is in it as well.
func (t *cqlType) encode(text []byte, rules value.Rules) (wire, reason) {
	if t.compound() {
		n, why := parseLiteral(text)
		if why != fits {
			return nil, why
		}
		return t.encodeNode(n, rules)
	}
	return t.scalar(text)
}

// scalar makes the bytes of one value. That the text is canonical is known; here is what only this database minds.
func (t *cqlType) scalar(text []byte) (wire, reason) {
	s := string(text)
	switch t.name {
	case "ascii":
		for _, c := range text {
			if c >= 0x80 {
				return nil, notASCII
			}
		}
		return text, fits
	case "text", "varchar", "blob":
		return text, fits
	case "tinyint", "smallint", "int", "bigint":
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, notVarint
		}
		b := binary.BigEndian.AppendUint64(nil, uint64(n))
		return b[8-widths[t.name]:], fits
	case "float":
		f, err := strconv.ParseFloat(s, 32)
		if err != nil {
			return nil, "it is not a number"
		}
		return binary.BigEndian.AppendUint32(nil, math.Float32bits(float32(f))), fits
	case "double":
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil, "it is not a number"
		}
		return binary.BigEndian.AppendUint64(nil, math.Float64bits(f)), fits
	case "boolean":
		return wire{s[0] - '0'}, fits
	case "varint", "decimal":
		return t.number(s)
	case "date", "time", "timestamp":
		return t.moment(s)
	case "uuid", "timeuuid":
		b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
		if err != nil || len(b) != 16 {
			return nil, "it is not a UUID"
		}
		if t.name == "timeuuid" && b[6]>>4 != 1 {
			return nil, "it is not a UUID of version 1, which has the time in it"
		}
		return b, fits
	case "inet":
		return encodeInet(s)
	case "duration":
		return encodeDuration(s)
	}
	return nil, reason(errType.Error())
}

var widths = map[string]int{"tinyint": 1, "smallint": 2, "int": 4, "bigint": 8}

// number makes a varint, or a decimal: its scale and a varint without a point.
func (t *cqlType) number(text string) (wire, reason) {
	unscaled, scale, ok := digits(text)
	if !ok {
		return nil, "it is not a number"
	}
	if t.name == "decimal" {
		return append(binary.BigEndian.AppendUint32(nil, uint32(int32(scale))), twosComplement(unscaled)...), fits
	}
	switch {
	case scale > 0 || -scale > mostDigits:
		return nil, notVarint
	case scale < 0:
		unscaled.Mul(unscaled, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-scale)), nil))
	}
	return twosComplement(unscaled), fits
}

// digits reads a decimal number: unscaled × 10^-scale.
func digits(text string) (unscaled *big.Int, scale int, ok bool) {
	mantissa, exponent, has := strings.Cut(strings.ToLower(text), "e")
	exp := 0
	if has {
		var err error
		if exp, err = strconv.Atoi(exponent); err != nil {
			return nil, 0, false
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	unscaled, ok = new(big.Int).SetString(whole+fraction, 10)
	scale = len(fraction) - exp
	return unscaled, scale, ok && scale >= math.MinInt32 && scale <= math.MaxInt32
}

// twosComplement is the shortest form of a whole number, as Java's BigInteger has it.
func twosComplement(n *big.Int) []byte {
	if n.Sign() >= 0 {
		b := n.Bytes()
		if len(b) == 0 || b[0]&0x80 != 0 {
			return append([]byte{0}, b...)
		}
		return b
	}
	size := uint(new(big.Int).Not(n).BitLen()/8 + 1)
	b := new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), 8*size)).Bytes()
	for uint(len(b)) < size {
		b = append([]byte{0}, b...)
	}
	return b
}

// moment makes a date (days, 1970 in the middle of 32 bits), a time (nanoseconds since midnight) or a timestamp
// (milliseconds since 1970).
func (t *cqlType) moment(text string) (wire, reason) {
	switch t.name {
	case "date":
		day, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return nil, "it is not a date"
		}
		return binary.BigEndian.AppendUint32(nil, uint32(day.Unix()/86400+1<<31)), fits
	case "time":
		at, err := time.Parse("15:04:05.999999999", text)
		if err != nil {
			return nil, "it is not a time of day"
		}
		return binary.BigEndian.AppendUint64(nil, uint64(at.Sub(at.Truncate(24*time.Hour)))), fits
	}
	at, err := time.Parse("2006-01-02 15:04:05.999999999Z07:00", text)
	if err != nil {
		return nil, "it is not a timestamp"
	}
	return binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli())), fits
}

// encodeInet takes an address, also in the form that Java shows (spec 10.2): a name or nothing, a slash, the address.
func encodeInet(text string) (wire, reason) {
	text = strings.TrimSpace(text)
	address, err := netip.ParseAddr(text[strings.LastIndexByte(text, '/')+1:])
	if err != nil || address.Zone() != "" {
		return nil, notInet
	}
	return address.Unmap().AsSlice(), fits
}

// encodeNode makes the bytes of a value inside of another.
func (t *cqlType) encodeNode(n *node, rules value.Rules) (wire, reason) {
	if n.kind == nullNode {
		return nil, fits
	}
	if !t.compound() {
		leaf := t.valueType("")
		rules.As, rules.NUL = value.Other, value.NULKeep
		leaf.Rules = rules
		text, null, err := value.Convert([]byte{}, &leaf, n.valueKind(), n.text)
		if err != nil {
			return nil, because(t, err)
		}
		if null {
			return nil, fits
		}
		return t.scalar(text)
	}
	if n.kind == textNode { // a collection that came as text inside of another
		inner, why := parseLiteral(n.text)
		if why != fits {
			return nil, why
		}
		if n = inner; n.kind == textNode {
			return nil, reason("it is not a " + t.name)
		}
	}
	switch t.name {
	case list, set:
		return t.encodeList(n, rules)
	case dict:
		return t.encodeMap(n, rules)
	case vector:
		return t.encodeVector(n, rules)
	}
	return t.encodeFields(n, rules)
}

// encodeList makes a list or a set. CQL writes a set in braces, JSON has lists alone.
func (t *cqlType) encodeList(n *node, rules value.Rules) (wire, reason) {
	if n.kind != listNode && (n.kind != setNode || t.name != set) && !n.empty() {
		return nil, reason("it is not a " + t.name)
	}
	out := binary.BigEndian.AppendUint32(nil, uint32(len(n.items)))
	seen := map[string]bool{}
	for _, item := range n.items {
		b, why := t.member(0, item, rules)
		if why != fits {
			return nil, why
		}
		if t.name == set {
			if seen[string(b)] {
				return nil, "a member of the set stands in it twice"
			}
			seen[string(b)] = true
		}
		out = appendSized(out, b)
	}
	return out, fits
}

// member makes a value that may not be null.
func (t *cqlType) member(elem int, n *node, rules value.Rules) (wire, reason) {
	b, why := t.elems[elem].encodeNode(n, rules)
	if why == fits && b == nil {
		return nil, reason("a " + t.name + " holds no null")
	}
	return b, why
}

// encodeMap makes a map of an object, or of a list of pairs, which is how keys that are no texts come.
func (t *cqlType) encodeMap(n *node, rules value.Rules) (wire, reason) {
	var pairs [][2]*node
	switch {
	case n.kind == mapNode:
		for i := range n.items {
			pairs = append(pairs, [2]*node{n.names[i], n.items[i]})
		}
	case n.kind == listNode:
		for _, item := range n.items {
			if item.kind != listNode || len(item.items) != 2 {
				return nil, "it is not a map"
			}
			pairs = append(pairs, [2]*node{item.items[0], item.items[1]})
		}
	case !n.empty():
		return nil, "it is not a map"
	}
	out := binary.BigEndian.AppendUint32(nil, uint32(len(pairs)))
	seen := map[string]bool{}
	for _, p := range pairs {
		for i := range p {
			b, why := t.member(i, p[i], rules)
			if why != fits {
				return nil, why
			}
			if i == 0 {
				if seen[string(b)] {
					return nil, "a key of the map stands in it twice"
				}
				seen[string(b)] = true
			}
			out = appendSized(out, b)
		}
	}
	return out, fits
}

// encodeFields makes a tuple of a list, or a user-defined type of an object. What is missing is null.
func (t *cqlType) encodeFields(n *node, rules value.Rules) (wire, reason) {
	values := make([]*node, len(t.elems))
	switch {
	case t.name == tuple && (n.kind == listNode || n.kind == tupleNode):
		if len(n.items) > len(values) {
			return nil, "the tuple has fewer fields"
		}
		copy(values, n.items)
	case t.name == udt && n.kind == mapNode:
		for i, name := range n.names {
			at := t.field(string(name.text))
			if at < 0 {
				return nil, reason("the type has no field " + string(name.text))
			}
			values[at] = n.items[i]
		}
	case t.name == udt && n.empty():
	case t.name == udt:
		return nil, "it is not an object"
	default:
		return nil, "it is not a tuple"
	}
	var out wire
	for i, v := range values {
		var b wire
		if v != nil {
			var why reason
			if b, why = t.elems[i].encodeNode(v, rules); why != fits {
				return nil, why
			}
		}
		out = appendSized(out, b)
	}
	return out, fits
}

// field finds a field of a user-defined type: the same spelling first, else without case.
func (t *cqlType) field(name string) int {
	found := -1
	for i, f := range t.fields {
		if f == name {
			return i
		}
		if strings.EqualFold(f, name) {
			found = i
		}
	}
	return found
}

// fixed are the types whose values follow each other in a vector without a length.
var fixed = map[string]bool{
	"bigint": true, "boolean": true, "timestamp": true, "double": true, "float": true, "int": true, "timeuuid": true, "uuid": true,
}

func (t *cqlType) isFixed() bool { return fixed[t.name] || t.name == vector && t.elems[0].isFixed() }

func (t *cqlType) encodeVector(n *node, rules value.Rules) (wire, reason) {
	if n.kind != listNode {
		return nil, "it is not a vector"
	}
	if len(n.items) != t.size {
		return nil, reason("the vector has " + strconv.Itoa(t.size) + " members")
	}
	out := wire{}
	for _, item := range n.items {
		b, why := t.member(0, item, rules)
		if why != fits {
			return nil, why
		}
		if !t.elems[0].isFixed() {
			out = appendUnsignedVint(out, uint64(len(b)))
		}
		out = append(out, b...)
	}
	return out, fits
}

// appendSized appends a value with its length before it; null has length -1.
func appendSized(dst, b wire) wire {
	if b == nil {
		return append(dst, 0xff, 0xff, 0xff, 0xff)
	}
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(b))), b...)
}

// because is the reason of a conversion that failed inside of a value.
func because(t *cqlType, err error) reason {
	return reason("in it, " + string(bytes.TrimSpace([]byte(err.Error()))))
}
