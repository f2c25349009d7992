package oracle

import (
	"fmt"
	"strings"

	"slipstream/applier/value"
)

// typeRow is a type as the catalogue tells it.
type typeRow struct {
	name             string // DATA_TYPE: "NUMBER", "TIMESTAMP(6) WITH TIME ZONE"
	owner            string // of a type that is not built in
	length           int    // in bytes
	precision, scale int    // where they are set
	hasPrecision     bool
	hasScale         bool
	characters       int    // CHAR_LENGTH
	used             string // B or C: what the length of a text counts
}

// How a value travels.
type carrier uint8

const (
	byText  carrier = iota // in the database's character set
	byNText                // in its national one
	byBytes
)

// form is how a column's values are written and read.
type form struct {
	carrier carrier
	large   bool   // a long value travels as a large object
	expr    string // makes the column's type of a parameter, which takes the place of %s
	read    string // the canonical text of a column, which takes the place of %s
	digits  int    // the most significant digits of a number
}

const (
	dateFormat  = "'YYYY-MM-DD HH24:MI:SS'"
	stampFormat = "'YYYY-MM-DD HH24:MI:SS.FF9'"
	zonedFormat = "'YYYY-MM-DD HH24:MI:SS.FF9TZH:TZM'"

	mostDigits   = 38  // that a NUMBER keeps for sure
	mostExponent = 129 // places behind the point of its first digit
	// Integers of so many digits fit 64 bits.
	wordDigits = 18
)

// shown is the type as people write it.
func (r typeRow) shown() string {
	switch r.name {
	case "NUMBER":
		switch {
		case r.hasPrecision && r.scale != 0:
			return fmt.Sprintf("NUMBER(%d,%d)", r.precision, r.scale)
		case r.hasPrecision:
			return fmt.Sprintf("NUMBER(%d)", r.precision)
		case r.hasScale:
			return fmt.Sprintf("NUMBER(*,%d)", r.scale)
		}
	case "FLOAT":
		return fmt.Sprintf("FLOAT(%d)", r.precision)
	case "VARCHAR2", "CHAR":
		unit := "CHAR"
		n := r.characters
		if r.used == "B" {
			unit, n = "BYTE", r.length
		}
		return fmt.Sprintf("%s(%d %s)", r.name, n, unit)
	case "NVARCHAR2", "NCHAR":
		return fmt.Sprintf("%s(%d)", r.name, r.characters)
	case "RAW":
		return fmt.Sprintf("RAW(%d)", r.length)
	}
	return r.name
}

