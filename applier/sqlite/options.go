package sqlite

import (
	"sort"
	"strconv"
	"strings"
	"time"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// options are the attributes of a connection of type sqlite, and the settings that concern it.
type options struct {
	positionTable    string        // default slipstream_position
	rowTable         string        // default slipstream_row
	rows             int           // rows in one statement; default 200
	busyTimeout      time.Duration // busy_timeout, seconds; default 5
	statementTimeout time.Duration // statement_timeout, seconds; default 60 (spec 2.3)
	synchronous      string        // synchronous: FULL (default), EXTRA or NORMAL
	foreignKeys      bool          // foreign_keys; default true

	unknown []string // attributes that mean nothing here
}

func readOptions(conn *pipelinev1.Connection, s *pipelinev1.Settings) (options, error) {
	o := options{
		positionTable: s.GetPositionTable(), rowTable: s.GetRowTable(), rows: int(s.GetWriteBatchSize()),
		busyTimeout: 5 * time.Second, statementTimeout: time.Minute, synchronous: "FULL", foreignKeys: true,
	}
	if o.positionTable == "" {
		o.positionTable = "slipstream_position"
	}
	if o.rowTable == "" {
		o.rowTable = "slipstream_row"
	}
	if o.rows == 0 {
		o.rows = 200
	}
	switch db := conn.GetDatabase(); {
	case db == "":
		return o, schemaFault("connection %q has no database", conn.GetName()).
			WithFix("set database to the path of the SQLite file")
	case db == ":memory:" || strings.HasPrefix(db, "file:"):
		return o, schemaFault("connection %q: database %q is not the path of a file", conn.GetName(), db).
			WithFix("set database to the path of the SQLite file")
	}
	for _, from := range []map[string]string{conn.GetOptions(), conn.GetArgs()} {
		for key, text := range from {
			if err := o.set(conn.GetName(), key, text); err != nil {
				return o, err
			}
		}
	}
	sort.Strings(o.unknown)
	return o, nil
}

func (o *options) set(connection, key, text string) error {
	wrong := func(want string) error {
		return schemaFault("connection %q: %s is not %s", connection, key, want).WithFix("set " + key + " to " + want)
	}
	switch key {
	case "busy_timeout", "statement_timeout":
		seconds, err := strconv.ParseUint(text, 10, 20)
		if err != nil || seconds == 0 {
			return wrong("a number of seconds of 1 or more")
		}
		if key == "busy_timeout" {
			o.busyTimeout = time.Duration(seconds) * time.Second
		} else {
			o.statementTimeout = time.Duration(seconds) * time.Second
		}
	case "synchronous":
		switch mode := strings.ToUpper(text); mode {
		case "FULL", "EXTRA", "NORMAL":
			o.synchronous = mode
		default:
			return wrong("FULL, EXTRA or NORMAL")
		}
	case "foreign_keys":
		on, err := strconv.ParseBool(text)
		if err != nil {
			return wrong("true or false")
		}
		o.foreignKeys = on
	default:
		o.unknown = append(o.unknown, key)
	}
	return nil
}
