package cassandra

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"slipstream/applier"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// said is a node's answer with a code.
type said int

func (s said) Code() int       { return int(s) }
func (s said) Message() string { return "no" }
func (s said) Error() string   { return "no" }

var _ gocql.RequestError = said(0)

// TestClasses: every code of the protocol has a class (design D9).
func TestClasses(t *testing.T) {
	target := testTarget(newStandin())
	for err, want := range map[error]flowv1.FaultClass{
		said(gocql.ErrCodeServer):          flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		said(gocql.ErrCodeProtocol):        flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		said(gocql.ErrCodeCredentials):     flowv1.FaultClass_FAULT_CLASS_PERMISSION,
		said(gocql.ErrCodeUnavailable):     flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		said(gocql.ErrCodeOverloaded):      flowv1.FaultClass_FAULT_CLASS_CAPACITY,
		said(gocql.ErrCodeBootstrapping):   flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		said(gocql.ErrCodeTruncate):        flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		said(gocql.ErrCodeWriteTimeout):    flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		said(gocql.ErrCodeReadTimeout):     flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		said(gocql.ErrCodeReadFailure):     flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		said(gocql.ErrCodeFunctionFailure): flowv1.FaultClass_FAULT_CLASS_DATA,
		said(gocql.ErrCodeWriteFailure):    flowv1.FaultClass_FAULT_CLASS_CAPACITY,
		said(gocql.ErrCodeCDCWriteFailure): flowv1.FaultClass_FAULT_CLASS_CAPACITY,
		said(gocql.ErrCodeCASWriteUnknown): flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		said(gocql.ErrCodeSyntax):          flowv1.FaultClass_FAULT_CLASS_SCHEMA,
		said(gocql.ErrCodeUnauthorized):    flowv1.FaultClass_FAULT_CLASS_PERMISSION,
		said(gocql.ErrCodeInvalid):         flowv1.FaultClass_FAULT_CLASS_SCHEMA,
		said(gocql.ErrCodeConfig):          flowv1.FaultClass_FAULT_CLASS_SCHEMA,
		said(gocql.ErrCodeAlreadyExists):   flowv1.FaultClass_FAULT_CLASS_SCHEMA,
		said(gocql.ErrCodeUnprepared):      flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		gocql.ErrNoConnections:             flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		gocql.ErrTimeoutNoResponse:         flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		gocql.ErrConnectionClosed:          flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		context.DeadlineExceeded:           flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		io.ErrUnexpectedEOF:                flowv1.FaultClass_FAULT_CLASS_CONNECTION,
		gocql.MarshalError("x"):            flowv1.FaultClass_FAULT_CLASS_DATA,
	} {
		f := target.failed("writing to t", fmt.Errorf("driver: %w", err))
		if f.Class != want || !strings.HasPrefix(f.Error(), "writing to t: driver: ") {
			t.Errorf("%v is %s: %v", err, fault.ClassName(f.Class), f)
		}
		if s, ok := err.(said); ok && f.Code != fmt.Sprintf("0x%04X", int(s)) { //nolint:errorlint // it is not wrapped
			t.Errorf("%v has code %q", err, f.Code)
		}
	}
}

// TestFixes: what the operator can do.
func TestFixes(t *testing.T) {
	target := testTarget(newStandin())
	for _, c := range []struct {
		err error
		fix string
	}{
		{said(gocql.ErrCodeCredentials), `ALTER ROLE "app" WITH PASSWORD`},
		{&gocql.RequestErrUnavailable{Required: 2, Alive: 1}, "2 replicas have to answer and 1 are up"},
		{said(gocql.ErrCodeOverloaded), "add nodes"},
	} {
		if f := target.failed("x", &unreachable{c.err}); !strings.Contains(f.Fix, c.fix) || !strings.HasPrefix(f.Error(), `connecting to "cass": `) {
			t.Errorf("%v: %q", f, f.Fix)
		}
	}
}

// TestInvalid: a node says INVALID of values and of tables alike; the catalogue tells them apart.
func TestInvalid(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(c *standin)
		err       error
		want      flowv1.FaultClass
		fix       string
	}{
		"the table is as it was":   {func(*standin) {}, said(codeInvalid), flowv1.FaultClass_FAULT_CLASS_DATA, ""},
		"the table is gone":        {func(c *standin) { delete(c.tables, "ops.pump") }, said(codeInvalid), flowv1.FaultClass_FAULT_CLASS_SCHEMA, ""},
		"a column is another type": {func(c *standin) { c.tables["ops.pump"][2][1] = "text" }, said(codeInvalid), flowv1.FaultClass_FAULT_CLASS_SCHEMA, ""},
		"the catalogue is away": {func(c *standin) {
			c.asks = func(q cql) error { return when(q.text == readColumns, gocql.ErrNoConnections) }
		}, said(codeInvalid), flowv1.FaultClass_FAULT_CLASS_CONNECTION, ""},
		"no grant": {func(*standin) {}, said(codeUnauthorized), flowv1.FaultClass_FAULT_CLASS_PERMISSION, `GRANT MODIFY ON TABLE "ops"."pump" TO "app";`},
		"lost":     {func(*standin) {}, errors.New("closed"), flowv1.FaultClass_FAULT_CLASS_CONNECTION, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := openLine(t)
			table := l.table("pump", "*serial", "psi")
			l.begin(0, 9)
			l.ok(l.x.Write(t.Context(), write(t, table, applier.Upsert, []string{"p", "1"})))
			l.c.runs = func([]cql) error { return c.err }
			c.meanwhile(l.c)
			err := l.x.Commit(t.Context())
			if fault.Class(err) != c.want || !strings.Contains(fault.Of(err).Fix, c.fix) {
				t.Errorf("%s: %v, fix %q", fault.ClassName(fault.Class(err)), err, fault.Of(err).Fix)
			}
		})
	}
}

// TestRefusedRow: a row that the cluster alone refuses is found by halving, and its neighbours are written (G5).
func TestRefusedRow(t *testing.T) {
	l := openLine(t)
	table := l.table("pump", "*serial", "psi")
	w := write(t, table, applier.Upsert, []string{"a", "1"}, []string{"b", "2"})
	l.c.runs = func(group []cql) error {
		for _, q := range group {
			if strings.Contains(show(q), "'b'") {
				return said(codeInvalid)
			}
		}
		return nil
	}
	l.begin(0, 9)
	l.ok(l.x.Write(t.Context(), w))
	if err := l.x.Commit(t.Context()); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_DATA {
		t.Fatalf("%v", err)
	}
	l.ok(l.x.Rollback())
	l.begin(0, 9)
	var failed []int
	for i := range 2 {
		if err := l.x.Try(t.Context(), func() error { return l.x.Write(t.Context(), w.Slice(i, i+1)) }); err != nil {
			failed = append(failed, i)
		}
	}
	if len(failed) != 1 || failed[0] != 1 {
		t.Errorf("rows %v failed", failed)
	}
	l.ok(l.x.Rollback())
}
