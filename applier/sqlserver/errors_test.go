package sqlserver

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	mssql "github.com/microsoft/go-mssqldb"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// TestClasses: an error number has its class (design D9), however the driver wraps it.
func TestClasses(t *testing.T) {
	const (
		connection = flowv1.FaultClass_FAULT_CLASS_CONNECTION
		conflict   = flowv1.FaultClass_FAULT_CLASS_CONFLICT
		capacity   = flowv1.FaultClass_FAULT_CLASS_CAPACITY
		permission = flowv1.FaultClass_FAULT_CLASS_PERMISSION
		schema     = flowv1.FaultClass_FAULT_CLASS_SCHEMA
		reference  = flowv1.FaultClass_FAULT_CLASS_REFERENCE
		data       = flowv1.FaultClass_FAULT_CLASS_DATA
	)
	for class, numbers := range map[flowv1.FaultClass][]int32{
		conflict:   {1205, 1222, 3960, 3902, 3930, 41302},
		reference:  {547, 2601, 2627},
		data:       {220, 241, 242, 245, 515, 2628, 8114, 8115, 8152, 9402, 1946, 3609, 50000, 51234},
		schema:     {207, 208, 544, 911, 2812, 4902, 8102, 102, 468},
		permission: {229, 230, 262, 916, 4060, 18452, 18456, 40615},
		capacity:   {701, 845, 1101, 1105, 1204, 3906, 9002, 10928, 10929, 40501, 40544, 49918, 49919, 49920},
		connection: {40197, 40613, 4221, 233, 10054, 6005, 596, 983},
	} {
		for _, n := range numbers {
			err := fmt.Errorf("wrapped: %w", mssql.Error{Number: n, Class: 16, Message: "said so"})
			f := failed("writing", err)
			if f.Class != class || f.Code != fmt.Sprint(n) {
				t.Errorf("%d is %s with code %s, want %s", n, fault.ClassName(f.Class), f.Code, fault.ClassName(class))
			}
		}
	}
	for name, c := range map[string]struct {
		err  error
		want flowv1.FaultClass
	}{
		"network":                {&net.OpError{Op: "read", Err: io.ErrUnexpectedEOF}, connection},
		"end of stream":          {io.EOF, connection},
		"time":                   {context.DeadlineExceeded, connection},
		"fatal, unknown":         {mssql.Error{Number: 999, Class: 21}, connection},
		"resources, unknown":     {mssql.Error{Number: 999, Class: 17}, capacity},
		"permission, unknown":    {mssql.Error{Number: 999, Class: 14}, permission},
		"unknown":                {mssql.Error{Number: 999, Class: 16}, flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED},
		"the first of several":   {mssql.Error{Number: 18456, All: []mssql.Error{{Number: 4060}, {Number: 18456}}}, permission},
		"a trigger that refuses": {mssql.Error{Number: 3609, All: []mssql.Error{{Number: 50000}, {Number: 3609}}}, data},
		"a statement that ended": {mssql.Error{Number: 3621, All: []mssql.Error{{Number: 2627}, {Number: 3621}}}, reference},
	} {
		if class, _ := classOf(c.err); class != c.want {
			t.Errorf("%s: %s, want %s", name, fault.ClassName(class), fault.ClassName(c.want))
		}
	}
	if n := number(mssql.Error{Number: 18456, All: []mssql.Error{{Number: 4060}, {Number: 18456}}}); n != 4060 {
		t.Errorf("the deciding number is %d", n)
	}
}

// TestNoNumberTwice: a number has one class.
func TestNoNumberTwice(t *testing.T) {
	seen := map[int32]flowv1.FaultClass{}
	for class, numbers := range classes {
		for _, n := range numbers {
			if other, twice := seen[n]; twice {
				t.Errorf("%d is %s and %s", n, fault.ClassName(other), fault.ClassName(class))
			}
			seen[n] = class
		}
	}
}

// TestConstraint: 547 is a CHECK constraint where the table says so, else a foreign key.
func TestConstraint(t *testing.T) {
	err := mssql.Error{Number: 547, Message: `The INSERT statement conflicted with the CHECK constraint "CK_qty". The conflict occurred in database "fleet".`}
	for name, c := range map[string]struct {
		relation relation
		want     flowv1.FaultClass
	}{
		"no foreign key at all":    {relation{}, flowv1.FaultClass_FAULT_CLASS_DATA},
		"both, and it is the one":  {relation{foreign: true, checks: []string{"CK_age", "CK_qty"}}, flowv1.FaultClass_FAULT_CLASS_DATA},
		"both, and it is no check": {relation{foreign: true, checks: []string{"CK_age"}}, flowv1.FaultClass_FAULT_CLASS_REFERENCE},
	} {
		b := &bound{relation: &c.relation}
		if f := b.failed("writing", err); f.Class != c.want {
			t.Errorf("%s: %s", name, fault.ClassName(f.Class))
		}
	}
}

// TestFixes: what the operator can do comes with the error.
func TestFixes(t *testing.T) {
	target := &target{name: "db", user: "ap]p", database: "fleet", position: newPositionTable("ops.positions"), rows: newRowTable("")}
	for name, c := range map[string]struct {
		f   *fault.Error
		fix string
	}{
		"wrong password":      {target.unreachable(mssql.Error{Number: 18456}), "ALTER LOGIN [ap]]p] WITH PASSWORD"},
		"no database":         {target.unreachable(mssql.Error{Number: 4060}), "USE [fleet]; CREATE USER [ap]]p] FOR LOGIN [ap]]p];"},
		"Windows alone":       {target.unreachable(mssql.Error{Number: 18452}), "mixed mode"},
		"firewall":            {target.unreachable(mssql.Error{Number: 40615}), "firewall"},
		"other authority":     {target.unreachable(x509.UnknownAuthorityError{}), "ca_cert"},
		"other host":          {target.unreachable(x509.HostnameError{Certificate: &x509.Certificate{}}), "server_name"},
		"no answer":           {target.unreachable(context.DeadlineExceeded), "connect_timeout"},
		"position, no grant":  {target.positionFault("moving", mssql.Error{Number: 229}), "GRANT SELECT, INSERT, UPDATE ON [ops].[positions] TO [ap]]p];"},
		"position, missing":   {target.positionFault("moving", mssql.Error{Number: 208}), "CREATE TABLE [ops].[positions]"},
		"position, not ours":  {target.positionFault("moving", mssql.Error{Number: 207}), "set applier.position_table"},
		"row index, no grant": {fault.Of(target.rowFault("reading", mssql.Error{Number: 229})), "GRANT SELECT, INSERT, UPDATE, DELETE ON [slipstream_row]"},
		"row index, missing":  {fault.Of(target.rowFault("reading", mssql.Error{Number: 208})), "CREATE TABLE [slipstream_row]"},
	} {
		if !strings.Contains(c.f.Fix, c.fix) {
			t.Errorf("%s: fix %q, want %q", name, c.f.Fix, c.fix)
		}
	}
	if f := target.positionFault("raising", mssql.Error{Number: 2627}); f.Class != flowv1.FaultClass_FAULT_CLASS_CONFLICT {
		t.Errorf("two openers: %s", fault.ClassName(f.Class))
	}
	if f := fault.Of(target.rowFault("writing", mssql.Error{Number: 2627})); f.Class != flowv1.FaultClass_FAULT_CLASS_CONFLICT {
		t.Errorf("two owners: %s", fault.ClassName(f.Class))
	}
}
