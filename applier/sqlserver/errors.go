package sqlserver

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"

	mssql "github.com/microsoft/go-mssqldb"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// Numbers that this package asks for by name.
const (
	errNoColumn       = 207
	errNoObject       = 208
	errNoPermission   = 229
	errNoColumnGrant  = 230
	errNoCreate       = 262
	errReference      = 547
	errObjectExists   = 2714
	errDuplicateIndex = 2601
	errDuplicateKey   = 2627
	errTooLong        = 2628
	errTooLongBefore  = 8152 // the same, without naming the column
	errNoSchema       = 2760
	errNoDatabase     = 4060
	errLogin          = 18456
	errFirewall       = 40615
)

// firstOfUsers is where the numbers of RAISERROR and THROW begin: a trigger or constraint of the user's refuses.
const firstOfUsers = 50000

// classes are the classes of error numbers (design D9). What is not here is not a fault of the record: it waits.
var classes = map[flowv1.FaultClass][]int32{
	flowv1.FaultClass_FAULT_CLASS_DATA: {
		220, 232, 234, 237, 241, 242, 244, 245, 248, 293, 295, 296, // conversions
		511,  // the row is longer than a page
		515,  // NULL
		517,  // a date leaves its range
		535,  // a difference of dates does
		550,  // WITH CHECK OPTION
		1946, // the entry of an index is too long
		1919, // the type cannot be a key
		errTooLong, errTooLongBefore,
		3609, 3616, // a trigger ended the transaction
		3989, 3991,
		6107, 6113, 6354, 6355, 6358, 6522, 6569, // XML and types of the runtime
		6903, 6908, 6909, 6910, 6913, 6923, 6926, 6965,
		7105, 7139,
		8114, 8115, 8134, 8169,
		9400, 9402, 9403, 9410, 9411, 9412, 9413, 9414, 9420, 9421, 9422, 9436, 9448, 9455,
		9803, 9805, 9807, 9808, 9809, 9810,
		13608, 13609, // JSON
		16902,
		24111, 24112, 24114, 24117, 24141, 24142, 24200, 24205, // spatial
	},
	flowv1.FaultClass_FAULT_CLASS_REFERENCE: {errReference, errDuplicateIndex, errDuplicateKey},
	flowv1.FaultClass_FAULT_CLASS_CONFLICT: {
		1205, 1211, 1222, // deadlock, time for a lock
		628, 3902, 3903, 3910, 3926, 3928, 3930, 3931, 3971, 3998, // the transaction is gone or cannot be committed
		3960, 3961, // snapshots
		5245, 601,
		8628,                                     // time for a plan
		41301, 41302, 41305, 41325, 41332, 41839, // tables in memory
	},
	flowv1.FaultClass_FAULT_CLASS_CAPACITY: {
		701, 708, 802, 845, 846, 847, // memory and latches
		1101, 1104, 1105, 1121, 1124, 1204, 9001, 9002, 9104, // space, locks, log
		823, 824, 825, 829, 5149, 5123,
		3906, 3908, // the database is read-only, or in emergency
		3958, 3966, 3967, // version store
		1132, 3641,
		8623, 8645, 8651, 8657, 8662, 8691,
		10928, 10929, 10936, 40501, 40544, 40549, 40550, 40551, 40552, 40553, 49918, 49919, 49920, // Azure
		17300, 17308, 17809, 17810, 17884, 17887, 17888, 18401,
		41822, 41823, 41840,
	},
	flowv1.FaultClass_FAULT_CLASS_PERMISSION: {
		errNoPermission, errNoColumnGrant, errNoCreate, 297, 300, 371, 916, 978, 1088, errNoDatabase, 4064, 2557,
		15151, 15247, 15404, 15405, 15517, 15622,
		17806, 17828, 17830, 17832, 17892, errLogin, 18450, 18451, 18452, 18458, 18459, 18460, 18461, 18463, 18464, 18465, 18466, 18467, 18468,
		18470, 18471, 18486, 18487, 18488, 33073, 40532, errFirewall, 40914, 47073,
	},
	flowv1.FaultClass_FAULT_CLASS_SCHEMA: {
		102, 105, 107, 109, 110, 121, 128, 137, 156, 170, 195, 201, 203, 206, 209, 213, 217, 257, 260, 264, 266, 271, 272, 273, 306, 319, 321,
		334, 352, 402, 403, 421, 445, 447, 448, 451, 457, 468, 529, 544, 545, 1002, 1003,
		errNoColumn, errNoObject, 911, 1750, 1769, 1770, 1776, 1777, 1779, 1785, 1904, 1911, 1913, 1935, 2705, errObjectExists, errNoSchema, 2812,
		3701, 3728, 4104, 4121, 4145, 4413, 4425, 4902, 4924, 4922, 4988, 5074, 5061,
		8101, 8102, 8106, 8107, 8108, 8117, 8144, 8145, 8146, 8178, 8180, 8155, 8156, 8158, 8159, 8621, 8622, 8624,
		11501, 11502, 13536, 13537, 13538, 13542, 13575, 13587, 33111,
	},
	flowv1.FaultClass_FAULT_CLASS_CONNECTION: {
		-2, -1, 2, 20, 21, 53, 64, 233, 258,
		596, 615, 617, 921, 922, 923, 924, 926, 927, 942, 945, 952, 954, 955, 976, 979, 980, 981, 982, 983, 988,
		1203, 1221, 1413, 1828, 3935, 4014, 4031, 4221, 4891, 6002, 6004, 6005, 6006, 6104,
		10053, 10054, 10060, 10061, 10065, 10922, 11001, 14355, 14906, 17142, 17148, 17182, 17187, 17188, 17189, 17197, 17829, 18056,
		40143, 40166, 40174, 40197, 40540, 40545, 40602, 40613, 40627, 40642, 40648, 40671, 40675, 40806, 40847, 42108, 42109,
	},
}

