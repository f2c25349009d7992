package postgres

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	flowv1 "slipstream/proto/slipstream/flow/v1"
)

func TestClasses(t *testing.T) {
	t.Parallel()
	const (
		unspecified = flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED
		connection  = flowv1.FaultClass_FAULT_CLASS_CONNECTION
		conflict    = flowv1.FaultClass_FAULT_CLASS_CONFLICT
		capacity    = flowv1.FaultClass_FAULT_CLASS_CAPACITY
		permission  = flowv1.FaultClass_FAULT_CLASS_PERMISSION
		schema      = flowv1.FaultClass_FAULT_CLASS_SCHEMA
		reference   = flowv1.FaultClass_FAULT_CLASS_REFERENCE
		data        = flowv1.FaultClass_FAULT_CLASS_DATA
	)
	for state, want := range map[string]flowv1.FaultClass{
		"08000": connection, "08006": connection, "08P01": connection,
		"57014": connection, "57P01": connection, "57P02": connection, "57P03": connection, "57P04": connection, "57P05": connection,
		"25P02": connection, "25P03": connection, "25P04": connection, "26000": connection, "40003": connection,
		"40001": conflict, "40P01": conflict, "55P03": conflict, "55006": conflict,
		"53000": capacity, "53100": capacity, "53200": capacity, "53300": capacity, "53400": capacity, "25006": capacity, "58030": capacity,
		"28000": permission, "28P01": permission, "42501": permission, "0P000": permission,
		"3D000": schema, "3F000": schema, "42P01": schema, "42703": schema, "42P10": schema, "42804": schema, "42883": schema,
		"428C9": schema, "42601": schema, "0A000": schema, "55000": schema,
		"23503": reference, "23505": reference, "23P01": reference, "23001": reference,
		"21000": data, "22001": data, "22003": data, "22007": data, "22P02": data, "22P05": data, "22021": data,
		"23502": data, "23514": data, "44000": data, "54000": data, "P0001": data,
		"XX000": unspecified, "F0000": unspecified, "": unspecified,
	} {
		// The driver wraps what the server says in errors of its own.
		err := fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: state, Message: "m"})
		if got, code := classOf(err); got != want || code != state {
			t.Errorf("%s is %s with code %q, want %s", state, got, code, want)
		}
	}
	for _, err := range []error{io.ErrUnexpectedEOF, context.DeadlineExceeded, context.Canceled, errors.New("conn closed")} {
		if got, code := classOf(err); got != connection || code != "" {
			t.Errorf("%v is %s with code %q", err, got, code)
		}
	}
}

func TestFaultsSayWhatHelps(t *testing.T) {
	t.Parallel()
	f := failed("writing to t", &pgconn.PgError{Severity: "ERROR", Code: "23503", Message: "violates", Detail: "Key (a)=(1) is not present."})
	if got := f.Error(); got != "writing to t: ERROR: violates (SQLSTATE 23503): Key (a)=(1) is not present." {
		t.Error(got)
	}
	// The detail of these is the row, which the dead letter shows anyway.
	f = failed("writing to t", &pgconn.PgError{Code: "23502", Message: "null value", Detail: "Failing row contains (1, secret)."})
	if strings.Contains(f.Error(), "secret") {
		t.Error(f.Error())
	}
	if f := failed("connecting", fmt.Errorf("tls: %w", x509.UnknownAuthorityError{})); !strings.Contains(f.Fix, "sslrootcert") {
		t.Error(f.Fix)
	}
	if failed("again", f) != f {
		t.Error("a fault was wrapped in another")
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{`a`: `"a"`, `a"b`: `"a""b"`, `x"; DROP TABLE t; --`: `"x""; DROP TABLE t; --"`} {
		if got := quote(name); got != want {
			t.Errorf("%s becomes %s", name, got)
		}
	}
	if got := literal(`it's`); got != `'it''s'` {
		t.Error(got)
	}
}
