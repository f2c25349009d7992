package sqlserver

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"slipstream/applier/value"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// typeRow is a type as the catalogue tells it; alias types are resolved to what they are made of.
type typeRow struct {
	name      string // in lower case
	length    int    // of texts and bytes; -1 is max
	precision int
	scale     int
	fraction  int // digits of a second
	collation string
	codePage  int
	explicit  bool // the collation is not the one that parameters have, so it must be written
}

// travel is how the values of a column reach the server: by parameter and by bulk copy alike.
type travel uint8

// The ways. Text is read by the server as the column's type.
const (
	travelText travel = iota
	travelLong        // text of any length
	travelInteger
	travelBit
	travelFloat
	travelBinary
)

const (
	maxFraction = 7    // digits of a second's fraction
	maxText     = 4000 // characters of nvarchar(n)
	maxBytes    = 8000 // bytes of varchar(n) and varbinary(n)
)

// valueType maps a type to the conversions of spec 10.3.
func (r typeRow) valueType(column string) value.Type {
	t := value.Type{Name: r.shown(), Column: column}
	if r.bounded() {
		t.Refuses = r.refuses
	}
	switch r.name {
	case "tinyint":
		t.Kind, t.Bits, t.Unsigned = value.Integer, 8, true
	case "smallint":
		t.Kind, t.Bits = value.Integer, 16
	case "int":
		t.Kind, t.Bits = value.Integer, 32
	case "bigint":
		t.Kind, t.Bits = value.Integer, 64
	case "bit":
		t.Kind = value.Boolean
	case "decimal", "numeric":
		t.Kind, t.Precision, t.Scale = value.Decimal, r.precision, r.scale
	case "money":
		t.Kind, t.Precision, t.Scale = value.Decimal, 19, 4
	case "smallmoney":
		t.Kind, t.Precision, t.Scale = value.Decimal, 10, 4
	case "real":
		t.Kind, t.Bits = value.Float, 32
	case "float":
		t.Kind, t.Bits = value.Float, 64
		if r.precision > 0 && r.precision <= 24 {
			t.Bits = 32
		}
	case "char", "varchar", "text":
		t.Kind, t.Length, t.LengthInBytes, t.Takes = value.Text, r.room(), true, codePageTakes(r.codePage)
		t.Padded, t.Loose = r.name == "char", r.looseText()
	case "nchar", "nvarchar", "ntext", "sysname":
		t.Kind, t.Length, t.Takes = value.Text, r.room(), unicodeTakes
		t.Padded, t.Loose = r.name == "nchar", r.looseText()
	case "binary", "varbinary", "image":
		t.Kind, t.Length, t.Loose = value.Binary, r.room(), looseBytes
	case "date":
		t.Kind = value.Date
	case "datetime":
		t.Kind, t.Fraction, t.Loose = value.Timestamp, 3, looseMoment
	case "smalldatetime":
		t.Kind = value.Timestamp
	case "datetime2":
		t.Kind, t.Fraction = value.Timestamp, r.fraction
	case "datetimeoffset":
		t.Kind, t.Fraction, t.Zoned = value.Timestamp, r.fraction, true
	case "time":
		t.Kind, t.Fraction = value.Time, r.fraction
	case "uniqueidentifier":
		t.Kind = value.UUID
	case "json":
		t.Kind = value.JSON
	}
	return t
}

// room is the declared length; 0 means no limit.
func (r typeRow) room() int { return max(r.length, 0) }

func (r typeRow) looseText() func(dst, text []byte) []byte {
	if isBinary(r.collation) {
		return looseBlanks
	}
	return value.LooseText
}

// shown is the type as users write it.
func (r typeRow) shown() string {
	switch r.name {
	case "decimal", "numeric":
		return fmt.Sprintf("%s(%d,%d)", r.name, r.precision, r.scale)
	case "char", "varchar", "nchar", "nvarchar", "binary", "varbinary":
		if r.length < 0 {
			return r.name + "(max)"
		}
		return fmt.Sprintf("%s(%d)", r.name, r.length)
	case "time", "datetime2", "datetimeoffset":
		return fmt.Sprintf("%s(%d)", r.name, r.fraction)
	}
	return r.name
}

// travels is how values of the type reach the server.
func (r typeRow) travels() travel {
	switch r.name {
	case "tinyint", "smallint", "int", "bigint":
		return travelInteger
	case "bit":
		return travelBit
	case "float", "real":
		return travelFloat
	case "binary", "varbinary", "image":
		return travelBinary
	case "char", "varchar", "nchar", "nvarchar":
		if r.length < 0 || r.length > maxText {
			return travelLong
		}
		return travelText
	case "decimal", "numeric", "money", "smallmoney", "date", "time", "datetime", "smalldatetime", "datetime2", "datetimeoffset",
		"uniqueidentifier", "sysname", "sql_variant", "hierarchyid":
		return travelText
	}
	return travelLong
}

