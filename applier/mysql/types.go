package mysql

import (
	"strings"

	"slipstream/applier/value"
)

// valueType maps a type to the conversions of spec 10.3.
func (c *column) valueType() value.Type {
	t := value.Type{Name: c.shown, Column: c.name}
	t.Rules.NUL = value.NULKeep // texts hold NUL characters here
	t.Loose = c.looseOf()
	if c.document {
		t.Kind, t.Name = value.JSON, "json"
		return t
	}
	unsigned := strings.Contains(c.shown, "unsigned")
	switch c.data {
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		t.Kind, t.Bits, t.Unsigned = value.Integer, widths[c.data], unsigned
		t.Truth = strings.HasPrefix(c.shown, "tinyint(1)") // what BOOLEAN is
	case "bit":
		t.Kind, t.Bits, t.Unsigned = value.Integer, uint8(c.precision), true
		if c.precision == 1 {
			t.Kind = value.Boolean
		}
	case "year":
		t.Kind, t.Bits, t.Unsigned = value.Integer, 16, true
	case "decimal":
		t.Kind, t.Precision, t.Scale = value.Decimal, c.precision, c.scale
	case "float", "double":
		t.Kind, t.Bits = value.Float, floats[c.data]
		if c.hasScale { // float(7,2) would round
			t.Kind, t.Precision, t.Scale = value.Decimal, c.precision, c.scale
		}
	case "char":
		t.Kind, t.Length, t.Padded = value.Text, c.characters, true
	case "varchar":
		t.Kind, t.Length = value.Text, c.characters
	case "tinytext", "text", "mediumtext", "longtext":
		t.Kind = value.Text
		if strings.HasPrefix(c.charset, "utf8") { // a text has so many bytes; in another character set only the server can tell
			t.Length, t.LengthInBytes = c.characters, true
		}
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		t.Kind, t.Length = value.Binary, c.characters
	case "date":
		t.Kind = value.Date
	case "datetime":
		t.Kind, t.Fraction = value.Timestamp, c.fraction
	case "timestamp":
		t.Kind, t.Fraction, t.Zoned = value.Timestamp, c.fraction, true
	case "time":
		t.Kind, t.Fraction = value.Time, c.fraction
	case "json":
		t.Kind = value.JSON
	case "uuid":
		t.Kind = value.UUID
	}
	return t
}

var (
	widths = map[string]uint8{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
	floats = map[string]uint8{"float": 32, "double": 64}
)

// form is how a value is spelled in a statement.
type form uint8

const (
	asText     form = iota // a string; enum and the like, whose texts the server reads, too
	asNumber               // as it is
	asDouble               // with an exponent, so that it is not a decimal
	asFloat                // as the double that the float is, so that it is equal to the column
	asBytes                // x'…'
	asPadded               // x'…' of the column's length
	asInstant              // a timestamp without its offset, which is UTC's
	asYear                 // a number that means itself
	asMember               // of an enum: a number would be taken for a place in the list
	asMembers              // of a set: a number would be taken for bits
	asGeometry             // WKT or GeoJSON
)

// formOf chooses the spelling for a column.
func (c *column) formOf() form {
	switch c.data {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "bit", "decimal":
		return asNumber
	case "float", "double":
		switch {
		case c.hasScale:
			return asNumber
		case c.data == "float":
			return asFloat
		}
		return asDouble
	case "year":
		return asYear
	case "binary":
		return asPadded
	case "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return asBytes
	case "timestamp":
		return asInstant
	case "enum":
		return asMember
	case "set":
		return asMembers
	case "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection":
		return asGeometry
	}
	return asText
}

// members are the names in the type of an enum or set: enum('a','it”s').
func (c *column) members() (list []string) {
	text := c.shown
	for {
		start := strings.IndexByte(text, '\'')
		if start < 0 {
			return list
		}
		var name strings.Builder
		i := start + 1
		for ; i < len(text); i++ {
			if text[i] == '\'' {
				if i+1 >= len(text) || text[i+1] != '\'' {
					break
				}
				i++
			}
			name.WriteByte(text[i])
		}
		list = append(list, name.String())
		if i >= len(text) {
			return list
		}
		text = text[i+1:]
	}
}

// joined is an expression of a table of literal rows as the column's type, so that comparing it with the column is what
// comparing a constant would be, and finds rows by the index.
func (c *column) joined(expression string) string {
	switch {
	case c.collation != "":
		return "CONVERT(" + expression + " USING " + c.charset + ") COLLATE " + c.collation
	case c.data == "date":
		return "CAST(" + expression + " AS DATE)"
	case c.data == "datetime" || c.data == "timestamp":
		return "CAST(" + expression + " AS DATETIME(6))"
	case c.data == "time":
		return "CAST(" + expression + " AS TIME(6))"
	case c.data == "uuid" || c.data == "inet4" || c.data == "inet6":
		return "CAST(" + expression + " AS " + strings.ToUpper(c.data) + ")"
	}
	return expression
}
