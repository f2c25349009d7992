package postgres

import (
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// SQLSTATEs that this package asks for by name.
const (
	stateDivisionByZero    = "22012"
	stateDuplicateTable    = "42P07"
	stateDuplicateObject   = "42710"
	stateUniqueViolation   = "23505"
	stateNoPrivilege       = "42501"
	stateNoTable           = "42P01"
	stateNoSchema          = "3F000"
	stateNoDatabase        = "3D000"
	stateNoArbiter         = "42P10"
	stateReadOnly          = "25006"
	stateWrongPassword     = "28P01"
	stateRefusedByHBA      = "28000"
	stateNoColumn          = "42703"
	stateTooManyConnection = "53300"
)

// madeMeanwhile says that a CREATE TABLE found the table there, made by another session at the same moment: IF NOT EXISTS looks
// first, and then the server stumbles over the table, its row in the catalogue, or the type of its rows.
func madeMeanwhile(err error) bool {
	return hasState(err, stateDuplicateTable, stateUniqueViolation, stateDuplicateObject)
}

// byState classes whole SQLSTATEs, byClass their first two characters (design D9). What neither names is not a fault of
// the record: it waits.
var (
	byState = map[string]flowv1.FaultClass{
		"21000":                flowv1.FaultClass_FAULT_CLASS_DATA, // two rows with one key, equal only to the server: alone they pass
		"23001":                flowv1.FaultClass_FAULT_CLASS_REFERENCE,
		"23503":                flowv1.FaultClass_FAULT_CLASS_REFERENCE,
		"23P01":                flowv1.FaultClass_FAULT_CLASS_REFERENCE,
		stateUniqueViolation:   flowv1.FaultClass_FAULT_CLASS_REFERENCE,
		stateReadOnly:          flowv1.FaultClass_FAULT_CLASS_CAPACITY,
		"40003":                flowv1.FaultClass_FAULT_CLASS_CONNECTION, // whether it completed is not known
		stateNoPrivilege:       flowv1.FaultClass_FAULT_CLASS_PERMISSION,
		"55006":                flowv1.FaultClass_FAULT_CLASS_CONFLICT,
		"55P03":                flowv1.FaultClass_FAULT_CLASS_CONFLICT,
		"55P04":                flowv1.FaultClass_FAULT_CLASS_CONFLICT,
		stateNoDatabase:        flowv1.FaultClass_FAULT_CLASS_SCHEMA,
		stateNoSchema:          flowv1.FaultClass_FAULT_CLASS_SCHEMA,
		stateTooManyConnection: flowv1.FaultClass_FAULT_CLASS_CAPACITY,
	}
	byClass = map[string]flowv1.FaultClass{
		"08": flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		"0A": flowv1.FaultClass_FAULT_CLASS_SCHEMA, // a kind of table that cannot do this
		"0L": flowv1.FaultClass_FAULT_CLASS_PERMISSION,
		"0P": flowv1.FaultClass_FAULT_CLASS_PERMISSION,
		"22": flowv1.FaultClass_FAULT_CLASS_DATA,
		"23": flowv1.FaultClass_FAULT_CLASS_DATA,       // not null, check
		"25": flowv1.FaultClass_FAULT_CLASS_CONNECTION, // the transaction is gone, for example after a timeout
		"26": flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		"28": flowv1.FaultClass_FAULT_CLASS_PERMISSION,
		"40": flowv1.FaultClass_FAULT_CLASS_CONFLICT,
		"42": flowv1.FaultClass_FAULT_CLASS_SCHEMA,
		"44": flowv1.FaultClass_FAULT_CLASS_DATA,
		"53": flowv1.FaultClass_FAULT_CLASS_CAPACITY,
		"54": flowv1.FaultClass_FAULT_CLASS_DATA, // a value too large for an index
		"55": flowv1.FaultClass_FAULT_CLASS_SCHEMA,
		"57": flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		"58": flowv1.FaultClass_FAULT_CLASS_CAPACITY,
		"HV": flowv1.FaultClass_FAULT_CLASS_CONNECTION, // the server behind a foreign table
		"P0": flowv1.FaultClass_FAULT_CLASS_DATA,       // a trigger refuses the row
	}
)

// classOf is the class of an error of the driver. Without a SQLSTATE it is the network, or the server is gone.
func classOf(err error) (class flowv1.FaultClass, code string) {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return flowv1.FaultClass_FAULT_CLASS_CONNECTION, ""
	}
	if class, ok := byState[e.Code]; ok {
		return class, e.Code
	}
	if len(e.Code) == 5 {
		return byClass[e.Code[:2]], e.Code
	}
	return flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED, e.Code
}

// hasState tells whether the server said this SQLSTATE.
func hasState(err error, states ...string) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	for _, s := range states {
		if e.Code == s {
			return true
		}
	}
	return false
}

// failed makes a fault of a driver's error: what was being done, what the server said, its class.
func failed(doing string, err error) *fault.Error {
	var known *fault.Error
	if errors.As(err, &known) {
		return known
	}
	class, code := classOf(err)
	f := fault.Errorf(class, "%s: %w", doing, err).WithCode(code)
	var e *pgconn.PgError
	if errors.As(err, &e) {
		// The detail of a reference names the key that is missing or taken. Other details repeat the whole row.
		if class == flowv1.FaultClass_FAULT_CLASS_REFERENCE && e.Detail != "" {
			f = fault.Errorf(class, "%s: %w: %s", doing, err, e.Detail).WithCode(code)
		}
	}
	var unknownCA x509.UnknownAuthorityError
	var otherHost x509.HostnameError
	switch {
	case errors.As(err, &unknownCA):
		f = f.WithFix("set sslrootcert to the certificate of the authority that signed the server's")
	case errors.As(err, &otherHost):
		f = f.WithFix("connect to a name that the server's certificate has, or set sslmode to verify-ca")
	}
	return f
}

// unreachable makes a fault of a failure to connect, with what the operator can do.
func (t *target) unreachable(err error) *fault.Error {
	f := failed(fmt.Sprintf("connecting to %q", t.name), err)
	switch f.Code {
	case stateWrongPassword:
		return f.WithFix(fmt.Sprintf("correct user or password of connections.%s, or in the database: ALTER ROLE %s PASSWORD '…';",
			t.name, quote(t.user)))
	case stateRefusedByHBA:
		return f.WithFix(fmt.Sprintf("create the role, or let it in: a line in pg_hba.conf for user %s and database %s; its hostssl lines need sslmode: require here",
			t.user, t.database))
	case stateNoDatabase:
		return f.WithFix("CREATE DATABASE " + quote(t.database) + ";")
	case stateTooManyConnection:
		return f.WithFix(fmt.Sprintf("lower db_connection_pool_size of connections.%s or raise max_connections of the server", t.name))
	}
	return t.withoutTLS(f)
}