// cast is the expression that makes the column's type of what has arrived. Lengths of texts are not written, so that a
// value too long for its column is an error of the server too, never cut.
func (r typeRow) cast(from string) string {
	collated := from
	if r.explicit {
		collated += " COLLATE " + r.collation
	}
	to := func(name string) string { return "CAST(" + from + " AS " + name + ")" }
	as := func(name string, most int) string {
		if r.length < 0 || r.name == "text" || r.name == "ntext" {
			return "CAST(" + collated + " AS " + name + "(max))"
		}
		return fmt.Sprintf("CAST(%s AS %s(%d))", collated, name, most)
	}
	switch r.name {
	case "bigint", "bit", "float":
		return from
	case "char", "varchar", "text":
		return as("varchar", maxBytes)
	case "nchar", "nvarchar", "ntext":
		return as("nvarchar", maxText)
	case "sysname", "sql_variant":
		return to("nvarchar(4000)")
	case "binary":
		return to(r.shown()) // filled with zeros, as the column is
	case "varbinary":
		if r.length < 0 {
			return from
		}
		return to("varbinary(8000)")
	case "image":
		return from
	case "geometry", "geography", "hierarchyid":
		return to("[sys]." + quote(r.name))
	case "tinyint", "smallint", "int", "decimal", "numeric", "money", "smallmoney", "real", "date", "time", "datetime", "smalldatetime",
		"datetime2", "datetimeoffset", "uniqueidentifier", "xml", "json", "vector":
		return to(r.shown())
	}
	return from
}

// The bounds of money and smallmoney in ten-thousandths.
const (
	mostMoney      = math.MaxInt64
	mostSmallMoney = math.MaxInt32
)

// bounded tells whether a type has bounds that package value does not know.
func (r typeRow) bounded() bool {
	switch r.name {
	case "money", "smallmoney", "datetime", "smalldatetime", "time", "sql_variant", "hierarchyid", "xml":
		return true
	}
	return false
}

// refuses says why a canonical text does not fit, where package value cannot know; empty where it does. It keeps errors
// that would end the transaction from the server.
func (r typeRow) refuses(text []byte, rounds bool) string {
	const outside = "it is out of range"
	switch r.name {
	case "money", "smallmoney":
		most, n := int64(mostMoney), tenThousandths(text)
		if r.name == "smallmoney" {
			most = mostSmallMoney
		}
		if n == nil || *n > most || *n < -most-1 {
			return outside
		}
	case "datetime":
		if string(text[:min(4, len(text))]) < "1753" || bytes.HasPrefix(text, []byte("9999-12-31 23:59:59.999")) {
			return outside // the last would become the year 10000
		}
	case "smalldatetime":
		day := string(text[:min(10, len(text))])
		if day < "1900-01-01" || day > "2079-06-06" {
			return outside
		}
		if !rounds && !bytes.HasSuffix(text, []byte(":00")) {
			return "the column keeps no seconds"
		}
	case "time":
		if bytes.HasPrefix(text, []byte("24")) {
			return outside
		}
	case "sql_variant", "hierarchyid":
		if len(text) > maxText {
			return "it is too long" // the parameter would cut it
		}
	case "xml":
		if !wellFormed(r.wire(text)) {
			return "it is not well-formed XML"
		}
	}
	return ""
}

// wellFormed tells whether a text is what the type xml takes: elements that are closed, one or several, and text. Not every
// server of this language looks.
func wellFormed(text string) bool {
	d := xml.NewDecoder(strings.NewReader(text))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	for {
		if _, err := d.Token(); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// tenThousandths reads a canonical decimal with at most four fraction digits; nil where it has more than 64 bits.
func tenThousandths(text []byte) *int64 {
	whole, part, _ := strings.Cut(string(text), ".")
	n, err := strconv.ParseInt(whole+(part + "0000")[:4], 10, 64)
	if err != nil {
		return nil
	}
	return &n
}

// wire is the text as the server reads it whatever its language settings are.
func (r typeRow) wire(text []byte) string {
	switch r.name {
	case "datetime", "smalldatetime", "datetime2", "datetimeoffset":
		if len(text) > 10 {
			return string(text[:10]) + "T" + string(text[11:])
		}
	case "xml":
		return withoutDeclaration(string(text))
	}
	return string(text)
}

// withoutDeclaration cuts <?xml …?> off: it may name an encoding that the text no longer has, and the server drops it too.
func withoutDeclaration(text string) string {
	trimmed := strings.TrimLeft(text, "\ufeff \t\r\n")
	if !strings.HasPrefix(trimmed, "<?xml") {
		return text
	}
	if end := strings.Index(trimmed, "?>"); end >= 0 {
		return trimmed[end+2:]
	}
	return text
}

// misfit is the fault of a value that does not fit its column.
func misfit(t *value.Type, text []byte, why string) *fault.Error {
	shown := []rune(string(text))
	e := &value.Error{Value: string(shown), Type: t.Name, Column: t.Column, Reason: why}
	if len(shown) > 64 {
		e.Value = string(shown[:64]) + "…"
	}
	return fault.New(flowv1.FaultClass_FAULT_CLASS_DATA, e)
}

// quote makes an identifier.
func quote(name string) string { return "[" + strings.ReplaceAll(name, "]", "]]") + "]" }

// literal makes a string constant.
func literal(text string) string { return "N'" + strings.ReplaceAll(text, "'", "''") + "'" }
