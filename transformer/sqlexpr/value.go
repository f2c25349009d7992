package sqlexpr

import (
	"database/sql/driver"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"slipstream/transformer/eval"
	"slipstream/transformer/path"
	"slipstream/transformer/record"
)

// nowLayout is a time value of SQLite with the precision SQLite's own now has.
const nowLayout = "2006-01-02 15:04:05.000"

// value is what a parameter is bound to for a record.
func (p *parameter) value(env eval.Env, alias string, root any) driver.Value {
	switch p.source {
	case fromNow:
		return env.Now.UTC().Format(nowLayout)
	case fromDate:
		return env.Now.UTC().Format(time.DateOnly)
	case fromTime:
		return env.Now.UTC().Format(time.TimeOnly)
	case fromTimestamp:
		return env.Now.UTC().Format(time.DateTime)
	}
	field, _ := lookup(p.field, alias, root)
	if s, ok := field.(string); ok && p.source == fromTimeField && strings.EqualFold(s, "now") {
		return env.Now.UTC().Format(nowLayout)
	}
	return bound(field)
}

// lookup finds a field. The alias stands only at the head of a path that goes on: a bare name is a member.
func lookup(field path.Path, alias string, root any) (any, bool) {
	if alias != "" && len(field) > 1 {
		field = field.Unalias(root, alias)
	}
	return field.Lookup(root)
}

// bound is a field as SQLite sees it.
func bound(value any) driver.Value {
	switch v := value.(type) {
	case nil:
		return nil
	case string:
		return v
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
		f, _ := strconv.ParseFloat(string(v), 64) // one out of range is an infinity, as in SQLite
		return f
	case int:
		return int64(v)
	case int64, float64:
		return v
	}
	return string(record.Encode(value))
}

// evaluate is an expression without SQLite. What it gives for a field is what SQLite would give, numbers in their own text.
func (c *constant) evaluate(alias string, root any) any {
	if c.field == nil {
		return c.value
	}
	value, _ := lookup(c.field, alias, root)
	switch v := value.(type) {
	case nil, string:
		return v
	case bool:
		if v {
			return json.Number("1")
		}
		return json.Number("0")
	case []any, map[string]any:
		return string(record.Encode(v))
	}
	number, _ := record.AsNumber(value)
	return number
}

var errInfinite = errors.New("the result is not finite")

// result turns what SQLite computed into a record value.
func result(value driver.Value) (any, error) {
	switch v := value.(type) {
	case int64:
		return record.Integer(v), nil
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil, errInfinite
		}
		return json.Number(realText(v)), nil
	case []byte:
		return base64.StdEncoding.EncodeToString(v), nil
	}
	return value, nil // TEXT or NULL
}

// realText writes a REAL so that it can be told from an INTEGER.
func realText(v float64) string {
	number, ok := record.Float(v)
	if !ok {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	if !strings.ContainsAny(string(number), ".e") {
		number += ".0"
	}
	return string(number)
}
