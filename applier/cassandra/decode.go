package cassandra

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/big"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// decode is the canonical text (package value) of bytes; what is made of other types is JSON. Bytes that the type cannot
// be are shown as they are.
func (t *cqlType) decode(b wire) []byte {
	if b == nil {
		return nil
	}
	if t.compound() {
		if text, ok := t.parts(b); ok {
			return text
		}
		return []byte("0x" + hex.EncodeToString(b))
	}
	if n := lengths[t.name]; n > 0 && len(b) != n || t.name == "decimal" && len(b) < 4 {
		if len(b) == 0 {
			return nil // an empty value, as some drivers write, is no value
		}
		return []byte("0x" + hex.EncodeToString(b))
	}
	return t.text(b)
}

// lengths are those that the bytes of a type have.
var lengths = map[string]int{
	"tinyint": 1, "smallint": 2, "int": 4, "bigint": 8, "float": 4, "double": 8, "boolean": 1, "date": 4, "time": 8, "timestamp": 8,
	"uuid": 16, "timeuuid": 16,
}

func (t *cqlType) text(b wire) []byte {
	switch t.name {
	case "tinyint":
		return strconv.AppendInt(nil, int64(int8(b[0])), 10)
	case "smallint":
		return strconv.AppendInt(nil, int64(int16(binary.BigEndian.Uint16(b))), 10)
	case "int":
		return strconv.AppendInt(nil, int64(int32(binary.BigEndian.Uint32(b))), 10)
	case "bigint":
		return strconv.AppendInt(nil, int64(binary.BigEndian.Uint64(b)), 10)
	case "float":
		return number(float64(math.Float32frombits(binary.BigEndian.Uint32(b))), 32)
	case "double":
		return number(math.Float64frombits(binary.BigEndian.Uint64(b)), 64)
	case "boolean":
		if b[0] != 0 {
			return []byte("1")
		}
		return []byte("0")
	case "varint":
		return []byte(whole(b).String())
	case "decimal":
		return decimalText(whole(b[4:]), int(int32(binary.BigEndian.Uint32(b))))
	case "date":
		days := int64(binary.BigEndian.Uint32(b)) - 1<<31
		return time.Unix(days*86400, 0).UTC().AppendFormat(nil, time.DateOnly)
	case "time":
		return time.Unix(0, int64(binary.BigEndian.Uint64(b))).UTC().AppendFormat(nil, "15:04:05.999999999")
	case "timestamp":
		return time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC().AppendFormat(nil, "2006-01-02 15:04:05.999-07:00")
	case "uuid", "timeuuid":
		h := hex.EncodeToString(b)
		return []byte(h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:])
	case "inet":
		if address, ok := netip.AddrFromSlice(b); ok {
			return []byte(address.String())
		}
	case "duration":
		if text, ok := durationText(b); ok {
			return []byte(text)
		}
	default:
		return b // ascii, text, varchar, blob
	}
	return []byte("0x" + hex.EncodeToString(b))
}

// number is a float as package value writes it.
func number(f float64, bits int) []byte {
	switch {
	case math.IsInf(f, 1):
		return []byte("Infinity")
	case math.IsInf(f, -1):
		return []byte("-Infinity")
	}
	return strconv.AppendFloat(nil, f, 'g', -1, bits)
}

