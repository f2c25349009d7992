package mysql

import (
	"context"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	mysqldriver "github.com/go-sql-driver/mysql"

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
	for number, want := range map[uint16]flowv1.FaultClass{
		1205: conflict, 1213: conflict, 1020: conflict, 1412: conflict, 3101: conflict, 3572: conflict,
		1044: permission, 1045: permission, 1142: permission, 1143: permission, 1227: permission, 1370: permission, 1698: permission,
		1820: permission, 1862: permission, 3118: permission, 3159: permission, 4151: permission,
		1146: schema, 1193: schema, 1364: schema, 1665: schema, 1906: schema, 3105: schema, 4078: schema,
		1062: reference, 1451: reference, 1452: reference, 1586: reference,
		1048: data, 1264: data, 1265: data, 1292: data, 1366: data, 1406: data, 1416: data, 1526: data, 1644: data, 1690: data,
		3140: data, 3819: data, 4025: data, 4048: data,
		1021: capacity, 1040: capacity, 1047: capacity, 1114: capacity, 1203: capacity, 1206: capacity, 1226: capacity, 1290: capacity,
		1792: capacity, 1836: capacity, 1969: capacity, 3024: capacity, 3100: capacity,
		1053: connection, 1317: connection, 1927: connection, 2006: connection, 2013: connection, 3169: connection, 4031: connection,
	} {
		// The state says nothing: the number does.
		err := fmt.Errorf("wrapped: %w", &mysqldriver.MySQLError{Number: number, SQLState: [5]byte{'H', 'Y', '0', '0', '0'}, Message: "m"})
		if got, code := classOf(err); got != want || code != strconv.Itoa(int(number)) {
			t.Errorf("%d is %s with code %q, want %s", number, got, code, want)
		}
	}
	for state, want := range map[string]flowv1.FaultClass{
		"08S01": connection, "22007": data, "23000": reference, "28000": permission, "40001": conflict, "42S22": schema, "42000": schema,
		"45000": data, "HY000": unspecified, "XA100": unspecified,
	} {
		err := &mysqldriver.MySQLError{Number: 60000, SQLState: [5]byte([]byte(state))}
		if got, _ := classOf(err); got != want {
			t.Errorf("%s is %s, want %s", state, got, want)
		}
	}
	for _, err := range []error{
		io.ErrUnexpectedEOF, context.DeadlineExceeded, context.Canceled, driver.ErrBadConn, mysqldriver.ErrInvalidConn,
		mysqldriver.ErrMalformPkt, mysqldriver.ErrNoTLS,
	} {
		if got, code := classOf(err); got != connection || code != "" {
			t.Errorf("%v is %s with code %q", err, got, code)
		}
	}
	for _, err := range []error{mysqldriver.ErrCleartextPassword, mysqldriver.ErrUnknownPlugin, mysqldriver.ErrOldPassword} {
		if got, _ := classOf(err); got != permission {
			t.Errorf("%v is %s", err, got)
		}
	}
}

func TestFaultsSayWhatHelps(t *testing.T) {
	t.Parallel()
	to := &target{name: "db", user: "o'b", database: "d`b"}
	number := func(n uint16) error { return &mysqldriver.MySQLError{Number: n, Message: "m"} }
	for _, c := range []struct {
		err error
		fix string
	}{
		{number(1045), "ALTER USER 'o''b'@'%' IDENTIFIED BY"},
		{number(1044), "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON `d``b`.* TO 'o''b'@'%';"},
		{number(1049), "CREATE DATABASE `d``b` CHARACTER SET utf8mb4;"},
		{number(1040), "max_connections"},
		{number(3159), "ssl_disabled"},
		{number(1193), "connect_args"},
		{mysqldriver.ErrNoTLS, "set up TLS in the server"},
		{mysqldriver.ErrCleartextPassword, "allow_cleartext_passwords"},
		{fmt.Errorf("tls: %w", x509.UnknownAuthorityError{}), "ssl_ca"},
		{fmt.Errorf("tls: %w", x509.HostnameError{Certificate: &x509.Certificate{}}), "ssl_verify_identity"},
		{number(1665), "binlog_format"},
	} {
		if f := to.unreachable(c.err); !strings.Contains(f.Fix, c.fix) {
			t.Errorf("%v: fix %q, want %q", c.err, f.Fix, c.fix)
		}
	}
	f := failed("writing to t", number(1062))
	if f.Error() != "writing to t: Error 1062: m" || failed("again", f) != f {
		t.Errorf("%v", f)
	}
	if !errors.As(f, new(*mysqldriver.MySQLError)) {
		t.Error("the cause is lost")
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"a": "`a`", "a`b": "`a``b`", `a"b`: "`a\"b`"} {
		if got := quote(name); got != want {
			t.Errorf("%s becomes %s", name, got)
		}
	}
	if got := literal(`it's \`); got != `'it''s \'` {
		t.Error(got)
	}
	for account, want := range map[string]string{
		"app@%":             "GRANT SELECT ON t TO 'app'@'%';",
		"a@b@10.0.0.0/24":   "GRANT SELECT ON t TO 'a@b'@'10.0.0.0/24';",
		"o'brien@localhost": "GRANT SELECT ON t TO 'o''brien'@'localhost';",
	} {
		if got := grant([]string{"SELECT"}, "t", account); got != want {
			t.Errorf("%s: %s", account, got)
		}
	}
	c := column{shown: "enum('a','it''s','b,c','')"}
	if got := strings.Join(c.members(), "|"); got != "a|it's|b,c|" {
		t.Errorf("members %q", got)
	}
	if got := indexName(strings.Repeat("ü", 70)); len([]rune(got)) != 64 || !strings.HasSuffix(got, "_slipstream") {
		t.Errorf("index %q", got)
	}
}
