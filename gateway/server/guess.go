package server

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// preference is the order in which kinds are tried: the first that takes every value of a sample is the column's.
var preference = []pipelinev1.ColumnType{
	pipelinev1.ColumnType_COLUMN_TYPE_BOOLEAN, pipelinev1.ColumnType_COLUMN_TYPE_INTEGER, pipelinev1.ColumnType_COLUMN_TYPE_DECIMAL,
	pipelinev1.ColumnType_COLUMN_TYPE_DOUBLE, pipelinev1.ColumnType_COLUMN_TYPE_DATE, pipelinev1.ColumnType_COLUMN_TYPE_TIME,
	pipelinev1.ColumnType_COLUMN_TYPE_TIMESTAMP, pipelinev1.ColumnType_COLUMN_TYPE_UUID, pipelinev1.ColumnType_COLUMN_TYPE_JSON,
	pipelinev1.ColumnType_COLUMN_TYPE_BINARY,
}

// guess is the kinds that a column may still have after the values seen.
type guess struct {
	possible map[pipelinev1.ColumnType]bool
	seen     bool
}

func newGuess() *guess {
	g := &guess{possible: make(map[pipelinev1.ColumnType]bool)}
	for _, kind := range preference {
		g.possible[kind] = true
	}
	return g
}

// add looks at a value. NULL and the empty string, which is NULL in any column that is no text, say nothing.
func (g *guess) add(kind applierv1.ValueKind, text string) {
	switch kind {
	case applierv1.ValueKind_VALUE_KIND_UNSPECIFIED, applierv1.ValueKind_VALUE_KIND_ABSENT:
		return
	case applierv1.ValueKind_VALUE_KIND_STRING:
		if text == "" {
			return
		}
	}
	g.seen = true
	for column := range g.possible {
		if !takes(column, kind, text) {
			delete(g.possible, column)
		}
	}
}

// kind is the kind that takes every value seen. Text takes all.
func (g *guess) kind() pipelinev1.ColumnType {
	if g.seen {
		for _, column := range preference {
			if g.possible[column] {
				return column
			}
		}
	}
	return pipelinev1.ColumnType_COLUMN_TYPE_TEXT
}

var (
	// A number with a leading zero is a name made of digits: a postal code, say.
	wholeText   = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,17})$`)
	decimalText = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)
	doubleText  = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
	uuidText    = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

// takes says whether a kind of column takes a value as it stands.
func takes(column pipelinev1.ColumnType, kind applierv1.ValueKind, text string) bool {
	digits := kind == applierv1.ValueKind_VALUE_KIND_NUMBER || kind == applierv1.ValueKind_VALUE_KIND_STRING
	words := kind == applierv1.ValueKind_VALUE_KIND_STRING
	switch column {
	case pipelinev1.ColumnType_COLUMN_TYPE_BOOLEAN:
		return kind == applierv1.ValueKind_VALUE_KIND_BOOLEAN || words && (text == "true" || text == "false")
	case pipelinev1.ColumnType_COLUMN_TYPE_INTEGER:
		return digits && wholeText.MatchString(text)
	case pipelinev1.ColumnType_COLUMN_TYPE_DECIMAL:
		return digits && decimalText.MatchString(text)
	case pipelinev1.ColumnType_COLUMN_TYPE_DOUBLE:
		_, err := strconv.ParseFloat(text, 64)
		return digits && err == nil && doubleText.MatchString(text)
	case pipelinev1.ColumnType_COLUMN_TYPE_DATE:
		return words && parses(text, time.DateOnly)
	case pipelinev1.ColumnType_COLUMN_TYPE_TIME:
		return words && parses(text, time.TimeOnly)
	case pipelinev1.ColumnType_COLUMN_TYPE_TIMESTAMP:
		return words && parses(strings.Replace(text, "T", " ", 1), time.DateTime, "2006-01-02 15:04:05Z07:00")
	case pipelinev1.ColumnType_COLUMN_TYPE_UUID:
		return words && uuidText.MatchString(text)
	case pipelinev1.ColumnType_COLUMN_TYPE_JSON:
		return kind == applierv1.ValueKind_VALUE_KIND_DOCUMENT
	case pipelinev1.ColumnType_COLUMN_TYPE_BINARY:
		return kind == applierv1.ValueKind_VALUE_KIND_BYTES
	}
	return false
}

func parses(text string, layouts ...string) bool {
	for _, layout := range layouts {
		if _, err := time.Parse(layout, text); err == nil {
			return true
		}
	}
	return false
}
