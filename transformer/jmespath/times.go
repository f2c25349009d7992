package jmespath

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"slipstream/transformer/record"
)

var timeFunctions = map[string]*function{
	"time_delta_days":    {parameters: []kind{text | numeric}, call: timeDelta(24 * 60 * 60)},
	"time_delta_seconds": {parameters: []kind{text | numeric}, call: timeDelta(1)},
	"uuid":               {call: uuid},
}

// timeDelta is the time since the argument in units of so many seconds, rounded down.
func timeDelta(unit float64) func(*state, []any) (any, error) {
	return func(s *state, arguments []any) (any, error) {
		seconds, nanoseconds, err := instant(arguments[0], s.env.Now.Location())
		if err != nil {
			return nil, err
		}
		whole := float64(s.env.Now.Unix() - seconds)
		if int64(s.env.Now.Nanosecond()) < nanoseconds {
			whole-- // the fraction of a second that is missing
		}
		return record.Integer(int64(math.Floor(whole / unit))), nil
	}
}

// instant reads a time as Unix seconds and nanoseconds.
func instant(value any, location *time.Location) (seconds, nanoseconds int64, err error) {
	if s, ok := value.(string); ok {
		t, err := parseTime(s, location)
		return t.Unix(), int64(t.Nanosecond()), err
	}
	number, _ := record.AsNumber(value)
	f, err := strconv.ParseFloat(string(number), 64)
	if err != nil || math.Abs(f) > 1e14 {
		return 0, 0, fmt.Errorf("%s is no time in seconds", shown(value))
	}
	floor := math.Floor(f)
	return int64(floor), int64((f - floor) * 1e9), nil
}

// parseTime reads an ISO 8601 time: T or a blank before the time of day, an optional fraction, Z or an offset; without
// one the time is in the given location.
func parseTime(s string, location *time.Location) (time.Time, error) {
	text := strings.TrimSpace(s)
	if len(text) > 10 && (text[10] == ' ' || text[10] == 't') {
		text = text[:10] + "T" + text[11:]
	}
	text = strings.Replace(strings.Replace(text, "z", "Z", 1), ",", ".", 1)
	for _, layout := range []string{
		"2006-01-02T15:04:05", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07",
		"2006-01-02T15:04", "2006-01-02T15:04Z07:00", "2006-01-02T15:04Z0700", "2006-01-02T15:04Z07", "2006-01-02",
	} {
		if t, err := time.ParseInLocation(layout, text, location); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s is not an ISO 8601 time", shown(s))
}

// uuid is a version 4 UUID drawn from the environment.
func uuid(s *state, _ []any) (any, error) {
	s.drawn++
	drawn := s.env.Draw("uuid", s.drawn)
	b := drawn[:16]
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:], nil
}
