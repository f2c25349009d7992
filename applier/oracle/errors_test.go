package oracle

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/sijms/go-ora/v2/network"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// TestClasses: error numbers have their class (design D9), and what is named nowhere waits.
func TestClasses(t *testing.T) {
	target := testTarget(t, newStandin())
	for want, numbers := range map[flowv1.FaultClass][]int{
		flowv1.FaultClass_FAULT_CLASS_REFERENCE:   {1, 2291, 2292, 2091},
		flowv1.FaultClass_FAULT_CLASS_DATA:        {1400, 1407, 1438, 1426, 1722, 1830, 1840, 1843, 1847, 1858, 1861, 2290, 12899, 20000, 20999, 1461, 6502, 40441, 31011, 14400},
		flowv1.FaultClass_FAULT_CLASS_CONFLICT:    {60, 54, 8177, 30006, 1555, 4068},
		flowv1.FaultClass_FAULT_CLASS_SCHEMA:      {942, 904, 903, 932, 947, 913, 32795, 54013, 1502, 38104},
		flowv1.FaultClass_FAULT_CLASS_PERMISSION:  {1031, 1017, 28000, 28001, 1045, 1950},
		flowv1.FaultClass_FAULT_CLASS_CONNECTION:  {12514, 12505, 12541, 12170, 3113, 3114, 3135, 1089, 1033, 1034, 28, 1012, 1013, 12537, 12528, 12599},
		flowv1.FaultClass_FAULT_CLASS_CAPACITY:    {1653, 1654, 1536, 257, 19809, 16000, 18, 20, 12519, 12516, 30036, 4031, 1652, 1456},
		flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED: {600, 7445, 99999},
	} {
		for _, n := range numbers {
			f := target.failed("writing to T", fmt.Errorf("driver: %w", ora(n)))
			if f.Class != want || f.Code != fmt.Sprintf("ORA-%05d", n) || !strings.HasPrefix(f.Error(), "writing to T: ") {
				t.Errorf("%s is %s: %v", f.Code, fault.ClassName(f.Class), f)
			}
		}
	}
	for _, err := range []error{io.EOF, context.DeadlineExceeded, driver.ErrBadConn, network.ErrConnReset} {
		if f := target.failed("x", err); f.Class != flowv1.FaultClass_FAULT_CLASS_CONNECTION || !errors.Is(f, err) {
			t.Errorf("%v is %s", err, fault.ClassName(f.Class))
		}
	}
}

// TestOneClass: no number stands in two classes.
func TestOneClass(t *testing.T) {
	seen := map[int]flowv1.FaultClass{}
	for class, numbers := range classes {
		for _, n := range numbers {
			if other, ok := seen[n]; ok && other != class {
				t.Errorf("ORA-%05d is %s and %s", n, fault.ClassName(class), fault.ClassName(other))
			}
			seen[n] = class
		}
	}
}

// TestFixes: what the operator can do.
func TestFixes(t *testing.T) {
	target := testTarget(t, newStandin())
	for n, want := range map[int]string{
		1017: `ALTER USER "APP" IDENTIFIED BY`, 28000: `ALTER USER "APP" ACCOUNT UNLOCK;`, 28001: `ALTER USER "APP" IDENTIFIED`, 1045: `GRANT CREATE SESSION TO "APP";`,
		1536: `ALTER USER "APP" QUOTA UNLIMITED ON`, 12514: "service_name of connections.ora", 12505: "query_args: {service_name:", 12541: "lsnrctl start",
		1653: "ADD DATAFILE", 257: "DB_RECOVERY_FILE_DEST_SIZE", 16000: "primary", 12519: "db_connection_pool_size", 1502: "REBUILD",
	} {
		if f := target.failed("x", ora(n)); !strings.Contains(f.Fix, want) {
			t.Errorf("ORA-%05d: %q", n, f.Fix)
		}
	}
	target.user = `"app"`
	if target.account() != `"app"` {
		t.Error(target.account())
	}
}
