package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"slipstream/applier/value"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestTypeOf(t *testing.T) {
	for declared, want := range map[string]value.Kind{
		"INTEGER": value.Integer, "int": value.Integer, "BIGINT UNSIGNED": value.Integer, "MEDIUMINT(9)": value.Integer,
		"TEXT": value.Text, "varchar ( 20 )": value.Text, "NATIONAL CHARACTER VARYING(30)": value.Text, "CLOB": value.Text,
		"BLOB": value.Binary, "varbinary(16)": value.Binary, "": value.Text, "ANY": value.Text,
		"REAL": value.Float, "double precision": value.Float, "FLOAT(24)": value.Float,
		"NUMERIC": value.Decimal, "decimal(10, 2)": value.Decimal,
		"boolean": value.Boolean, "date": value.Date, "DATETIME": value.Timestamp, "TIMESTAMP(6) WITH  TIME ZONE": value.Timestamp,
		"time": value.Time, "JSON": value.JSON, "uuid": value.UUID,
		"STRING": value.Other, "INET": value.Other, "POINT": value.Integer, // as SQLite itself: POINT has INT in it
	} {
		got := typeOf(declared, "c")
		if got.Kind != want {
			t.Errorf("%q is of kind %d, want %d", declared, got.Kind, want)
		}
		if got.Column != "c" || got.Name == "" || got.Length != 0 || got.Precision != 0 {
			t.Errorf("%q: %+v", declared, got)
		}
	}
	if !typeOf("timestamptz", "c").Zoned || typeOf("timestamp", "c").Zoned {
		t.Error("zones are mixed up")
	}
}

func TestBind(t *testing.T) {
	for _, c := range []struct {
		declared, text string
		want           driver.Value
	}{
		{"INTEGER", "-9223372036854775808", int64(-9223372036854775808)},
		{"BOOLEAN", "1", int64(1)},
		{"REAL", "1e+300", 1e300},
		{"DECIMAL(12,2)", "1234567890.12", 1234567890.12},
		{"DECIMAL", "9223372036854775807", int64(9223372036854775807)},
		{"DECIMAL", "0.00000000000000000123", 1.23e-18},
		{"TEXT", "007", "007"},
		{"TEXT", "", ""},
		{"DATE", "2030-02-01", "2030-02-01"},
	} {
		ty := typeOf(c.declared, "c")
		if got, err := bind(&ty, []byte(c.text)); err != nil || got != c.want {
			t.Errorf("%s into %s is bound as %v (%T): %v", c.text, c.declared, got, got, err)
		}
	}
	blob := typeOf("BLOB", "c")
	if got, err := bind(&blob, []byte{}); err != nil || got == nil || len(got.([]byte)) != 0 {
		t.Errorf("empty bytes are bound as %v: %v", got, err)
	}
	if got, err := bind(&blob, nil); got != nil || err != nil {
		t.Errorf("NULL is bound as %v: %v", got, err)
	}
}

