package sqlite

import (
	"database/sql/driver"
	"math"
	"strconv"
	"strings"

	"slipstream/applier/value"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// named are declared types that say more than their affinity does. Lengths and the like in parentheses are cut off
// before; SQLite does not keep them, so they bind nobody (https://www.sqlite.org/datatype3.html).
var named = map[string]value.Type{
	"BOOLEAN": {Kind: value.Boolean}, "BOOL": {Kind: value.Boolean}, "BIT": {Kind: value.Boolean},
	"DATE":      {Kind: value.Date},
	"DATETIME":  {Kind: value.Timestamp, Fraction: 9},
	"TIMESTAMP": {Kind: value.Timestamp, Fraction: 9}, "TIMESTAMP WITHOUT TIME ZONE": {Kind: value.Timestamp, Fraction: 9},
	"TIMESTAMPTZ":              {Kind: value.Timestamp, Fraction: 9, Zoned: true},
	"TIMESTAMP WITH TIME ZONE": {Kind: value.Timestamp, Fraction: 9, Zoned: true},
	"DATETIMEOFFSET":           {Kind: value.Timestamp, Fraction: 9, Zoned: true},
	"TIME":                     {Kind: value.Time, Fraction: 9},
	"UUID":                     {Kind: value.UUID}, "UNIQUEIDENTIFIER": {Kind: value.UUID},
	"JSON":   {Kind: value.JSON},
	"BINARY": {Kind: value.Binary}, "VARBINARY": {Kind: value.Binary}, "BYTEA": {Kind: value.Binary},
	"DECIMAL": {Kind: value.Decimal}, "NUMERIC": {Kind: value.Decimal}, "MONEY": {Kind: value.Decimal}, "NUMBER": {Kind: value.Decimal},
	"ANY": {Kind: value.Text}, "": {Kind: value.Text},
}

// typeOf is the type of a column as declared: by name where the name says something, else by the affinity that SQLite
// gives it (https://www.sqlite.org/datatype3.html#determination_of_column_affinity).
func typeOf(declared, column string) value.Type {
	name := strings.ToUpper(strings.TrimSpace(declared))
	if open := strings.IndexByte(name, '('); open >= 0 {
		rest := ""
		if end := strings.IndexByte(name[open:], ')'); end >= 0 {
			rest = name[open+end+1:]
		}
		name = name[:open] + rest
	}
	name = strings.Join(strings.Fields(name), " ")
	t, known := named[name]
	if !known {
		has := func(part string) bool { return strings.Contains(name, part) }
		switch {
		case has("INT"):
			t = value.Type{Kind: value.Integer, Bits: 64}
		case has("CHAR"), has("CLOB"), has("TEXT"):
			t = value.Type{Kind: value.Text}
		case has("BLOB"):
			t = value.Type{Kind: value.Binary}
		case has("REAL"), has("FLOA"), has("DOUB"):
			t = value.Type{Kind: value.Float, Bits: 64}
		default: // NUMERIC affinity under a name we do not know: SQLite decides
			t = value.Type{Kind: value.Other}
		}
	}
	t.Name, t.Column = declared, column
	if declared == "" {
		t.Name = "ANY"
	}
	t.Rules.NUL = value.NULKeep
	return t
}

// exactDigits is how many digits a decimal keeps in a column of NUMERIC affinity once it is no 64-bit integer.
const exactDigits = 15

// bind turns a canonical text into what the driver takes. Numbers are bound as numbers, so that comparisons do not
// depend on affinities.
func bind(t *value.Type, text []byte) (driver.Value, error) {
	if text == nil {
		return nil, nil
	}
	switch t.Kind {
	case value.Integer, value.Boolean:
		n, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return nil, misfit(t, text, "it is out of range")
		}
		return n, nil
	case value.Float:
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil || math.IsNaN(f) {
			return nil, misfit(t, text, "it is no number SQLite can hold")
		}
		return f, nil
	case value.Decimal:
		return bindDecimal(t, text)
	case value.Binary:
		return append([]byte{}, text...), nil
	}
	return string(text), nil
}

// bindDecimal binds 64-bit integers as they are and everything else as a double, which keeps 15 digits.
func bindDecimal(t *value.Type, text []byte) (driver.Value, error) {
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return n, nil
	}
	if digits(text) > exactDigits {
		return nil, misfit(t, text, "SQLite keeps 15 digits in such a column; a TEXT column keeps all")
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return nil, misfit(t, text, "it is out of range")
	}
	return f, nil
}

// digits counts the significant digits of a canonical decimal.
func digits(text []byte) int {
	n, zeros := 0, 0
	for _, b := range text {
		switch {
		case b == 'e' || b == 'E':
			return n
		case b == '0' && n == 0:
		case b == '0':
			zeros++
		case b > '0' && b <= '9':
			n += zeros + 1
			zeros = 0
		}
	}
	return n
}

func misfit(t *value.Type, text []byte, why string) error {
	e := &value.Error{Value: shown(text), Type: t.Name, Column: t.Column, Reason: why}
	return fault.New(flowv1.FaultClass_FAULT_CLASS_DATA, e)
}

// shown cuts a value at 64 characters (spec 10.3); what comes here is a canonical number.
func shown(text []byte) string {
	if len(text) > 64 {
		return string(text[:64]) + "…"
	}
	return string(text)
}