// byNumber is classes the other way round.
var byNumber = func() map[int32]flowv1.FaultClass {
	m := map[int32]flowv1.FaultClass{}
	for class, numbers := range classes {
		for _, n := range numbers {
			m[n] = class
		}
	}
	return m
}()

// deciding is the error of an answer that says most: a server says several, and the last is often only that the statement
// was ended.
func deciding(err error) (mssql.Error, bool) {
	var e mssql.Error
	if !errors.As(err, &e) {
		return e, false
	}
	for _, one := range e.All {
		if _, known := byNumber[one.Number]; known || one.Number >= firstOfUsers {
			return one, true
		}
	}
	return e, true
}

// number is that of a server's error; 0 where it is none of the server.
func number(err error) int32 {
	if err == nil {
		return 0
	}
	if e, ok := deciding(err); ok {
		return e.Number
	}
	return 0
}

// severities of errors that mean more than their number: from this on the server ends the connection.
const fatalSeverity = 20

// classOf is the class of an error of the driver. Without a number it is the network, or the server is gone.
func classOf(err error) (class flowv1.FaultClass, code string) {
	e, ok := deciding(err)
	if !ok {
		return flowv1.FaultClass_FAULT_CLASS_CONNECTION, ""
	}
	code = strconv.Itoa(int(e.Number))
	if class, ok := byNumber[e.Number]; ok {
		return class, code
	}
	switch {
	case e.Class >= fatalSeverity:
		return flowv1.FaultClass_FAULT_CLASS_CONNECTION, code
	case e.Number >= firstOfUsers && e.Number < 1<<24:
		return flowv1.FaultClass_FAULT_CLASS_DATA, code
	case e.Class == 17:
		return flowv1.FaultClass_FAULT_CLASS_CAPACITY, code
	case e.Class == 14:
		return flowv1.FaultClass_FAULT_CLASS_PERMISSION, code
	}
	return flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED, code
}

// failed makes a fault of a driver's error: what was being done, what the server said, its class.
func failed(doing string, err error) *fault.Error {
	var known *fault.Error
	if errors.As(err, &known) {
		return known
	}
	class, code := classOf(err)
	f := fault.Errorf(class, "%s: %w", doing, err).WithCode(code)
	var unknownCA x509.UnknownAuthorityError
	var otherHost x509.HostnameError
	switch {
	case errors.As(err, &unknownCA):
		f = f.WithFix("set ca_cert to the certificate of the authority that signed the server's, or trust_server_certificate: true")
	case errors.As(err, &otherHost):
		f = f.WithFix("set server_name to a name that the server's certificate has")
	}
	return f
}

// failed is failed for a table. The number of a broken CHECK constraint is that of a broken foreign key too; the table's own
// constraints tell them apart.
func (b *bound) failed(doing string, err error) *fault.Error {
	f := failed(doing, err)
	if e, ok := deciding(err); ok && e.Number == errReference && (!b.relation.foreign || b.relation.refersByCheck(e.Message)) {
		f.Class = flowv1.FaultClass_FAULT_CLASS_DATA
	}
	return f
}

// unreachable makes a fault of a failure to connect, with what the operator can do.
func (t *target) unreachable(err error) *fault.Error {
	f := failed(fmt.Sprintf("connecting to %q", t.name), err)
	switch number(err) {
	case errLogin:
		return f.WithFix(fmt.Sprintf("correct user or password of connections.%s, or in the server: ALTER LOGIN %s WITH PASSWORD = '…';",
			t.name, quote(t.user)))
	case 18452, 18450:
		return f.WithFix("the server takes Windows logins alone: write user: DOMAIN\\account, or set it to mixed mode")
	case errNoDatabase, 911, 916, 4064:
		return f.WithFix(fmt.Sprintf("create the database, or let the account in: USE %s; CREATE USER %s FOR LOGIN %s;",
			quote(t.database), quote(t.user), quote(t.user)))
	case errFirewall:
		return f.WithFix("let this address through the firewall of the server")
	}
	if errors.Is(err, context.DeadlineExceeded) && f.Fix == "" {
		f = f.WithFix(fmt.Sprintf("see that the server answers, or raise db_connection_pool_size or connect_timeout of connections.%s", t.name))
	}
	return f
}
