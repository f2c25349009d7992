package mysql

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strconv"

	"slipstream/applier/value"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// speller spells the values of one column.
type speller struct {
	form    form
	typ     value.Type
	length  int      // of a padded column
	members []string // of an enum or set
	checked bool     // a shape that is none is an error of the function, not NULL
}

func (c *column) speller(typ value.Type, on *server) speller {
	s := speller{form: c.formOf(), typ: typ, checked: !on.maria}
	switch s.form {
	case asPadded:
		s.length = c.characters
	case asMember, asMembers:
		s.members = c.members()
	}
	return s
}

// append spells a value; nil is NULL. What the server would take for something else than it says does not fit.
func (s *speller) append(dst, text []byte) ([]byte, error) {
	if text == nil {
		return append(dst, "NULL"...), nil
	}
	switch s.form {
	case asNumber:
		return append(dst, text...), nil
	case asDouble:
		dst = append(dst, text...)
		if bytes.IndexByte(text, 'e') < 0 {
			dst = append(dst, 'e', '0')
		}
		return dst, nil
	case asFloat:
		f, err := strconv.ParseFloat(string(text), 32)
		if err != nil {
			return dst, s.misfit(text, "it is out of range")
		}
		return strconv.AppendFloat(dst, f, 'e', -1, 64), nil
	case asBytes, asPadded:
		dst = hex.AppendEncode(append(dst, 'x', '\''), text)
		for range s.length - len(text) {
			dst = append(dst, '0', '0')
		}
		return append(dst, '\''), nil
	case asInstant:
		return appendQuoted(dst, bytes.TrimSuffix(text, []byte("+00:00"))), nil
	case asYear:
		if n, err := strconv.Atoi(string(text)); err != nil || n < 1901 || n > 2155 {
			return dst, s.misfit(text, "it is not a year from 1901 to 2155")
		}
		return append(dst, text...), nil
	case asMember, asMembers:
		if digits := bytes.Trim(text, " "); len(bytes.Trim(digits, "0123456789")) == 0 && len(digits) > 0 && !slices.Contains(s.members, string(text)) {
			return dst, s.misfit(text, "the type has no such member")
		}
	case asGeometry:
		function := "ST_GeomFromText("
		if first := bytes.TrimLeft(text, " \t\r\n"); len(first) > 0 && first[0] == '{' {
			function = "ST_GeomFromGeoJSON("
		}
		if s.checked {
			return append(appendQuoted(append(dst, function...), text), ')'), nil
		}
		// The text itself, which is no shape, in place of NULL.
		dst = append(appendQuoted(append(append(dst, "COALESCE("...), function...), text), "), "...)
		return append(appendQuoted(dst, text), ')'), nil
	}
	return appendQuoted(dst, text), nil
}

// appendQuoted makes a string constant for sessions of ours, in which a backslash is a backslash.
func appendQuoted(dst, text []byte) []byte {
	dst = append(dst, '\'')
	for {
		i := bytes.IndexByte(text, '\'')
		if i < 0 {
			break
		}
		dst = append(append(dst, text[:i+1]...), '\'')
		text = text[i+1:]
	}
	return append(append(dst, text...), '\'')
}

// misfit rejects a value as package value would.
func (s *speller) misfit(text []byte, why string) error {
	e := &value.Error{Value: string(text), Type: s.typ.Name, Column: s.typ.Column, Reason: why}
	return fault.New(flowv1.FaultClass_FAULT_CLASS_DATA, e)
}
