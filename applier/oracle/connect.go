package oracle

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	goora "github.com/sijms/go-ora/v2"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const (
	defaultPort             = 1521
	defaultPool             = 10
	defaultStatementTimeout = 60 * time.Second
	defaultConnectTimeout   = 10 * time.Second
	// unansweredAfter is how long after statement_timeout a server that does not answer counts as lost.
	unansweredAfter = 30 * time.Second
)

// options are a connection's attributes, read and checked.
type options struct {
	host             string
	port             int
	service, sid     string // one of the two
	poolSize         int
	statementTimeout time.Duration
	connectTimeout   time.Duration
	tls              bool
	matchName        bool   // the server's certificate must name the host
	wallet           string // folder; empty: the system's authorities
	walletPassword   string
	driver           map[string]string // options of the driver's own
}

// passedOn are the arguments that the driver understands beside ours, by the names that users write.
var passedOn = map[string]string{
	"encryption": "encryption", "data_integrity": "data integrity", "auth_type": "auth type", "domain": "domain",
	"os_user": "os user", "dba_privilege": "dba privilege", "proxy_client_name": "proxy client name", "program": "program",
	"instance_name": "instance name", "server": "server",
}

func parseOptions(conn *pipelinev1.Connection) (options, error) {
	o := options{
		host: conn.GetHost(), port: defaultPort, sid: conn.GetDatabase(), matchName: true, driver: map[string]string{"program": "slipstream"},
	}
	if o.host == "" {
		return o, errors.New("host is missing")
	}
	if conn.GetUser() == "" {
		return o, errors.New("user is missing")
	}
	var err error
	if o.port, err = positive("port", conn.GetPort(), defaultPort); err != nil {
		return o, err
	}
	if o.poolSize, err = positive("db_connection_pool_size", conn.GetOptions()["db_connection_pool_size"], defaultPool); err != nil {
		return o, err
	}
	if o.statementTimeout, err = seconds("statement_timeout", conn.GetOptions()["statement_timeout"], defaultStatementTimeout); err != nil {
		return o, err
	}
	o.connectTimeout = defaultConnectTimeout
	for name, value := range conn.GetArgs() {
		switch name {
		case "service_name":
			o.service = value
		case "connect_timeout":
			o.connectTimeout, err = seconds(name, value, defaultConnectTimeout)
		case "protocol":
			switch strings.ToLower(value) {
			case "tcp":
			case "tcps":
				o.tls = true
			default:
				err = fmt.Errorf("protocol is %q, not tcp or tcps", value)
			}
		case "wallet_location":
			o.wallet = value
		case "wallet_password":
			o.walletPassword = value
		case "ssl_server_dn_match":
			o.matchName, err = boolean(name, value)
		case "ssl_server_cert_dn":
			err = errors.New("ssl_server_cert_dn is not known: ssl_server_dn_match compares the certificate with host")
		default:
			own, ok := passedOn[name]
			if !ok {
				err = fmt.Errorf("%s is not an argument of this connection; those are service_name, protocol, wallet_location, wallet_password, ssl_server_dn_match, connect_timeout, %s",
					name, strings.Join(names(passedOn), ", "))
			}
			o.driver[own] = value
		}
		if err != nil {
			return o, err
		}
	}
	if (o.service == "") == (o.sid == "") {
		return o, errors.New("one of database (a SID) and service_name is needed, and not both")
	}
	if o.wallet != "" {
		if !o.tls {
			return o, errors.New("wallet_location needs protocol: tcps")
		}
		if err := readableWallet(o.wallet, o.walletPassword != ""); err != nil {
			return o, err
		}
	}
	return o, nil
}

