package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"

	driver "github.com/go-sql-driver/mysql"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// Error numbers that this package asks for by name.
const (
	erDatabaseDenied = 1044
	erWrongPassword  = 1045
	erNoDatabase     = 1049
	erTableExists    = 1050
	erNoColumn       = 1054
	erTableDenied    = 1142
	erColumnDenied   = 1143
	erNoSuchTable    = 1146
	erUnknownSetting = 1193
	erSpecialDenied  = 1227
	erStatementMode  = 1665
)

// byNumber classes error numbers of both servers, bySQLState the rest by the first two characters of the SQLSTATE (design
// D9). What neither names is not a fault of the record: it waits.
var (
	byNumber = classes(map[flowv1.FaultClass][]uint16{
		flowv1.FaultClass_FAULT_CLASS_CONFLICT: {
			1020,       // the row changed since it was read (MariaDB, snapshot isolation)
			1205, 1213, // a lock that did not come in time, a deadlock
			1412, // the table was altered meanwhile
			3058, 3101, 3572,
		},
		flowv1.FaultClass_FAULT_CLASS_PERMISSION: {
			erDatabaseDenied, erWrongPassword, erTableDenied, erColumnDenied, erSpecialDenied,
			1130, 1141, 1251, 1275, 1345, 1370, 1410, 1419, 1524, 1698, 1820, 1862, 3118, 3159, 3530, 4151,
		},
		flowv1.FaultClass_FAULT_CLASS_SCHEMA: {
			erUnknownSetting, erStatementMode,
			1016, 1017, 1033, 1071, 1118, 1146, 1267, 1288, 1356, 1364, 1424, 1442, 1785, 1906, 3098, 3105, 3106,
			4078, 4079, 4161,
		},
		flowv1.FaultClass_FAULT_CLASS_REFERENCE: {1022, 1062, 1169, 1216, 1217, 1451, 1452, 1557, 1586, 1761, 1762},
		flowv1.FaultClass_FAULT_CLASS_DATA: {
			1048, 1153, 1242, 1264, 1265, 1292, 1300, 1365, 1366, 1367, 1369, 1406, 1411, 1416, 1441, 1525, 1526, 1644, 1690, 1748,
			3037, 3140, 3141, 3144, 3156, 3157, 3158, 3548, 3616, 3617, 3643, 3819, 3903, 3907, 4025, 4038, 4048, 4049,
		},
		flowv1.FaultClass_FAULT_CLASS_CAPACITY: {
			1021, 1026, 1030, 1036, 1037, 1038, 1041, 1114, 1135, 1197, 1206, 1436, 1461, 1534, 1637, 1878, // disk, memory
			1040, 1203, 1226, // connections
			1047,                         // a node of a cluster that is not ready
			1290, 1792, 1836, 1874, 3100, // read-only
			1969, 3019, 3024, 3168,
		},
		flowv1.FaultClass_FAULT_CLASS_CONNECTION: {
			1042, 1043, 1053, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1317, 1927, 2002, 2003, 2006, 2013, 2055, 3032, 3169, 4031,
		},
	})
	bySQLState = map[string]flowv1.FaultClass{
		"08": flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		"21": flowv1.FaultClass_FAULT_CLASS_SCHEMA,
		"22": flowv1.FaultClass_FAULT_CLASS_DATA,
		"23": flowv1.FaultClass_FAULT_CLASS_REFERENCE,
		"28": flowv1.FaultClass_FAULT_CLASS_PERMISSION,
		"40": flowv1.FaultClass_FAULT_CLASS_CONFLICT,
		"42": flowv1.FaultClass_FAULT_CLASS_SCHEMA,
		"44": flowv1.FaultClass_FAULT_CLASS_DATA,
		"45": flowv1.FaultClass_FAULT_CLASS_DATA, // a trigger refuses the row, under a number of its own
		"70": flowv1.FaultClass_FAULT_CLASS_CONNECTION,
	}
)

func classes(of map[flowv1.FaultClass][]uint16) map[uint16]flowv1.FaultClass {
	byNumber := map[uint16]flowv1.FaultClass{}
	for class, numbers := range of {
		for _, n := range numbers {
			byNumber[n] = class
		}
	}
	return byNumber
}

