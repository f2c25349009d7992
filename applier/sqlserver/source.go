package sqlserver

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"slipstream/applier"
)

// origin says where the rows of a statement come from.
type origin uint8

// The origins, for few rows, for many, and for many where there are no temporary tables.
const (
	fromValues origin = iota
	fromTable
	fromJSON
)

// source is a row set that statements read: n, the place of the row, and c0, c1 … for some columns of the output.
type source struct {
	b       *bound
	origin  origin
	columns []int
	rows    int    // in fromValues
	table   string // in fromTable
	first   int    // the number of its first parameter, in fromValues and fromJSON
	decl    []string
}

// sqlText is a statement with the types of its parameters, as sp_executesql takes them.
type sqlText struct{ sql, decl string }

// newSource makes a source. Its parameters are numbered from first on.
func (b *bound) newSource(o origin, columns []int, rows, first int, table string) *source {
	s := &source{b: b, origin: o, columns: columns, rows: rows, table: table, first: first}
	switch o {
	case fromValues:
		for n := range rows * len(columns) {
			s.decl = append(s.decl, fmt.Sprintf("@p%d %s", first+n, b.typ(columns[n%len(columns)]).declared()))
		}
	case fromJSON:
		s.decl = []string{fmt.Sprintf("@p%d nvarchar(max)", first)}
	}
	return s
}

// next is the number of the parameter behind those of the source.
func (s *source) next() int { return s.first + len(s.decl) }

// text is a statement with the source's parameters, and those of others.
func (s *source) text(sql string, others ...*source) *sqlText {
	decl := s.decl
	for _, other := range others {
		decl = append(decl[:len(decl):len(decl)], other.decl...)
	}
	return &sqlText{sql: sql, decl: strings.Join(decl, ", ")}
}

// from is the item of a FROM clause.
func (s *source) from(alias string) string {
	var names strings.Builder
	for i := range s.columns {
		fmt.Fprintf(&names, ", c%d", i)
	}
	switch s.origin {
	case fromTable:
		return s.table + " AS " + alias
	case fromJSON:
		var with strings.Builder
		for i, c := range s.columns {
			fmt.Fprintf(&with, ", c%d %s '$[%d]'", i, s.b.typ(c).written(), i+1)
		}
		return fmt.Sprintf("OPENJSON(@p%d) WITH (n int '$[0]'%s) AS %s", s.first, with.String(), alias)
	}
	var values strings.Builder
	p := s.first
	for row := range s.rows {
		if row > 0 {
			values.WriteString(", ")
		}
		values.WriteString("(" + strconv.Itoa(row))
		for range s.columns {
			values.WriteString(", @p" + strconv.Itoa(p))
			p++
		}
		values.WriteString(")")
	}
	return fmt.Sprintf("(VALUES %s) AS %s(n%s)", values.String(), alias, names.String())
}

// values are the expressions that read columns as the table's types.
func (s *source) values(alias string, columns []int) []string {
	out := make([]string, 0, len(columns))
	for _, i := range columns {
		out = append(out, s.value(alias, i))
	}
	return out
}

func (s *source) value(alias string, column int) string {
	for n, i := range s.columns {
		if i != column {
			continue
		}
		from := fmt.Sprintf("%s.c%d", alias, n)
		if s.origin == fromJSON && s.b.travels[i] == travelBinary {
			from = "CONVERT(varbinary(max), " + from + ", 2)"
		}
		typ := *s.b.typ(i)
		typ.explicit = typ.explicit || s.origin == fromJSON && typ.collation != "" // OPENJSON has a collation of its own
		return typ.cast(from)
	}
	return "NULL" // not reached: statements ask for columns of their source
}

// match compares columns of the table with those of the source.
func (s *source) match(table, alias string, columns []int) string {
	terms := make([]string, 0, len(columns))
	for _, i := range columns {
		terms = append(terms, fmt.Sprintf("%s.%s = %s", table, s.b.names[i], s.value(alias, i)))
	}
	return strings.Join(terms, " AND ")
}

// declared is the type in which values of a column are parameters, and stand in a temporary table.
func (r typeRow) declared() string {
	switch r.travels() {
	case travelInteger:
		return "bigint"
	case travelBit:
		return "bit"
	case travelFloat:
		return "float"
	case travelBinary:
		if r.length > 0 && r.name != "image" {
			return "varbinary(8000)"
		}
		return "varbinary(max)"
	case travelText:
		return "nvarchar(4000)"
	}
	return "nvarchar(max)"
}

// written is the type in which values of a column stand in JSON: bytes as hexadecimal digits.
func (r typeRow) written() string {
	if r.travels() == travelBinary {
		return "nvarchar(max)"
	}
	return r.declared()
}

// encode appends the values of one row as the driver takes them, or says which does not fit.
func (b *bound) encode(dst []any, w *applier.Write, columns []int, row int32) ([]any, error) {
	for _, i := range columns {
		text := w.Values.Columns[i].At(row)
		v, err := b.travels[i].value(b.typ(i), text)
		if err != nil {
			return nil, misfit(&w.Table.Columns[i].Type, text, "it cannot be sent")
		}
		dst = append(dst, v)
	}
	return dst, nil
}

// jsonRows writes rows as one text: an array of arrays.
func (b *bound) jsonRows(w *applier.Write, columns []int, rows []int32) (string, error) {
	all := make([][]any, 0, len(rows))
	for n, row := range rows {
		values, err := b.encode([]any{n}, w, columns, row)
		if err != nil {
			return "", err
		}
		for i, v := range values {
			if isNull(v) {
				values[i] = nil
			} else if bytes, ok := v.([]byte); ok {
				values[i] = hex.EncodeToString(bytes)
			}
		}
		all = append(all, values)
	}
	text, err := json.Marshal(all)
	return string(text), err
}
