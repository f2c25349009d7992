package mysql

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const (
	defaultPort             = "3306"
	defaultPool             = 10
	defaultStatementTimeout = 60 * time.Second
	defaultConnectTimeout   = 10 * time.Second

	// unansweredAfter is how long after statement_timeout a server that does not answer counts as lost.
	unansweredAfter = 5 * time.Second
	// idleInTransaction ends a session whose owner stopped in the middle of a transaction (design D4), so that a new
	// owner does not wait for its locks. It is shorter than a lease.
	idleInTransaction = 10 * time.Second
	// idleConnection is how long an unused connection stays: shorter than what MySQL is told in place of the above.
	idleConnection = 8 * time.Second
)

// options are the attributes that become part of the driver's configuration or of a session.
type options struct {
	poolSize         int
	statementTimeout time.Duration
	connectTimeout   time.Duration
	readTimeout      time.Duration // 0: none of its own
	writeTimeout     time.Duration
	compress         bool
	clearText        bool
	variables        map[string]string // of the session, as the configuration names them
	tls              tlsOptions
}

func parseOptions(conn *pipelinev1.Connection) (options, error) {
	o := options{poolSize: defaultPool, variables: map[string]string{}}
	var errs []error
	whole := func(of map[string]string, name string, otherwise int) int {
		n, err := positive(of, name, otherwise)
		errs = append(errs, err)
		return n
	}
	seconds := func(of map[string]string, name string, otherwise time.Duration) time.Duration {
		return time.Duration(whole(of, name, int(otherwise/time.Second))) * time.Second
	}
	o.poolSize = min(whole(conn.GetOptions(), "db_connection_pool_size", defaultPool), 10_000)
	o.statementTimeout = seconds(conn.GetOptions(), "statement_timeout", defaultStatementTimeout)
	args := conn.GetArgs()
	o.connectTimeout = seconds(args, "connect_timeout", defaultConnectTimeout)
	if args["read_timeout"] != "" {
		o.readTimeout = seconds(args, "read_timeout", 0)
	}
	if args["write_timeout"] != "" {
		o.writeTimeout = seconds(args, "write_timeout", 0)
	}
	var err error
	if o.compress, err = boolean(args, "compress"); err != nil {
		errs = append(errs, err)
	}
	if o.clearText, err = boolean(args, "allow_cleartext_passwords"); err != nil {
		errs = append(errs, err)
	}
	if text := args["charset"]; text != "" && !strings.EqualFold(text, "utf8mb4") {
		errs = append(errs, fmt.Errorf("charset is %q; values travel as utf8mb4, whatever the columns have", text))
	}
	if o.tls, err = parseTLS(args); err != nil {
		errs = append(errs, err)
	}
	for name, text := range args {
		switch {
		case slices.Contains(known, name) || strings.HasPrefix(name, "ssl_"):
		case slices.Contains(ours, name):
			errs = append(errs, fmt.Errorf("%s cannot be set: sessions need the value that the applier gives them", name))
		case !variable(name):
			errs = append(errs, fmt.Errorf("%q is neither an argument nor the name of a session variable", name))
		default:
			o.variables[name] = text
		}
	}
	return o, errors.Join(errs...)
}

// known are the arguments with a meaning of their own; those that begin with ssl_ are parseTLS's.
var known = []string{"connect_timeout", "read_timeout", "write_timeout", "compress", "charset", "allow_cleartext_passwords"}

// ours are the session variables that the applier sets, and what it relies on.
var ours = []string{
	"autocommit", "sql_mode", "time_zone", "tx_isolation", "transaction_isolation", "tx_read_only", "transaction_read_only",
	"character_set_client", "character_set_connection", "character_set_results", "collation_connection", "names",
	"foreign_key_checks", "unique_checks", "sql_auto_is_null", "password", "passwd", "user", "host", "port", "database",
}

// variable tells whether a name could be that of a session variable.
func variable(name string) bool {
	for i, c := range name {
		if c != '_' && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// positive reads an attribute that is a whole number of at least 1.
func positive(of map[string]string, name string, otherwise int) (int, error) {
	text, ok := of[name]
	if !ok || text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 1 || n > 1_000_000 {
		return 0, fmt.Errorf("%s is %q, not a whole number of at least 1", name, text)
	}
	return n, nil
}

// boolean reads an attribute that is true or false; absent is false.
func boolean(of map[string]string, name string) (bool, error) {
	switch text := strings.ToLower(strings.TrimSpace(of[name])); text {
	case "true", "1", "yes", "on":
		return true, nil
	case "", "false", "0", "no", "off":
		return false, nil
	default:
		return false, fmt.Errorf("%s is %q, neither true nor false", name, text)
	}
}

// newConnector builds the driver's configuration, and the sessions' beginning around it.
func newConnector(conn *pipelinev1.Connection, o options, seen *atomic.Pointer[server]) (*connector, error) {
	for _, a := range []struct{ name, text string }{
		{"host", conn.GetHost()}, {"user", conn.GetUser()}, {"database", conn.GetDatabase()},
	} {
		if a.text == "" {
			return nil, fmt.Errorf("%s is missing", a.name)
		}
	}
	port := conn.GetPort()
	if port == "" {
		port = defaultPort
	}
	config := driver.NewConfig()
	config.Net, config.Addr = "tcp", net.JoinHostPort(conn.GetHost(), port)
	config.User, config.Passwd, config.DBName = conn.GetUser(), conn.GetPassword(), conn.GetDatabase()
	config.Timeout, config.ReadTimeout, config.WriteTimeout = o.connectTimeout, o.readTimeout, o.writeTimeout
	config.MaxAllowedPacket = 0 // what the server says
	config.ClientFoundRows = true
	config.AllowCleartextPasswords = o.clearText
	config.Logger = &driver.NopLogger{} // every error comes back to us
	config.ConnectionAttributes = "program_name:slipstream"
	// A network that went away without a word is noticed in a minute even when nothing is sent.
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 3,
	}}
	config.DialFunc = dialer.DialContext
	if err := config.Apply(driver.EnableCompression(o.compress)); err != nil {
		return nil, err
	}
	if err := o.tls.apply(config, conn.GetHost()); err != nil {
		return nil, err
	}
	inner, err := driver.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("reading the connection's arguments: %w", err)
	}
	return &connector{Connector: inner, options: o, seen: seen}, nil
}

// misconfigured says that a connection cannot even be tried.
func misconfigured(conn *pipelinev1.Connection, err error) *fault.Error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "connection %q: %w", conn.GetName(), err).
		WithFix("correct the attributes of connections." + conn.GetName() + " in config.yaml")
}