// classOf is the class of an error of the driver. Without a number it is the network, or the server is gone.
func classOf(err error) (class flowv1.FaultClass, code string) {
	var known *fault.Error
	if errors.As(err, &known) {
		return known.Class, known.Code
	}
	var e *driver.MySQLError
	if errors.As(err, &e) {
		code = strconv.Itoa(int(e.Number))
		if class, ok := byNumber[e.Number]; ok {
			return class, code
		}
		return bySQLState[string(e.SQLState[:2])], code
	}
	for _, unable := range []error{
		driver.ErrCleartextPassword, driver.ErrNativePassword, driver.ErrOldPassword, driver.ErrUnknownPlugin, driver.ErrOldProtocol,
	} {
		if errors.Is(err, unable) {
			return flowv1.FaultClass_FAULT_CLASS_PERMISSION, ""
		}
	}
	if errors.Is(err, driver.ErrPktTooLarge) {
		return flowv1.FaultClass_FAULT_CLASS_DATA, ""
	}
	return flowv1.FaultClass_FAULT_CLASS_CONNECTION, ""
}

// hasNumber tells whether the server said one of these.
func hasNumber(err error, numbers ...uint16) bool {
	var e *driver.MySQLError
	if !errors.As(err, &e) {
		return false
	}
	for _, n := range numbers {
		if e.Number == n {
			return true
		}
	}
	return false
}

// missesGrant tells whether a code says that the account may not do what it tried on a table.
func missesGrant(code string) bool {
	switch code {
	case strconv.Itoa(erDatabaseDenied), strconv.Itoa(erTableDenied), strconv.Itoa(erColumnDenied):
		return true
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
	switch {
	case hasNumber(err, erStatementMode):
		return f.WithFix("SET GLOBAL binlog_format = 'MIXED'; -- the log of statements alone cannot hold transactions that are READ COMMITTED")
	case hasNumber(err, erUnknownSetting):
		return f.WithFix("remove it from connect_args or query_args: what is no argument there is set as a variable of the session")
	}
	return f
}

// unreachable makes a fault of a failure to connect, with what the operator can do.
func (t *target) unreachable(err error) *fault.Error {
	f := failed(fmt.Sprintf("connecting to %q", t.name), err)
	account := literal(t.user) + "@'%'"
	var unknownCA x509.UnknownAuthorityError
	var otherHost x509.HostnameError
	var alert tls.AlertError
	switch {
	case hasNumber(err, erWrongPassword, 1698):
		// The answer is the same where the account, or all of MariaDB, wants more than a password.
		more := "an account that REQUIREs SSL or X509 needs ssl_ca, ssl_cert and ssl_key"
		if t.plain {
			more = "where the account demands TLS (REQUIRE SSL), or the server (require_secure_transport), remove ssl_disabled"
		}
		return f.WithFix(fmt.Sprintf("correct user or password of connections.%s, or in the database: ALTER USER %s IDENTIFIED BY '…';"+
			" %s", t.name, account, more))
	case hasNumber(err, erDatabaseDenied):
		return f.WithFix(fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON %s.* TO %s;", quote(t.database), account))
	case hasNumber(err, erNoDatabase):
		return f.WithFix("CREATE DATABASE " + quote(t.database) + " CHARACTER SET utf8mb4;")
	case hasNumber(err, 1040, 1203, 1226):
		return f.WithFix(fmt.Sprintf("lower db_connection_pool_size of connections.%s or raise max_connections of the server", t.name))
	case hasNumber(err, 3159):
		return f.WithFix("remove ssl_disabled: the server takes encrypted connections alone")
	case errors.Is(err, driver.ErrNoTLS):
		return f.WithFix("set up TLS in the server (ssl_cert, ssl_key), or remove the attributes ssl_… of connections." + t.name)
	case errors.Is(err, driver.ErrCleartextPassword):
		return f.WithFix("set allow_cleartext_passwords: true, with TLS, or give the account another authentication plugin")
	case errors.As(err, &unknownCA):
		return f.WithFix("set ssl_ca to the certificate of the authority that signed the server's")
	case errors.As(err, &otherHost):
		return f.WithFix("connect to a name that the server's certificate has, or leave ssl_verify_identity out")
	case errors.As(err, &alert):
		return f.WithFix("set ssl_cert and ssl_key to a certificate that the server takes")
	}
	return f
}
