package sqlserver

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/microsoft/go-mssqldb/msdsn"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const (
	defaultPort             = "1433"
	defaultPool             = 10
	defaultStatementTimeout = 60 * time.Second
	defaultConnectTimeout   = 10 * time.Second
	idleTime                = 5 * time.Minute
)

// options are the attributes of a connection, read.
type options struct {
	poolSize         int
	statementTimeout time.Duration
	connectTimeout   time.Duration
	bulkCopy         bool
	caCert           string
	driver           map[string]string // what go-mssqldb is told, by its own names
}

// spelled maps how users write an argument, without case, blanks, hyphens and underscores, to the driver's name of it.
var spelled = map[string]string{
	"encrypt":                "encrypt",
	"trustservercertificate": msdsn.TrustServerCertificate,
	"servername":             msdsn.HostNameInCertificate,
	"hostnameincertificate":  msdsn.HostNameInCertificate,
	"servercertificate":      msdsn.ServerCertificate,
	"tlsmin":                 msdsn.TLSMin,
	"appname":                msdsn.AppName,
	"applicationname":        msdsn.AppName,
	"workstationid":          msdsn.WorkstationID,
	"packetsize":             msdsn.PacketSize,
	"keepalive":              msdsn.KeepAlive,
	"failoverpartner":        msdsn.FailoverPartner,
	"failoverport":           msdsn.FailOverPort,
	"multisubnetfailover":    msdsn.MultiSubnetFailover,
	"notraceid":              msdsn.NoTraceID,
	"epaenabled":             msdsn.EpaEnabled,
	// Azure AD (login.go).
	"fedauth":                  "fedauth",
	"applicationclientid":      "applicationclientid",
	"clientcertpath":           "clientcertpath",
	"resourceid":               "resource id",
	"tokenfilepath":            "tokenfilepath",
	"serviceconnectionid":      "serviceconnectionid",
	"sendcertificatechain":     "sendcertificatechain",
	"disableinstancediscovery": "disableinstancediscovery",
}

// plain is an argument's name as it is looked up.
func plain(name string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(name))
}

func parseOptions(conn *pipelinev1.Connection) (options, error) {
	o := options{bulkCopy: true, connectTimeout: defaultConnectTimeout, driver: map[string]string{msdsn.AppName: "slipstream"}}
	size, err := positive("db_connection_pool_size", conn.GetOptions()["db_connection_pool_size"], defaultPool)
	if err != nil {
		return o, err
	}
	o.poolSize = min(size, 10_000)
	seconds, err := positive("statement_timeout", conn.GetOptions()["statement_timeout"], int(defaultStatementTimeout/time.Second))
	if err != nil {
		return o, err
	}
	o.statementTimeout = time.Duration(seconds) * time.Second
	from := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(conn.GetArgs())) {
		value, key := conn.GetArgs()[name], plain(name)
		if other, twice := from[key]; twice {
			return o, fmt.Errorf("%s and %s mean the same", other, name)
		}
		from[key] = name
		if err := o.argument(name, key, value); err != nil {
			return o, err
		}
	}
	return o, o.agree()
}

// argument reads one argument.
func (o *options) argument(name, key, value string) (err error) {
	switch key {
	case "connecttimeout", "connectiontimeout", "dialtimeout", "logintimeout":
		var seconds int
		seconds, err = positive(name, value, int(defaultConnectTimeout/time.Second))
		o.connectTimeout = time.Duration(seconds) * time.Second
		return err
	case "cacert", "certificate":
		o.caCert = value
		return nil
	case "bulkcopy":
		o.bulkCopy, err = onOff(name, value)
		return err
	case "user", "userid", "password", "pwd", "uid", "database", "server", "host", "port":
		return fmt.Errorf("%s is not an argument: write the connection's own attributes", name)
	case "authenticator", "krb5conf", "krb5keytab", "krb5realm":
		return fmt.Errorf("%s: Kerberos is not linked into Slipstream; log in with a SQL login, NTLM (user: DOMAIN\\account) or fedauth", name)
	case "applicationintent":
		if !strings.EqualFold(value, "ReadWrite") {
			return fmt.Errorf("%s is %q: rows are written here, so only ReadWrite is possible", name, value)
		}
		return nil
	case "encrypt":
		if err := oneOf(name, value, "strict", "true", "mandatory", "yes", "false", "optional", "no", "disable"); err != nil {
			return err
		}
	case "trustservercertificate", "multisubnetfailover", "epaenabled", "notraceid":
		on, err := onOff(name, value)
		if err != nil {
			return err
		}
		value = strconv.FormatBool(on)
	}
	known, ok := spelled[key]
	if !ok {
		return fmt.Errorf("%s is no argument of a connection of type sqlserver; known are %s", name, strings.Join(arguments(), ", "))
	}
	o.driver[known] = value
	return nil
}

