package cassandra

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// Codes of answers that this package asks for by name.
const (
	codeInvalid       = gocql.ErrCodeInvalid
	codeConfig        = gocql.ErrCodeConfig
	codeUnauthorized  = gocql.ErrCodeUnauthorized
	codeAlreadyExists = gocql.ErrCodeAlreadyExists
)

// byCode classes what a node answers (design D9). INVALID is said of a value that does not fit as well as of a table that
// is not there: of which, target.sort finds out. What is not named waits as a lost connection does.
var byCode = map[int]flowv1.FaultClass{
	gocql.ErrCodeCredentials:     flowv1.FaultClass_FAULT_CLASS_PERMISSION,
	codeUnauthorized:             flowv1.FaultClass_FAULT_CLASS_PERMISSION,
	gocql.ErrCodeOverloaded:      flowv1.FaultClass_FAULT_CLASS_CAPACITY,
	gocql.ErrCodeWriteFailure:    flowv1.FaultClass_FAULT_CLASS_CAPACITY, // a replica could not store it: its disk, most often
	gocql.ErrCodeCDCWriteFailure: flowv1.FaultClass_FAULT_CLASS_CAPACITY, // the space for change data is used up
	gocql.ErrCodeFunctionFailure: flowv1.FaultClass_FAULT_CLASS_DATA,
	codeInvalid:                  flowv1.FaultClass_FAULT_CLASS_SCHEMA,
	gocql.ErrCodeSyntax:          flowv1.FaultClass_FAULT_CLASS_SCHEMA,
	codeConfig:                   flowv1.FaultClass_FAULT_CLASS_SCHEMA,
	codeAlreadyExists:            flowv1.FaultClass_FAULT_CLASS_SCHEMA,
}

// codeOf is the code of a node's answer; ok is false where no node answered.
func codeOf(err error) (code int, ok bool) {
	var said gocql.RequestError
	if !errors.As(err, &said) {
		return 0, false
	}
	return said.Code(), true
}

func hasCode(err error, code int) bool {
	c, ok := codeOf(err)
	return ok && c == code
}

// classOf is the class of an error of the driver. Without a code it is the network, or no node is there.
func classOf(err error) (flowv1.FaultClass, string) {
	var unfit gocql.MarshalError
	if errors.As(err, &unfit) {
		return flowv1.FaultClass_FAULT_CLASS_DATA, ""
	}
	code, ok := codeOf(err)
	if !ok {
		return flowv1.FaultClass_FAULT_CLASS_CONNECTION, ""
	}
	class, ok := byCode[code]
	if !ok {
		class = flowv1.FaultClass_FAULT_CLASS_CONNECTION
	}
	return class, fmt.Sprintf("0x%04X", code)
}

// failed makes a fault of a driver's error: what was being done, what was said, its class, and what can be done.
func (t *target) failed(doing string, err error) *fault.Error {
	if f, ok := known(err); ok {
		return f
	}
	class, code := classOf(err)
	var unreached *unreachable
	if errors.As(err, &unreached) {
		doing = fmt.Sprintf("connecting to %q", t.name)
	}
	f := fault.Errorf(class, "%s: %w", doing, err).WithCode(code)
	return f.WithFix(t.fix(err))
}

// fix is what the operator can do about an error, whatever was being done.
func (t *target) fix(err error) string {
	var unknownCA x509.UnknownAuthorityError
	var unavailable *gocql.RequestErrUnavailable
	code, said := codeOf(err)
	switch {
	case errors.As(err, &unknownCA):
		return "set cacert to the certificate of the authority that signed the nodes'"
	case said && code == gocql.ErrCodeCredentials:
		return fmt.Sprintf("correct user or password of connections.%s, or in the cluster: ALTER ROLE %s WITH PASSWORD = '…' AND LOGIN = true;",
			t.name, quote(t.user))
	case errors.As(err, &unavailable):
		return fmt.Sprintf("%d replicas have to answer and %d are up: start nodes, or set a lower consistency of connections.%s",
			unavailable.Required, unavailable.Alive, t.name)
	case said && code == gocql.ErrCodeOverloaded:
		return "the cluster has more to do than it can: add nodes, or fewer partitions: of the jobs"
	case errors.Is(err, context.Canceled):
		return ""
	}
	return ""
}

// sort makes a fault of an error while writing to a table. A node says INVALID of a table that has changed and of a value
// that it does not take; the catalogue tells which.
func (t *target) sort(ctx context.Context, b *bound, doing string, err error) *fault.Error {
	f := t.failed(doing, err)
	switch {
	case hasCode(err, codeUnauthorized) && f.Fix == "":
		return f.WithFix(t.grant(b.relation.keyspace, b.relation.name))
	case !hasCode(err, codeInvalid):
		return f
	}
	now, lookup := t.readRelation(ctx, b.relation.keyspace, b.relation.name)
	switch {
	case errors.Is(lookup, errNoRelation):
		return f
	case lookup != nil:
		return t.failed("reading the catalogue", lookup)
	case now.same(b.relation):
		f.Class = flowv1.FaultClass_FAULT_CLASS_DATA
	}
	return f
}

// grant is what somebody who may give it has to run, so that the account can read and write a table.
func (t *target) grant(keyspace, table string) string {
	name := quote(keyspace) + "." + quote(table)
	return fmt.Sprintf("GRANT SELECT ON TABLE %s TO %s;\nGRANT MODIFY ON TABLE %s TO %s;", name, quote(t.user), name, quote(t.user))
}
