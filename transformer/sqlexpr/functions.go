package sqlexpr

import (
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"modernc.org/sqlite"

	"slipstream/transformer/pattern"
)

// timeValues is the date functions and the index of the argument that is a time value (timediff has two).
var timeValues = map[string]int{
	"date": 0, "time": 0, "datetime": 0, "julianday": 0, "unixepoch": 0, "strftime": 1, "timediff": 0,
}

func set(names string) map[string]bool {
	out := map[string]bool{}
	for _, name := range strings.Fields(names) {
		out[name] = true
	}
	return out
}

var (
	aggregates = set(`avg count group_concat string_agg sum total median percentile percentile_cont percentile_disc
		json_group_array json_group_object jsonb_group_array jsonb_group_object`)
	windows = set(`row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value`)
	// unavailable functions read the connection, not the record, or belong to virtual tables.
	unavailable = set(`changes total_changes last_insert_rowid load_extension values match bm25 highlight snippet
		optimize offsets matchinfo fts3_tokenizer fts5 fts5_locale fts5_source_id fts5_insttoken fts5_get_locale rbu_delta`)
)

// refused says why a function of SQLite cannot be used.
func refused(name string) error {
	switch {
	case aggregates[name]:
		return fmt.Errorf("%s() is an aggregate: expressions see one record", name)
	case windows[name]:
		return fmt.Errorf("%s() is a window function: expressions see one record", name)
	case unavailable[name], strings.HasPrefix(name, "sqlite_"), strings.HasPrefix(name, "rtree"),
		strings.HasPrefix(name, "geopoly"):
		return fmt.Errorf("%s() is not available in expressions", name)
	}
	return nil
}

// register gives a driver the functions of one evaluator: REGEXP, and the functions that draw.
func (ev *Evaluator) register(d *sqlite.Driver) error {
	return errors.Join(
		d.RegisterDeterministicScalarFunction("regexp", 2, ev.regexp),
		d.RegisterScalarFunction("random", 0, ev.random),
		d.RegisterScalarFunction("randomblob", 1, ev.randomBlob),
	)
}

// patternLimit is how many patterns an evaluator keeps compiled.
const patternLimit = 128

// regexp is X REGEXP Y, which SQLite calls as regexp(Y, X).
func (ev *Evaluator) regexp(_ *sqlite.FunctionContext, arguments []driver.Value) (driver.Value, error) {
	if arguments[0] == nil || arguments[1] == nil {
		return nil, nil
	}
	expression := asText(arguments[0])
	compiled, ok := ev.patterns[expression]
	if !ok {
		var err error
		if compiled, err = pattern.Compile(expression); err != nil {
			return nil, err
		}
		if len(ev.patterns) >= patternLimit {
			clear(ev.patterns)
		}
		ev.patterns[expression] = compiled
	}
	found, err := compiled.Matches(asText(arguments[1]))
	if err != nil {
		return nil, err
	}
	if found {
		return int64(1), nil
	}
	return int64(0), nil
}

// asText is a value as SQLite casts it to TEXT.
func asText(value driver.Value) string {
	switch v := value.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return realText(v)
	}
	return fmt.Sprint(value)
}

func (ev *Evaluator) draw() [32]byte {
	ev.drawn++
	return ev.env.Draw("random", ev.drawn)
}

func (ev *Evaluator) random(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
	drawn := ev.draw()
	return int64(binary.BigEndian.Uint64(drawn[:8])), nil //nolint:gosec // any 64 bits are right
}

// randomBlob gives as many bytes as its argument says, and one byte where that is less.
func (ev *Evaluator) randomBlob(_ *sqlite.FunctionContext, arguments []driver.Value) (driver.Value, error) {
	length, _ := arguments[0].(int64)
	switch v := arguments[0].(type) {
	case float64:
		length = int64(max(0, min(v, LengthLimit+1)))
	case string:
		length, _ = strconv.ParseInt(v, 10, 64)
	}
	if length > LengthLimit {
		return nil, errors.New("randomblob() asks for too many bytes")
	}
	length = max(1, length)
	out := make([]byte, 0, length+32)
	for int64(len(out)) < length {
		drawn := ev.draw()
		out = append(out, drawn[:]...)
	}
	return out[:length], nil
}