// arguments are the names that users may write, as the documentation does.
func arguments() []string {
	return []string{
		"app_name", "application_client_id", "application_intent", "bulk_copy", "ca_cert", "client_cert_path", "connect_timeout",
		"disable_instance_discovery", "encrypt", "epa_enabled", "failover_partner", "failover_port", "fedauth", "keep_alive",
		"multi_subnet_failover", "no_trace_id", "packet_size", "resource_id", "send_certificate_chain", "server_certificate",
		"server_name", "service_connection_id", "tls_min", "token_file_path", "trust_server_certificate", "workstation_id",
	}
}

// agree completes what belongs together. Who names a certificate or the name in it wants it looked at.
func (o *options) agree() error {
	if _, ok := o.driver["encrypt"]; !ok && (o.caCert != "" || o.driver[msdsn.HostNameInCertificate] != "" || o.driver[msdsn.ServerCertificate] != "") {
		o.driver["encrypt"] = "true"
	}
	encrypt := strings.ToLower(o.driver["encrypt"])
	verified := slices.Contains([]string{"true", "mandatory", "yes", "strict"}, encrypt)
	if !verified && (o.caCert != "" || o.driver[msdsn.HostNameInCertificate] != "" || o.driver[msdsn.ServerCertificate] != "") {
		return fmt.Errorf("encrypt is %s, so no certificate is looked at: ca_cert, server_name and server_certificate need encrypt: true or strict", encrypt)
	}
	trust := o.driver[msdsn.TrustServerCertificate] == "true"
	if trust && (o.caCert != "" || encrypt == "strict") {
		return errors.New("trust_server_certificate: true looks at no certificate: it excludes ca_cert and encrypt: strict")
	}
	if !verified && o.driver[msdsn.TrustServerCertificate] == "" {
		o.driver[msdsn.TrustServerCertificate] = "true" // as the driver itself has it: only the login is encrypted
	}
	return nil
}

// positive reads a whole number of at least 1.
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

func onOff(name, text string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, fmt.Errorf("%s is %q, neither true nor false", name, text)
}

func oneOf(name, text string, words ...string) error {
	if slices.Contains(words, strings.ToLower(text)) {
		return nil
	}
	return fmt.Errorf("%s is %q, not one of %s", name, text, strings.Join(words, ", "))
}

// dsn is what the driver's parsers read, without user and password.
func (o *options) dsn(conn *pipelinev1.Connection) (*url.URL, error) {
	if conn.GetUser() == "" && o.driver["fedauth"] == "" {
		return nil, errors.New("user is missing")
	}
	if conn.GetDatabase() == "" {
		return nil, errors.New("database is missing")
	}
	host, instance, _ := strings.Cut(conn.GetHost(), `\`)
	if host == "" {
		return nil, errors.New("host is missing")
	}
	if host == "." || host == "(local)" {
		host = "localhost"
	}
	u := &url.URL{Scheme: "sqlserver", Host: host, Path: instance}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		u.Host = "[" + host + "]"
	}
	switch port := conn.GetPort(); {
	case port != "":
		u.Host += ":" + port
	case instance == "":
		u.Host += ":" + defaultPort
	}
	query := url.Values{}
	for name, value := range o.driver {
		query.Set(name, value)
	}
	query.Set(msdsn.Database, conn.GetDatabase())
	query.Set(msdsn.DialTimeout, strconv.Itoa(int(o.connectTimeout/time.Second)))
	query.Set(msdsn.Protocol, "tcp")
	u.RawQuery = query.Encode()
	return u, nil
}

// roots reads the certificates of the authority that the server's must come from.
func (o *options) roots() (*x509.CertPool, error) {
	if o.caCert == "" {
		return nil, nil
	}
	text, err := os.ReadFile(o.caCert)
	if err != nil {
		return nil, fmt.Errorf("reading ca_cert: %w", err)
	}
	pool := x509.NewCertPool()
	if pool.AppendCertsFromPEM(text) {
		return pool, nil
	}
	if certificate, err := x509.ParseCertificate(text); err == nil {
		pool.AddCert(certificate)
		return pool, nil
	}
	return nil, fmt.Errorf("ca_cert %s holds no certificate in PEM or DER form", o.caCert)
}

// misconfigured says that a connection cannot even be tried.
func misconfigured(conn *pipelinev1.Connection, err error) *fault.Error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "connection %q: %w", conn.GetName(), err).
		WithFix("correct the attributes of connections." + conn.GetName() + " in config.yaml")
}