func names(of map[string]string) []string {
	var out []string
	for name := range of {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// readableWallet looks for the file that the driver will read: one that opens by itself, or with the password.
func readableWallet(folder string, locked bool) error {
	name := "cwallet.sso"
	if locked {
		name = "ewallet.p12"
	}
	f, err := os.Open(filepath.Join(folder, name))
	if err != nil {
		return fmt.Errorf("opening wallet_location: %w", err)
	}
	return f.Close()
}

// positive reads an attribute that is a whole number of at least 1.
func positive(name, text string, otherwise int) (int, error) {
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 1 || n > 1_000_000 {
		return 0, fmt.Errorf("%s is %q, not a whole number of at least 1", name, text)
	}
	return n, nil
}

func seconds(name, text string, otherwise time.Duration) (time.Duration, error) {
	n, err := positive(name, text, int(otherwise/time.Second))
	return time.Duration(n) * time.Second, err
}

// boolean takes the words of Oracle's own configuration files too.
func boolean(name, text string) (bool, error) {
	switch strings.ToLower(text) {
	case "yes", "on", "true", "1":
		return true, nil
	case "no", "off", "false", "0":
		return false, nil
	}
	return false, fmt.Errorf("%s is %q, not yes or no", name, text)
}

// connector opens connections and makes the settings of each session.
type connector struct {
	driver.Connector
	timeout time.Duration
}

// settings are those of every session: formats for the SQL that users write (spec 2.3), UTC, and a point in numbers.
var settings = []string{
	"ALTER SESSION SET NLS_DATE_FORMAT = 'YYYY-MM-DD HH24:MI:SS' NLS_TIMESTAMP_FORMAT = 'YYYY-MM-DD HH24:MI:SS.FF' " +
		"NLS_TIMESTAMP_TZ_FORMAT = 'YYYY-MM-DD HH24:MI:SS.FF TZH:TZM' NLS_NUMERIC_CHARACTERS = '.,' NLS_SORT = BINARY NLS_COMP = BINARY",
	"ALTER SESSION SET TIME_ZONE = '+00:00'",
}

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	run, ok := conn.(driver.ExecerContext)
	if !ok {
		return nil, errors.Join(errors.New("the driver runs no statements"), conn.Close())
	}
	for _, text := range settings {
		if _, err := run.ExecContext(ctx, text, nil); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return conn, nil
}

// newConnector makes the driver's connector. The driver takes a URL, whose parts are escaped; errors about it are not
// shown, because they would quote it with the password in it.
func newConnector(conn *pipelinev1.Connection, o options) (driver.Connector, error) {
	args := map[string]string{"TIMEOUT": strconv.Itoa(int((o.statementTimeout + unansweredAfter) / time.Second))}
	for name, value := range o.driver {
		args[name] = value
	}
	if o.sid != "" {
		args["SID"] = o.sid
	}
	if o.tls {
		args["SSL"] = "TRUE"
		args["SSL VERIFY"] = "TRUE"
	}
	if o.wallet != "" {
		args["WALLET"] = o.wallet
		if o.walletPassword != "" {
			args["WALLET PASSWORD"] = o.walletPassword
		}
	}
	address := goora.BuildUrl(o.host, o.port, o.service, conn.GetUser(), conn.GetPassword(), args)
	parsed, err := goora.ParseConfig(address)
	if err != nil {
		return nil, errors.New("the driver does not take the connection's attributes: check host, the wallet and its password, and the arguments")
	}
	c, ok := goora.NewConnector(address).(*goora.OracleConnector)
	if !ok {
		return nil, errors.New("the driver has no connector")
	}
	c.Dialer(&net.Dialer{
		Timeout:         o.connectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 3},
	})
	if o.tls && !o.matchName {
		var roots *x509.CertPool
		if parsed.Wallet != nil {
			if len(parsed.Wallet.PrivateKeys) > 0 {
				return nil, errors.New("ssl_server_dn_match: no does not go with a wallet that holds a key of the client's: the driver would not look at the server's certificate at all")
			}
			roots = x509.NewCertPool()
			for _, der := range parsed.Wallet.Certificates {
				certificate, err := x509.ParseCertificate(der)
				if err != nil {
					return nil, fmt.Errorf("reading the wallet: %w", err)
				}
				roots.AddCert(certificate)
			}
		}
		c.WithTLSConfig(anyName(roots))
	}
	return &connector{Connector: c, timeout: o.connectTimeout + o.statementTimeout}, nil
}

// anyName is TLS in which the server's certificate must come from one of some authorities, or from one that the system
// trusts, whatever name it has.
func anyName(roots *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // the name; VerifyConnection looks at all else
		VerifyConnection: func(s tls.ConnectionState) error {
			between := x509.NewCertPool()
			for _, c := range s.PeerCertificates[1:] {
				between.AddCert(c)
			}
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
			return err
		},
	}
}

// misconfigured says that a connection cannot even be tried.
func misconfigured(conn *pipelinev1.Connection, err error) *fault.Error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "connection %q: %w", conn.GetName(), err).
		WithFix("correct the attributes of connections." + conn.GetName() + " in config.yaml")
}
