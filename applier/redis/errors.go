package redis

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

func schemaFault(format string, args ...any) *fault.Error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, format, args...)
}

func dataFault(format string, args ...any) *fault.Error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_DATA, format, args...)
}

func fencedFault(format string, args ...any) *fault.Error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_FENCED, format, args...)
}

func conflictFault(format string, args ...any) *fault.Error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT, format, args...)
}

// code is the word that begins a refusal of the server, which is its code; empty where the error is none.
func code(err error) string {
	var refusal redis.Error
	if !errors.As(err, &refusal) || errors.Is(err, redis.Nil) {
		return ""
	}
	word, rest, _ := strings.Cut(refusal.Error(), " ")
	if word == "EXECABORT" { // "Transaction discarded because of: OOM command not allowed …" names the code of the cause
		if _, cause, ok := strings.Cut(rest, ": "); ok {
			word, _, _ = strings.Cut(cause, " ")
		}
	}
	return word
}

// kinds are the classes of the server's codes, with what the operator can do. What stands behind ERR has no code of its
// own, so it is unclassed, and waited out.
var kinds = map[string]struct {
	class flowv1.FaultClass
	fix   string
}{
	"LOADING":     {flowv1.FaultClass_FAULT_CLASS_CONNECTION, "wait until the server has loaded its data"},
	"MASTERDOWN":  {flowv1.FaultClass_FAULT_CLASS_CONNECTION, "let the connection name the primary"},
	"READONLY":    {flowv1.FaultClass_FAULT_CLASS_CAPACITY, "let the connection name the primary: this server is a replica"},
	"CLUSTERDOWN": {flowv1.FaultClass_FAULT_CLASS_CONNECTION, "bring the cluster up: redis-cli --cluster check"},
	"MOVED":       {flowv1.FaultClass_FAULT_CLASS_CONNECTION, "write cluster: true in the connection: the server is part of a cluster"},
	"ASK":         {flowv1.FaultClass_FAULT_CLASS_CONNECTION, "write cluster: true in the connection: the server is part of a cluster"},
	"TRYAGAIN":    {flowv1.FaultClass_FAULT_CLASS_CONNECTION, ""},
	"UNBLOCKED":   {flowv1.FaultClass_FAULT_CLASS_CONNECTION, ""},
	"CROSSSLOT":   {flowv1.FaultClass_FAULT_CLASS_SCHEMA, "write cluster: true in the connection"},
	"BUSY":        {flowv1.FaultClass_FAULT_CLASS_CONFLICT, "a script runs too long on the server: SCRIPT KILL"},
	"OOM":         {flowv1.FaultClass_FAULT_CLASS_CAPACITY, "raise maxmemory of the target, or remove data"},
	"MISCONF":     {flowv1.FaultClass_FAULT_CLASS_CAPACITY, "the target cannot write its snapshots: free its disk, or set stop-writes-on-bgsave-error no"},
	"NOREPLICAS":  {flowv1.FaultClass_FAULT_CLASS_CAPACITY, "attach a replica to the target, or lower min-replicas-to-write"},
	"NOAUTH":      {flowv1.FaultClass_FAULT_CLASS_PERMISSION, "write user: and password: in the connection"},
	"WRONGPASS":   {flowv1.FaultClass_FAULT_CLASS_PERMISSION, "correct user: and password: in the connection"},
	"NOPERM":      {flowv1.FaultClass_FAULT_CLASS_PERMISSION, "grant what the README of applier/redis lists"},
	"WRONGTYPE":   {flowv1.FaultClass_FAULT_CLASS_DATA, ""},
}

// classed gives an error of the driver its class. It keeps an error that has one.
func classed(err error) error {
	if err == nil {
		return nil
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	word := code(err)
	if word == "" { // a lost connection, a timeout, an end of waiting
		if errors.Is(err, context.Canceled) || !errors.Is(err, redis.Nil) {
			return fault.New(flowv1.FaultClass_FAULT_CLASS_CONNECTION, err).WithFix(tlsFix(err))
		}
		return fault.New(flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED, err)
	}
	k := kinds[word]
	return &fault.Error{Class: k.class, Code: word, Fix: k.fix, Err: err}
}

// tlsFix is what the operator can do about a connection that TLS does not let through; empty where it is something else.
func tlsFix(err error) string {
	var unknownCA x509.UnknownAuthorityError
	var otherHost x509.HostnameError
	var remote *net.OpError
	var refused *handshakeError
	switch {
	case errors.As(err, &unknownCA):
		return "set cacert to the certificate of the authority that signed the server's"
	case errors.As(err, &otherHost):
		return "connect to a name that the server's certificate has"
	case errors.As(err, &remote) && remote.Op == "remote error": // an alert of TLS after the handshake
		return "the server wants a certificate that it knows: write cert: and key:"
	case errors.As(err, &refused):
		return "if the server speaks no TLS on this port, name its TLS port, or remove cacert:, cert: and key:"
	}
	return ""
}

// told completes an error of class PERMISSION with the statement that gives the connection's user what it needs, and leaves
// out advice that is none on a cluster.
func (t *target) told(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	switch f.Code {
	case "NOPERM":
		f.Fix = t.grant("~*", t.everything())
	case "":
		if c := t.options.tls; c != nil && f.Fix == "" && c.GetClientCertificate == nil && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) {
			f.Fix = "if the server wants certificates of its clients, write cert: and key:"
		}
	case "MOVED", "ASK", "CROSSSLOT":
		if t.cluster != nil {
			f.Fix = ""
		}
	}
	return err
}

// refused tells whether an error is an answer of the server, after which the connection is as good as before.
func refused(err error) bool { return code(err) != "" }