func TestBindRefusesWhatIsNotExact(t *testing.T) {
	ty := typeOf("DECIMAL(30,10)", "price")
	for _, text := range []string{"1234567890.123456", "9223372036854775808", "0.12345678901234567"} {
		_, err := bind(&ty, []byte(text))
		if fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_DATA {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var e *value.Error
		if !errors.As(err, &e) || e.Value != text || e.Column != "price" || e.Type != "DECIMAL(30,10)" {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"100000000000000000", "123456789012345", "0.000123456789012345"} {
		if _, err := bind(&ty, []byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestClasses(t *testing.T) {
	for code, want := range map[int]flowv1.FaultClass{
		sqlite3.SQLITE_FULL:                  flowv1.FaultClass_FAULT_CLASS_CAPACITY,
		sqlite3.SQLITE_READONLY:              flowv1.FaultClass_FAULT_CLASS_PERMISSION,
		sqlite3.SQLITE_READONLY_DBMOVED:      flowv1.FaultClass_FAULT_CLASS_PERMISSION,
		sqlite3.SQLITE_IOERR_WRITE:           flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		sqlite3.SQLITE_CANTOPEN:              flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		sqlite3.SQLITE_BUSY_SNAPSHOT:         flowv1.FaultClass_FAULT_CLASS_CONFLICT,
		sqlite3.SQLITE_ERROR:                 flowv1.FaultClass_FAULT_CLASS_SCHEMA,
		sqlite3.SQLITE_CONSTRAINT_UNIQUE:     flowv1.FaultClass_FAULT_CLASS_REFERENCE,
		sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: flowv1.FaultClass_FAULT_CLASS_REFERENCE,
		sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: flowv1.FaultClass_FAULT_CLASS_REFERENCE,
		sqlite3.SQLITE_CONSTRAINT_NOTNULL:    flowv1.FaultClass_FAULT_CLASS_DATA,
		sqlite3.SQLITE_CONSTRAINT_CHECK:      flowv1.FaultClass_FAULT_CLASS_DATA,
		sqlite3.SQLITE_CONSTRAINT_DATATYPE:   flowv1.FaultClass_FAULT_CLASS_DATA,
		sqlite3.SQLITE_TOOBIG:                flowv1.FaultClass_FAULT_CLASS_DATA,
		sqlite3.SQLITE_INTERNAL:              flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED,
	} {
		if got := classOf(code); got != want {
			t.Errorf("%s is of class %s, want %s", codeName(code), fault.ClassName(got), fault.ClassName(want))
		}
	}
	if fault.Class(classed(context.DeadlineExceeded)) != flowv1.FaultClass_FAULT_CLASS_CONNECTION {
		t.Error("a timeout is a matter of the connection")
	}
}

func TestOptions(t *testing.T) {
	read := func(options, args map[string]string) (options, error) {
		return readOptions(&pipelinev1.Connection{Name: "db", Database: "x.db", Options: options, Args: args}, nil)
	}
	o, err := read(nil, nil)
	if err != nil || o.rows != 200 || o.positionTable != "slipstream_position" || !o.foreignKeys || o.synchronous != "FULL" {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	o, err = read(map[string]string{"busy_timeout": "9", "statement_timeout": "3", "db_connection_pool_size": "4"},
		map[string]string{"synchronous": "normal", "foreign_keys": "false"})
	if err != nil || o.busyTimeout != 9*time.Second || o.statementTimeout != 3*time.Second || o.synchronous != "NORMAL" || o.foreignKeys ||
		len(o.unknown) != 1 || o.unknown[0] != "db_connection_pool_size" {
		t.Errorf("all set: %+v, %v", o, err)
	}
	for key, text := range map[string]string{"busy_timeout": "0", "statement_timeout": "soon", "synchronous": "OFF", "foreign_keys": "perhaps"} {
		if _, err := read(map[string]string{key: text}, nil); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_SCHEMA || fault.Of(err).Fix == "" {
			t.Errorf("%s: %s gives %v", key, text, err)
		}
	}
	for _, database := range []string{"", ":memory:", "file:x.db?mode=memory"} {
		if _, err := readOptions(&pipelinev1.Connection{Database: database}, nil); err == nil {
			t.Errorf("database %q was taken", database)
		}
	}
}

func TestStatementTimeout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := readOptions(&pipelinev1.Connection{Database: path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := newHandle(path, o)
	if err := h.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { h.shut(); h.give() }()
	h.options.statementTimeout = 50 * time.Millisecond
	err = h.exec(t.Context(), "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n")
	if fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_CONNECTION {
		t.Errorf("endless statement: %v", err)
	}
	if err := h.exec(t.Context(), "SELECT 1"); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestManyStatements(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHandle(path, options{statementTimeout: time.Minute, synchronous: "FULL"})
	if err := h.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { h.shut(); h.give() }()
	for i := range 3 * statementsKept {
		if _, err := h.run(t.Context(), "SELECT "+strconv.Itoa(i), nil); err != nil {
			t.Fatal(err)
		}
		if len(h.statements) > statementsKept {
			t.Fatalf("%d statements kept", len(h.statements))
		}
	}
}