// whole reads a varint.
func whole(b []byte) *big.Int {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

// decimalText is unscaled × 10^-scale without zeros that say nothing.
func decimalText(unscaled *big.Int, scale int) []byte {
	text := unscaled.String()
	sign := ""
	if text[0] == '-' {
		sign, text = "-", text[1:]
	}
	switch {
	case unscaled.Sign() == 0:
		return []byte("0")
	case scale <= 0 && -scale < 1000:
		return []byte(sign + text + strings.Repeat("0", -scale))
	case scale > 0 && scale < 1000:
		for len(text) <= scale {
			text = "0" + text
		}
		text = text[:len(text)-scale] + "." + text[len(text)-scale:]
		return []byte(sign + strings.TrimSuffix(strings.TrimRight(text, "0"), "."))
	}
	return []byte(sign + text + "e" + strconv.Itoa(-scale))
}

// durationText writes a duration as CQL does.
func durationText(b wire) (string, bool) {
	var parts [3]int64
	for i := range parts {
		n, size := unsignedVint(b)
		if size == 0 {
			return "", false
		}
		parts[i] = int64(n>>1) ^ -int64(n&1)
		b = b[size:]
	}
	out := ""
	negative := parts[0] < 0 || parts[1] < 0 || parts[2] < 0
	for i, name := range []string{"mo", "d", "ns"} {
		n := uint64(parts[i])
		if negative {
			n = -n
		}
		if n != 0 {
			out += strconv.FormatUint(n, 10) + name
		}
	}
	switch {
	case out == "":
		return "0s", true
	case negative:
		return "-" + out, true
	}
	return out, true
}

// unsignedVint reads what appendUnsignedVint wrote; size 0 says that there is nothing such.
func unsignedVint(b wire) (n uint64, size int) {
	if len(b) == 0 {
		return 0, 0
	}
	extra := 0
	for extra < 8 && b[0]&(0x80>>extra) != 0 {
		extra++
	}
	if len(b) <= extra {
		return 0, 0
	}
	n = uint64(b[0]) & (0xff >> extra)
	for _, c := range b[1 : extra+1] {
		n = n<<8 | uint64(c)
	}
	return n, extra + 1
}

// parts is a value made of others, as JSON.
func (t *cqlType) parts(b wire) ([]byte, bool) {
	count := len(t.elems)
	switch t.name {
	case list, set, dict:
		if len(b) < 4 {
			return nil, false
		}
		count = int(int32(binary.BigEndian.Uint32(b)))
		if t.name == dict {
			count *= 2
		}
		b = b[4:]
	case vector:
		count = t.size
	}
	var items []json.RawMessage
	var names []string
	for i := range count {
		if len(b) == 0 && (t.name == udt || t.name == tuple) {
			break // fields that were added later
		}
		elem := t.elems[i%len(t.elems)]
		part, rest, ok := t.cut(b, elem)
		if !ok {
			return nil, false
		}
		b = rest
		switch {
		case t.name == dict && i%2 == 0:
			names = append(names, string(elem.decode(part)))
			continue
		case t.name == udt:
			names = append(names, t.fields[i])
		}
		items = append(items, elem.json(part))
	}
	var out any = items
	if items == nil {
		out = []json.RawMessage{}
	}
	if t.name == dict || t.name == udt {
		object := map[string]json.RawMessage{}
		for i := range items {
			object[names[i]] = items[i]
		}
		out = object
	}
	text, err := json.Marshal(out)
	return text, err == nil
}

// cut takes one part off the front.
func (t *cqlType) cut(b wire, elem *cqlType) (part, rest wire, ok bool) {
	size := 0
	switch {
	case t.name == vector && elem.isFixed():
		size = elem.width()
	case t.name == vector:
		n, used := unsignedVint(b)
		if used == 0 || n > uint64(len(b)) {
			return nil, nil, false
		}
		size, b = int(n), b[used:]
	case len(b) < 4:
		return nil, nil, false
	default:
		n := int32(binary.BigEndian.Uint32(b))
		b = b[4:]
		if n < 0 {
			return nil, b, true
		}
		size = int(n)
	}
	if size > len(b) {
		return nil, nil, false
	}
	return b[:size:size], b[size:], true
}

// width is the length of a value that is fixed.
func (t *cqlType) width() int {
	if t.name == vector {
		return t.size * t.elems[0].width()
	}
	return lengths[t.name]
}

// json is a part as JSON.
func (t *cqlType) json(b wire) json.RawMessage {
	text := t.decode(b)
	switch {
	case text == nil:
		return json.RawMessage("null")
	case t.compound() && json.Valid(text):
		return text
	case t.name == "boolean":
		return json.RawMessage(strconv.FormatBool(text[0] == '1'))
	case t.name == "blob":
		text = []byte("0x" + hex.EncodeToString(b))
	case scalars[t.name].Kind != 0 && numbers[t.name] && json.Valid(text):
		return text
	}
	quoted, err := json.Marshal(strings.ToValidUTF8(string(text), "\uFFFD"))
	if err != nil {
		return json.RawMessage("null") // a string always encodes
	}
	return quoted
}

var numbers = map[string]bool{
	"tinyint": true, "smallint": true, "int": true, "bigint": true, "varint": true, "decimal": true, "float": true, "double": true,
}
