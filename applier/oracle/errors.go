package oracle

import (
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/sijms/go-ora/v2/network"

	"slipstream/applier"
	"slipstream/applier/value"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// Error numbers that this package asks for by name.
const (
	oraUnique        = 1
	oraNoTable       = 942
	oraNameTaken     = 955
	oraWrongPassword = 1017
	oraNoPrivilege   = 1031
	oraNoSession     = 1045
	oraQuota         = 1536
	oraNoQuota       = 1950
	oraLocked        = 28000
	oraExpired       = 28001
	oraNoService     = 12514
	oraNoSID         = 12505
	oraNoListener    = 12541
	oraArchiver      = 257
	oraRecovery      = 19809
	oraReadOnly      = 16000
	oraWaited        = 30006
	oraNoColumn      = 904
)

// classes are the numbers of each class (design D9); ranges stand in byRange. What is named nowhere is not a fault of the
// record: it waits.
var classes = map[flowv1.FaultClass][]int{
	flowv1.FaultClass_FAULT_CLASS_CONNECTION: {
		28, 1012, 1013, 1033, 1034, 1035, 1041, 1089, 1090, 1092, 2396, 2399, 3113, 3114, 3135, 3136, 12150, 12152, 12153, 12154, 12170,
		12203, 12224, oraNoSID, oraNoService, 12528, 12529, 12535, 12537, 12538, oraNoListener, 12543, 12545, 12547, 12560, 12571,
		25401, 25402, 25408, 25409, 12608, 12609,
	},
	flowv1.FaultClass_FAULT_CLASS_CONFLICT: {
		54, 60, 104, 1555, 4020, 4021, 4061, 4068, 8006, 8103, 8176, 8177, 12829, 14450, 24761, oraWaited, 48913, 2049,
	},
	flowv1.FaultClass_FAULT_CLASS_CAPACITY: {
		18, 19, 20, 55, oraArchiver, 1114, 1115, 1144, 1237, 1456, oraQuota, 1562, 1565, 1578, 1600, 1628, 1631, 1632, 1650, 1651, 1652, 1653,
		1654, 1655, 1658, 1659, 1683, 1688, 1691, 1692, 1693, 1694, 2391, 4030, 4031, 4036, 12516, 12518, 12519, 12520, 12526, 12527,
		16000, 16014, 16020, 16038, 16456, oraRecovery, 19815, 30009, 30036, 64307, 65114,
	},
	flowv1.FaultClass_FAULT_CLASS_PERMISSION: {
		990, oraWrongPassword, oraNoPrivilege, oraNoSession, 1720, 1749, oraNoQuota, 2004, 28000, 28001, 28003, 28009, 28040, 28365,
		41900, 46370, 1994, 1005, 988,
	},
	flowv1.FaultClass_FAULT_CLASS_SCHEMA: {
		1502, 1733, 1732, 1776, 1779, 2289, 4043, 4044, 6550, 6575, 32795, 38104, 54013, 54016, 54017, 1408, 1430, 1442, 1451, 2264,
		4063, 4067, 4098, 30926,
	},
	flowv1.FaultClass_FAULT_CLASS_REFERENCE: {oraUnique, 2091, 2291, 2292},
	flowv1.FaultClass_FAULT_CLASS_DATA: {
		1400, 1401, 1407, 1411, 1426, 1428, 1438, 1455, 1457, 1461, 1465, 1480, 1482, 1483, 1489, 1704, 1722, 1723, 1727, 1790, 2290, 2359,
		2366, 3106, 6502, 12704, 12899, 12713, 14400, 14401, 14402, 19011, 19202, 22835, 22814, 22858, 22922, 28115, 30625, 31011, 31013,
		31020, 31061, 31186, 40441, 40442, 40462, 40474, 40587, 40596, 64464, 1873, 1874, 1875, 1876, 1877, 1878, 1881, 1888, 1891, 25137, 22288,
	},
}

// byRange classes numbers that stand together.
var byRange = []struct {
	from, to int
	class    flowv1.FaultClass
}{
	{900, 989, flowv1.FaultClass_FAULT_CLASS_SCHEMA},         // the statement and its names
	{1830, 1868, flowv1.FaultClass_FAULT_CLASS_DATA},         // dates, times and intervals
	{20000, 20999, flowv1.FaultClass_FAULT_CLASS_DATA},       // a trigger refuses the row
	{12150, 12699, flowv1.FaultClass_FAULT_CLASS_CONNECTION}, // the network
}

var byNumber = func() map[int]flowv1.FaultClass {
	out := map[int]flowv1.FaultClass{}
	for class, numbers := range classes {
		for _, n := range numbers {
			out[n] = class
		}
	}
	return out
}()

// numberOf is the number of what the server said; 0 where it said nothing.
func numberOf(err error) int {
	var e *network.OracleError
	if !errors.As(err, &e) {
		return 0
	}
	return e.ErrCode
}

// has tells whether the server said one of these numbers.
func has(err error, numbers ...int) bool {
	n := numberOf(err)
	for _, x := range numbers {
		if n == x {
			return n != 0
		}
	}
	return false
}

// classOf is the class of an error of the driver. Without a number it is the network, or the server is gone.
func classOf(err error) (class flowv1.FaultClass, code string) {
	n := numberOf(err)
	if n == 0 {
		return flowv1.FaultClass_FAULT_CLASS_CONNECTION, ""
	}
	code = fmt.Sprintf("ORA-%05d", n)
	if class, ok := byNumber[n]; ok {
		return class, code
	}
	for _, r := range byRange {
		if n >= r.from && n <= r.to {
			return r.class, code
		}
	}
	return flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED, code
}

// failed makes a fault of a driver's error: what was being done, what the server said, its class, and what can be done.
func (t *target) failed(doing string, err error) *fault.Error {
	var known *fault.Error
	if errors.As(err, &known) {
		return known
	}
	class, code := classOf(err)
	f := fault.Errorf(class, "%s: %w", doing, err).WithCode(code)
	var e *network.OracleError
	if errors.As(err, &e) { // without the place in a text that nobody sees, and without the line's end
		f = fault.Errorf(class, "%s: %w", doing, &said{e}).WithCode(code)
	}
	if errors.Is(err, driver.ErrBadConn) {
		f = fault.Errorf(class, "%s: the connection was lost: %w", doing, err)
	}
	return f.WithFix(t.fix(err))
}

// said is what the server said, in one line.
type said struct{ *network.OracleError }

func (s *said) Error() string {
	text := s.ErrMsg
	if text == "" {
		text = s.OracleError.Error()
	}
	return strings.Join(strings.Fields(text), " ")
}

func (s *said) Unwrap() error { return s.OracleError }

// fix is what the operator can do about an error, whatever was being done.
func (t *target) fix(err error) string {
	var unknownCA x509.UnknownAuthorityError
	var otherHost x509.HostnameError
	switch {
	case errors.As(err, &unknownCA):
		return "set wallet_location to a wallet with the certificate of the authority that signed the server's"
	case errors.As(err, &otherHost):
		return "connect to a name that the server's certificate has, or set ssl_server_dn_match: no"
	}
	switch numberOf(err) {
	case oraWrongPassword:
		return fmt.Sprintf("correct user or password of connections.%s, or in the database: ALTER USER %s IDENTIFIED BY \"…\";", t.name, t.account())
	case oraLocked:
		return fmt.Sprintf("ALTER USER %s ACCOUNT UNLOCK;", t.account())
	case oraExpired:
		return fmt.Sprintf("ALTER USER %s IDENTIFIED BY \"…\";", t.account())
	case oraNoSession:
		return fmt.Sprintf("GRANT CREATE SESSION TO %s;", t.account())
	case oraQuota, oraNoQuota:
		return fmt.Sprintf("ALTER USER %s QUOTA UNLIMITED ON <tablespace>;", t.account())
	case oraNoService:
		return fmt.Sprintf("correct service_name of connections.%s: lsnrctl services shows what the listener knows; or start the database", t.name)
	case oraNoSID:
		return fmt.Sprintf("correct database of connections.%s, or write query_args: {service_name: <service>} instead, which pluggable databases need", t.name)
	case oraNoListener:
		return fmt.Sprintf("correct host and port of connections.%s, or start the listener: lsnrctl start", t.name)
	case 1653, 1654, 1652, 1658, 1688, 1691, 1692:
		return "give the tablespace room: ALTER TABLESPACE <tablespace> ADD DATAFILE …;"
	case oraArchiver, oraRecovery, 19815, 16038, 16014:
		return "the area for archived logs is full: delete backed-up logs (RMAN> DELETE ARCHIVELOG ALL BACKED UP 1 TIMES TO DISK;), or raise DB_RECOVERY_FILE_DEST_SIZE"
	case oraReadOnly, 16456:
		return "connect to the primary database: this one is open for reading alone"
	case 18, 20, 2391, 12516, 12519, 12520:
		return fmt.Sprintf("lower db_connection_pool_size of connections.%s, or raise PROCESSES and SESSIONS of the server or SESSIONS_PER_USER of the profile", t.name)
	case 1502:
		return "ALTER INDEX <index> REBUILD;"
	}
	return ""
}

// account is the user as statements name it: the server writes names without quotes in capitals.
func (t *target) account() string {
	if strings.HasPrefix(t.user, `"`) {
		return t.user
	}
	return quote(strings.ToUpper(t.user))
}

// unfitting is the fault of a value that does not fit its column.
func unfitting(w *applier.Write, column int, row int32, why string) error {
	c := &w.Table.Columns[column]
	return fault.New(flowv1.FaultClass_FAULT_CLASS_DATA, &value.Error{
		Value: shortened(w.Values.Columns[column].At(row)), Type: c.Type.Name, Column: c.Name, Reason: why,
	})
}
