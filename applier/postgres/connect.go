package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"slipstream/proto/fault"
	"slipstream/proto/secret"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const (
	defaultPort             = "5432"
	defaultPool             = 10
	defaultStatementTimeout = 60 * time.Second
	defaultConnectTimeout   = 10 * time.Second

	// unansweredAfter is how long after statement_timeout a server that does not answer counts as lost.
	unansweredAfter = 5 * time.Second
	// idleInTransaction ends a session whose owner stopped in the middle of a transaction (design D4), so that a new
	// owner does not wait for its locks. It is shorter than a lease.
	idleInTransaction = 10 * time.Second
)

// options are the attributes that are not the driver's.
type options struct {
	poolSize         int32
	statementTimeout time.Duration
	connectTimeout   time.Duration
}

func parseOptions(conn *pipelinev1.Connection) (options, error) {
	o := options{poolSize: defaultPool, statementTimeout: defaultStatementTimeout, connectTimeout: defaultConnectTimeout}
	size, err := positive(conn.GetOptions(), "db_connection_pool_size", defaultPool)
	if err != nil {
		return o, err
	}
	o.poolSize = int32(min(size, 10_000))
	seconds, err := positive(conn.GetOptions(), "statement_timeout", int(defaultStatementTimeout/time.Second))
	if err != nil {
		return o, err
	}
	o.statementTimeout = time.Duration(seconds) * time.Second
	seconds, err = positive(conn.GetArgs(), "connect_timeout", int(defaultConnectTimeout/time.Second))
	if err != nil {
		return o, err
	}
	o.connectTimeout = time.Duration(seconds) * time.Second
	return o, nil
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

// sslModes are the values of libpq (spec 2.3).
var sslModes = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}

// poolConfig builds the driver's configuration. The password is set apart from the text the driver parses, because its
// errors quote that text.
func poolConfig(conn *pipelinev1.Connection, o options) (*pgxpool.Config, error) {
	args := map[string]string{"sslmode": "prefer", "application_name": "slipstream"}
	for name, value := range conn.GetArgs() {
		args[name] = value
	}
	if !slices.Contains(sslModes, args["sslmode"]) {
		return nil, fmt.Errorf("sslmode is %q, not one of %s", args["sslmode"], strings.Join(sslModes, ", "))
	}
	if (args["sslcert"] == "") != (args["sslkey"] == "") {
		return nil, errors.New("sslcert and sslkey go together: one of them is missing")
	}
	for _, name := range []string{"sslrootcert", "sslcert", "sslkey"} {
		if err := readable(name, args[name]); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"password", "passfile", "service", "servicefile"} {
		if _, ok := args[name]; ok {
			return nil, fmt.Errorf("%s is not an argument: write the connection's own attributes", name)
		}
	}
	keyPassword := args["sslpassword"]
	delete(args, "sslpassword")
	args["host"], args["port"] = conn.GetHost(), conn.GetPort()
	args["user"], args["dbname"] = conn.GetUser(), conn.GetDatabase()
	if args["port"] == "" {
		args["port"] = defaultPort
	}
	args["client_encoding"] = "UTF8" // what package value promises
	for _, name := range []string{"host", "user", "dbname"} {
		if args[name] == "" {
			return nil, fmt.Errorf("%s is missing", strings.Replace(name, "dbname", "database", 1))
		}
	}
	parsed, err := parseArguments(args, keyPassword)
	if err != nil {
		return nil, err
	}
	if err := renew(parsed, args, keyPassword); err != nil {
		return nil, err
	}
	parsed.Password = conn.GetPassword()
	parsed.ConnectTimeout = o.connectTimeout
	// A network that went away without a word is noticed in a minute even when nothing is sent.
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 3,
	}}
	parsed.DialFunc = dialer.DialContext
	// Unnamed statements in one round trip, parameter types given: nothing is left in the session, so a pooler may give
	// the next transaction another one. The writes do not use this mode; they go below pgx for the same reason.
	parsed.DefaultQueryExecMode = pgx.QueryExecModeExec
	parsed.StatementCacheCapacity, parsed.DescriptionCacheCapacity = 0, 0

	config, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, errors.New("the environment holds arguments for PostgreSQL that cannot be read")
	}
	config.ConnConfig = parsed
	config.MaxConns, config.MinConns, config.MinIdleConns = o.poolSize, 0, 0
	config.MaxConnIdleTime = 5 * time.Minute
	config.PingTimeout = o.connectTimeout
	return config, nil
}

func parseArguments(args map[string]string, keyPassword string) (*pgx.ConnConfig, error) {
	parsed, err := pgx.ParseConfigWithOptions(keywords(args), pgx.ParseConfigOptions{
		ParseConfigOptions: pgconn.ParseConfigOptions{
			GetSSLPassword: func(context.Context) string { return keyPassword },
		},
	})
	if err != nil {
		// The error's own text quotes all arguments: its cause is enough.
		if cause := errors.Unwrap(err); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("reading the connection's arguments: %w", err)
	}
	return parsed, nil
}

// renew has the connections to come show the certificate that is in its files then.
func renew(parsed *pgx.ConnConfig, args map[string]string, keyPassword string) error {
	if args["sslcert"] == "" || args["sslmode"] == "disable" {
		return nil
	}
	shown, err := secret.Renewed(func() (tls.Certificate, error) {
		now, err := parseArguments(args, keyPassword)
		if err != nil {
			return tls.Certificate{}, err
		}
		for _, config := range secured(now) {
			if len(config.Certificates) > 0 {
				return config.Certificates[0], nil
			}
		}
		return tls.Certificate{}, errors.New("sslcert and sslkey hold no certificate")
	}, args["sslcert"], args["sslkey"])
	if err != nil {
		return err
	}
	for _, config := range secured(parsed) {
		config.Certificates, config.GetClientCertificate = nil, shown
	}
	return nil
}

// secured are the configurations of TLS of a connection: its own, and those it falls back to.
func secured(parsed *pgx.ConnConfig) (all []*tls.Config) {
	if parsed.TLSConfig != nil {
		all = append(all, parsed.TLSConfig)
	}
	for _, f := range parsed.Fallbacks {
		if f.TLSConfig != nil {
			all = append(all, f.TLSConfig)
		}
	}
	return all
}

func readable(name, path string) error {
	if path == "" || name == "sslrootcert" && path == "system" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening %s: %w", name, err)
	}
	return f.Close()
}

// keywords writes arguments in the keyword form of a connection string, sorted.
func keywords(args map[string]string) string {
	names := make([]string, 0, len(args))
	for name := range args {
		names = append(names, name)
	}
	slices.Sort(names)
	escape := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%s='%s' ", name, escape.Replace(args[name]))
	}
	return b.String()
}

// misconfigured says that a connection cannot even be tried.
func misconfigured(conn *pipelinev1.Connection, err error) *fault.Error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "connection %q: %w", conn.GetName(), err).
		WithFix("correct the attributes of connections." + conn.GetName() + " in config.yaml")
}
