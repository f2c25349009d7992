package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"strconv"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

func schemaFault(format string, args ...any) *fault.Error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, format, args...)
}

// classed gives an error of the driver its class (https://www.sqlite.org/rescode.html). It keeps an error that has one.
func classed(err error) error {
	if err == nil {
		return nil
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrBadConn) {
			return fault.New(flowv1.FaultClass_FAULT_CLASS_CONNECTION, err)
		}
		return fault.New(flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED, err)
	}
	code := e.Code()
	out := fault.New(classOf(code), err).WithCode(codeName(code))
	if fix := fixFor(code); fix != "" {
		out = out.WithFix(fix)
	}
	return out
}

// classOf sorts result codes: the extended ones where they differ, then the primary ones.
func classOf(code int) flowv1.FaultClass {
	switch code {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID,
		sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return flowv1.FaultClass_FAULT_CLASS_REFERENCE
	}
	switch code & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_RANGE:
		return flowv1.FaultClass_FAULT_CLASS_DATA
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return flowv1.FaultClass_FAULT_CLASS_CONFLICT
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_NOLFS:
		return flowv1.FaultClass_FAULT_CLASS_CAPACITY
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return flowv1.FaultClass_FAULT_CLASS_PERMISSION
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_NOTADB:
		return flowv1.FaultClass_FAULT_CLASS_SCHEMA
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_ABORT,
		sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_CORRUPT:
		return flowv1.FaultClass_FAULT_CLASS_CONNECTION
	}
	return flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED
}

func fixFor(code int) string {
	switch code & 0xff {
	case sqlite3.SQLITE_FULL:
		return "free space on the disk of the database file"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return "let the service write to the database file and to its folder"
	case sqlite3.SQLITE_NOTADB:
		return "set database to the path of a SQLite file"
	case sqlite3.SQLITE_CORRUPT:
		return "run PRAGMA integrity_check on the file and restore it from a backup"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return "another process holds a lock on the file; end its transaction or raise busy_timeout"
	}
	return ""
}

// codeName is a result code as SQLite's documentation writes it, without the number where it has a name.
func codeName(code int) string {
	names := map[int]string{
		sqlite3.SQLITE_CONSTRAINT_UNIQUE: "SQLITE_CONSTRAINT_UNIQUE", sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: "SQLITE_CONSTRAINT_PRIMARYKEY",
		sqlite3.SQLITE_CONSTRAINT_ROWID: "SQLITE_CONSTRAINT_ROWID", sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: "SQLITE_CONSTRAINT_FOREIGNKEY",
		sqlite3.SQLITE_CONSTRAINT_NOTNULL: "SQLITE_CONSTRAINT_NOTNULL", sqlite3.SQLITE_CONSTRAINT_CHECK: "SQLITE_CONSTRAINT_CHECK",
		sqlite3.SQLITE_CONSTRAINT_DATATYPE: "SQLITE_CONSTRAINT_DATATYPE", sqlite3.SQLITE_CONSTRAINT_TRIGGER: "SQLITE_CONSTRAINT_TRIGGER",
		sqlite3.SQLITE_MISMATCH: "SQLITE_MISMATCH", sqlite3.SQLITE_TOOBIG: "SQLITE_TOOBIG",
		sqlite3.SQLITE_BUSY: "SQLITE_BUSY", sqlite3.SQLITE_LOCKED: "SQLITE_LOCKED", sqlite3.SQLITE_FULL: "SQLITE_FULL",
		sqlite3.SQLITE_READONLY: "SQLITE_READONLY", sqlite3.SQLITE_ERROR: "SQLITE_ERROR", sqlite3.SQLITE_IOERR: "SQLITE_IOERR",
		sqlite3.SQLITE_CANTOPEN: "SQLITE_CANTOPEN", sqlite3.SQLITE_CORRUPT: "SQLITE_CORRUPT", sqlite3.SQLITE_NOTADB: "SQLITE_NOTADB",
		sqlite3.SQLITE_INTERRUPT: "SQLITE_INTERRUPT",
	}
	if name := names[code]; name != "" {
		return name
	}
	if name := names[code&0xff]; name != "" && code > 0xff {
		return name + " " + strconv.Itoa(code)
	}
	return strconv.Itoa(code)
}