// base is the name without numbers: "TIMESTAMP WITH TIME ZONE".
func (r typeRow) base() string {
	var b strings.Builder
	deep := 0
	for _, c := range r.name {
		switch {
		case c == '(':
			deep++
		case c == ')':
			deep--
		case deep == 0:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// map finds the conversions of spec 10.3 and how values travel; false for a type that this applier does not write.
func (r typeRow) mapped(column string) (value.Type, form, bool) {
	t := value.Type{Name: r.shown(), Column: column}
	t.Rules.NUL = value.NULKeep
	f := form{expr: "%s", read: "%s"}
	if r.owner != "" && r.base() != "XMLTYPE" {
		return t, f, false
	}
	switch r.base() {
	case "NUMBER":
		r.number(&t, &f)
	case "FLOAT":
		t.Kind = value.Decimal
		f.expr, f.read, f.digits = "TO_NUMBER(%s)", "TO_CHAR(%s, 'TM9')", mostDigits
	case "BINARY_FLOAT":
		t.Kind, t.Bits, t.Special = value.Float, 32, true
		f.expr, f.read = "TO_BINARY_FLOAT(%s)", "TO_CHAR(%s)"
	case "BINARY_DOUBLE":
		t.Kind, t.Bits, t.Special = value.Float, 64, true
		f.expr, f.read = "TO_BINARY_DOUBLE(%s)", "TO_CHAR(%s)"
	case "VARCHAR2", "CHAR", "NVARCHAR2", "NCHAR", "CLOB", "NCLOB":
		r.text(&t, &f)
	case "RAW":
		t.Kind, t.Length = value.Binary, r.length
		f.carrier = byBytes
	case "BLOB":
		t.Kind = value.Binary
		f.carrier, f.large = byBytes, true
	case "DATE": // which has a time of day here
		t.Kind = value.Timestamp
		f.expr, f.read = "TO_DATE(%s, "+dateFormat+")", "TO_CHAR(%s, "+dateFormat+")"
	case "TIMESTAMP":
		t.Kind, t.Fraction = value.Timestamp, r.fraction()
		f.expr, f.read = "TO_TIMESTAMP(%s, "+stampFormat+")", "TO_CHAR(%s, "+stampFormat+")"
	case "TIMESTAMP WITH TIME ZONE", "TIMESTAMP WITH LOCAL TIME ZONE":
		t.Kind, t.Fraction, t.Zoned = value.Timestamp, r.fraction(), true
		f.expr, f.read = "TO_TIMESTAMP_TZ(%s, "+zonedFormat+")", "TO_CHAR(SYS_EXTRACT_UTC(%s), "+stampFormat+")"
	case "INTERVAL YEAR TO MONTH":
		f.expr, f.read = "TO_YMINTERVAL(%s)", "TO_CHAR(%s)"
	case "INTERVAL DAY TO SECOND":
		f.expr, f.read = "TO_DSINTERVAL(%s)", "TO_CHAR(%s)"
	case "JSON":
		t.Kind = value.JSON
		f.large, f.expr, f.read = true, "JSON(%s)", "JSON_SERIALIZE(%s RETURNING CLOB)"
	case "BOOLEAN":
		t.Kind = value.Boolean
		f.expr, f.read = "TO_BOOLEAN(%s)", "CASE WHEN %s THEN '1' WHEN NOT %[1]s THEN '0' END"
	case "XMLTYPE":
		f.large, f.expr, f.read = true, "XMLPARSE(DOCUMENT %s)", "XMLSERIALIZE(CONTENT %s AS CLOB)"
	default:
		return t, f, false
	}
	return t, f, true
}

// number maps NUMBER. Whole ones of few digits are integers, which take booleans too.
func (r typeRow) number(t *value.Type, f *form) {
	f.expr, f.read, f.digits = "TO_NUMBER(%s)", "TO_CHAR(%s, 'TM9')", mostDigits
	t.Kind = value.Decimal
	switch {
	case r.hasPrecision && r.scale == 0 && r.precision <= wordDigits:
		t.Kind, t.Bits = value.Integer, 64
		f.digits = -r.precision
	case r.hasPrecision:
		t.Precision, t.Scale = r.precision, r.scale
	case r.hasScale:
		t.Precision, t.Scale = mostDigits, r.scale
	}
}

// text maps what holds characters. Padding makes no difference to texts of fixed length; where one is looked for, it is
// padded as the column is.
func (r typeRow) text(t *value.Type, f *form) {
	t.Kind = value.Text
	switch r.base() {
	case "CLOB", "NCLOB":
		f.large = true
	default:
		t.Length = r.characters
		if r.used == "B" {
			t.Length, t.LengthInBytes = r.length, true
		}
	}
	if strings.HasPrefix(r.name, "N") {
		f.carrier = byNText
	}
	if r.base() == "CHAR" || r.base() == "NCHAR" {
		t.Padded = true
		f.expr = "CAST(%s AS " + r.shown() + ")"
		f.read = "RTRIM(%s)"
	}
}

// fraction is how many digits of a second a TIMESTAMP keeps; the catalogue has it as the scale.
func (r typeRow) fraction() int {
	if !r.hasScale {
		return 6
	}
	return min(max(r.scale, 0), 9)
}

// quote makes an identifier.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal makes a string constant.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
