package oracle

import (
	"bytes"
	"database/sql"
	"strconv"
	"strings"

	goora "github.com/sijms/go-ora/v2"

	"slipstream/applier"
	"slipstream/applier/value"
)

const (
	// What is longer travels as a large object: SQL takes so many bytes of text, and of bytes, and half as many characters of
	// the national character set.
	longText  = 4000
	longNText = 2000
	longBytes = 2000
)

// reason says in a few words why a value does not fit; empty when it does.
type reason string

const fits reason = ""

// wide tells whether a row has a value that must travel as a large object.
func (b *bound) wide(w *applier.Write, row int32) bool {
	for _, i := range w.Columns {
		f := &b.forms[i]
		if !f.large {
			continue
		}
		most := map[carrier]int{byText: longText, byNText: longNText, byBytes: longBytes}[f.carrier]
		if len(w.Values.Columns[i].At(row)) > most {
			return true
		}
	}
	return false
}

// column makes the parameter of a column: an array of the values of rows, all of one Go type, so that the driver declares
// one type whatever nulls are among them. Large ones all travel as large objects where wide says so.
func (b *bound) column(w *applier.Write, i int, rows []int32, wide bool) (any, error) {
	f := &b.forms[i]
	switch {
	case f.carrier == byBytes && f.large && wide:
		out := make([]goora.Blob, len(rows))
		for n, row := range rows {
			out[n].Data = w.Values.Columns[i].At(row)
		}
		return out, nil
	case f.carrier == byBytes:
		out := make([][]byte, len(rows))
		for n, row := range rows {
			out[n] = w.Values.Columns[i].At(row)
		}
		return out, nil
	}
	texts := make([]sql.NullString, len(rows))
	for n, row := range rows {
		text := w.Values.Columns[i].At(row)
		if len(text) == 0 { // an empty string is NULL
			continue
		}
		s, why := f.text(w.Table.Columns[i].Type.Kind, text)
		if why != fits {
			return nil, unfitting(w, i, row, string(why))
		}
		texts[n] = sql.NullString{String: s, Valid: true}
	}
	switch {
	case f.large && wide && f.carrier == byNText:
		out := make([]goora.NClob, len(rows))
		for n, s := range texts {
			out[n] = goora.NClob{String: s.String, Valid: s.Valid}
		}
		return out, nil
	case f.large && wide:
		out := make([]goora.Clob, len(rows))
		for n, s := range texts {
			out[n] = goora.Clob{String: s.String, Valid: s.Valid}
		}
		return out, nil
	case f.carrier == byNText:
		out := make([]goora.NullNVarChar, len(rows))
		for n, s := range texts {
			out[n] = goora.NullNVarChar{NVarChar: goora.NVarChar(s.String), Valid: s.Valid}
		}
		return out, nil
	}
	return texts, nil
}

// text is a canonical text (package value) as the column's expression takes it.
func (f *form) text(kind value.Kind, text []byte) (string, reason) {
	s := string(text)
	switch kind {
	case value.Integer, value.Decimal:
		n := significant(s)
		switch {
		case tooSmall(s):
			return "", "it is too close to zero"
		case f.digits < 0 && n+zeros(s) > -f.digits:
			return "", "it has too many digits"
		case f.digits > 0 && n > f.digits:
			return "", "it has more than 38 significant digits"
		}
	case value.Float: // infinity has a shorter name here
		s = strings.Replace(s, "Infinity", "INF", 1)
	case value.Timestamp:
		s = f.moment(s)
	}
	return s, fits
}

// moment fills in what the format asks for: nine digits of a second where it has any.
func (f *form) moment(s string) string {
	if !strings.Contains(f.expr, "FF9") {
		return s
	}
	s, zone := s, ""
	if n := strings.LastIndexByte(s, '+'); n > 0 {
		s, zone = s[:n], s[n:]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	return whole + "." + fraction + strings.Repeat("0", 9-len(fraction)) + zone
}

// tooSmall tells whether a number is one that the server would make zero of.
func tooSmall(s string) bool {
	_, exponent, has := strings.Cut(strings.ToLower(s), "e-")
	n, err := strconv.Atoi(exponent)
	return has && (err != nil || n >= mostExponent)
}

// significant counts the digits of a number from the first that is not 0 to the last.
func significant(s string) int {
	s, _, _ = strings.Cut(strings.ToLower(s), "e")
	s = strings.TrimLeft(strings.Replace(s, ".", "", 1), "-0")
	return len(strings.TrimRight(s, "0"))
}

// zeros counts those that end a whole number.
func zeros(s string) int {
	return len(s) - len(strings.TrimRight(s, "0"))
}

// empty tells whether a key value is NULL here.
func empty(text []byte) bool { return len(text) == 0 }

// padded repeats the last member until there are as many as a power of two, so that statements with lists have few texts
// for the server to keep.
func padded[T any](list []T) []T {
	n := 1
	for n < len(list) {
		n *= 2
	}
	for len(list) < n {
		list = append(list, list[len(list)-1])
	}
	return list
}

// shortened is a value as an error shows it.
func shortened(text []byte) string {
	r := []rune(string(bytes.ToValidUTF8(text, []byte("\uFFFD"))))
	if len(r) > 64 {
		return string(r[:64]) + "…"
	}
	return string(r)
}
