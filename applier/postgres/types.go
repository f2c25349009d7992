package postgres

import (
	"strings"

	"slipstream/applier/value"
)

// typeRow is a type as the catalogue tells it, domains resolved to what they are made of.
type typeRow struct {
	schema, name string
	category     string // pg_type.typcategory: A is an array
	modifier     int32  // -1: none
	elemSchema   string // of an array
	elemName     string
	elemKind     string // pg_type.typtype of the element: d is a domain
}

// cast is the type's name as SQL, without a length.
func (r typeRow) cast() string { return quote(r.schema) + "." + quote(r.name) }

const (
	maxFraction   = 6  // digits of a second's fraction
	maxIdentifier = 63 // bytes of type name
)

// valueType maps a type to the conversions of spec 10.3. shown is how the catalogue displays it.
func (r typeRow) valueType(shown, column string) value.Type {
	t := value.Type{Name: shown, Column: column}
	if r.category == "A" {
		elem := typeRow{schema: r.elemSchema, name: r.elemName, modifier: r.modifier}
		if r.elemKind != "d" && elem.name != "" {
			e := elem.valueType(strings.TrimSuffix(shown, "[]"), column)
			t.Kind, t.Elem = value.Array, &e
		}
		return t
	}
	if r.schema != "pg_catalog" {
		if r.name == "citext" {
			t.Kind = value.Text
		}
		return t
	}
	switch r.name {
	case "int2":
		t.Kind, t.Bits = value.Integer, 16
	case "int4":
		t.Kind, t.Bits = value.Integer, 32
	case "int8":
		t.Kind, t.Bits = value.Integer, 64
	case "oid":
		t.Kind, t.Bits, t.Unsigned = value.Integer, 32, true
	case "numeric":
		t.Kind, t.Special = value.Decimal, true
		if r.modifier >= 4 {
			m := r.modifier - 4
			t.Precision = int(m >> 16)
			t.Scale = int((m&0x7ff)^1024) - 1024 // eleven bits with sign
		}
	case "money":
		t.Kind, t.Precision, t.Scale = value.Decimal, 19, 2
	case "float4":
		t.Kind, t.Bits, t.Special = value.Float, 32, true
	case "float8":
		t.Kind, t.Bits, t.Special = value.Float, 64, true
	case "bool":
		t.Kind = value.Boolean
	case "bit":
		if r.modifier == 1 {
			t.Kind = value.Boolean
		}
	case "text":
		t.Kind = value.Text
	case "varchar":
		t.Kind, t.Length = value.Text, length(r.modifier)
	case "bpchar":
		t.Kind, t.Length, t.Padded = value.Text, length(r.modifier), true
	case "name":
		t.Kind, t.Length, t.LengthInBytes = value.Text, maxIdentifier, true
	case "char":
		t.Kind, t.Length, t.LengthInBytes = value.Text, 1, true
	case "bytea":
		t.Kind = value.Binary
	case "date":
		t.Kind, t.Special = value.Date, true
	case "timestamp", "timestamptz":
		t.Kind, t.Special, t.Fraction = value.Timestamp, true, fraction(r.modifier)
		t.Zoned = r.name == "timestamptz"
	case "time", "timetz":
		t.Kind, t.Fraction, t.Zoned = value.Time, fraction(r.modifier), r.name == "timetz"
	case "json":
		t.Kind = value.JSON
		t.Rules.NUL = value.NULKeep // the text is stored as it is, \u0000 and all
	case "jsonb":
		t.Kind = value.JSON
	case "uuid":
		t.Kind = value.UUID
	}
	return t
}

func length(modifier int32) int { return max(int(modifier)-4, 0) }

func fraction(modifier int32) int {
	if modifier < 0 {
		return maxFraction
	}
	return int(modifier)
}

// quote makes an identifier.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal makes a string constant.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
