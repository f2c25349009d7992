package cassandra

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"slipstream/proto/fault"
	"slipstream/proto/secret"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const (
	defaultPort = 9042

	// A request is given up somewhat later than the nodes give it up themselves (2 to 10 seconds by default), and a call
	// of ours, which is many of them, later still.
	requestTimeout = 12 * time.Second
	connectTimeout = 10 * time.Second
	patience       = 60 * time.Second
)

// options are a connection's attributes, read and checked.
type options struct {
	hosts       []string
	port        int
	user        string
	password    string
	localDC     string
	consistency gocql.Consistency
	tls         *tls.Config
}

func parseOptions(conn *pipelinev1.Connection) (options, error) {
	o := options{user: conn.GetUser(), password: conn.GetPassword(), port: defaultPort, consistency: gocql.LocalQuorum}
	for host := range strings.SplitSeq(conn.GetHost(), ",") {
		if host = strings.TrimSpace(host); host != "" {
			o.hosts = append(o.hosts, host)
		}
	}
	if len(o.hosts) == 0 {
		return o, errors.New("hosts is missing")
	}
	if port := conn.GetPort(); port != "" {
		n, err := strconv.ParseUint(strings.TrimSpace(port), 10, 16)
		if err != nil || n == 0 {
			return o, fmt.Errorf("port is %q, not a number from 1 to 65535", port)
		}
		o.port = int(n)
	}
	given := conn.GetOptions()
	o.localDC = given["local_dc"]
	if text := given["consistency"]; text != "" {
		var ok bool
		if o.consistency, ok = consistencies[strings.ToLower(strings.TrimSpace(text))]; !ok {
			return o, fmt.Errorf("consistency is %q, not one of one, two, three, quorum, all, local_quorum, each_quorum, local_one", text)
		}
	}
	var err error
	o.tls, err = secure(given["cacert"], given["cert"], given["key"], given["key_password"])
	return o, err
}

// consistencies are those at which rows may be written. ANY is not among them: a hint alone is no row.
var consistencies = map[string]gocql.Consistency{
	"one": gocql.One, "two": gocql.Two, "three": gocql.Three, "quorum": gocql.Quorum, "all": gocql.All,
	"local_quorum": gocql.LocalQuorum, "each_quorum": gocql.EachQuorum, "local_one": gocql.LocalOne,
}

// keyPair reads a certificate and its key, which may be locked with a password.
func keyPair(cert, key, password string) (tls.Certificate, error) {
	certificate, err := os.ReadFile(cert)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading cert: %w", err)
	}
	locked, err := os.ReadFile(key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading key: %w", err)
	}
	open, err := secret.UnlockKey(locked, password)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key %s: %w", key, err)
	}
	pair, err := tls.X509KeyPair(certificate, open)
	if err != nil {
		return pair, fmt.Errorf("cert and key: %w", err)
	}
	return pair, nil
}

// level is the consistency of a request. Our own tables need a majority to agree whatever rows are written at; where rows
// are written across data centers, so are they.
func (o *options) level(l level) gocql.Consistency {
	across := o.consistency == gocql.Quorum || o.consistency == gocql.EachQuorum || o.consistency == gocql.All
	switch {
	case l == asConfigured:
		return o.consistency
	case l == catalogue:
		return gocql.One
	case l == own && across:
		return gocql.Quorum
	case l == own:
		return gocql.LocalQuorum
	case across:
		return gocql.Serial
	}
	return gocql.LocalSerial
}

// cluster makes the driver's configuration. Each session needs one of its own.
func (o *options) cluster() *gocql.ClusterConfig {
	c := gocql.NewCluster(o.hosts...)
	c.Port = o.port
	c.Consistency = o.consistency
	c.Timeout, c.ConnectTimeout, c.WriteTimeout = requestTimeout, connectTimeout, connectTimeout
	c.SocketKeepalive = 15 * time.Second
	c.ReconnectInterval = 2 * time.Second
	// What is run again is written with the same timestamp, so it may be.
	c.RetryPolicy = &gocql.SimpleRetryPolicy{NumRetries: 2}
	c.Metadata.CacheMode = gocql.KeyspaceOnly // for the replicas of a partition; tables are read when they are asked for
	fallback := gocql.RoundRobinHostPolicy()
	if o.localDC != "" {
		fallback = gocql.DCAwareRoundRobinPolicy(o.localDC)
	}
	c.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(fallback)
	if o.user != "" || o.password != "" {
		c.Authenticator = gocql.PasswordAuthenticator{Username: o.user, Password: o.password}
	}
	if o.tls != nil {
		c.SslOpts = &gocql.SslOptions{Config: o.tls}
	}
	return c
}

// secure reads the files of TLS; any of them turns it on. A node's certificate must come from the authority of cacert, or
// from one that the system trusts; which of the nodes it names is not looked at, because nodes tell each other's addresses
// and certificates seldom have them.
func secure(cacert, cert, key, password string) (*tls.Config, error) {
	if cacert == "" && cert == "" && key == "" {
		return nil, nil
	}
	if (cert == "") != (key == "") {
		return nil, errors.New("cert and key go together: one of them is missing")
	}
	var roots *x509.CertPool
	if cacert != "" {
		text, err := os.ReadFile(cacert)
		if err != nil {
			return nil, fmt.Errorf("reading cacert: %w", err)
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("cacert %s holds no certificate", cacert)
		}
	}
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		RootCAs:            roots,
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
	if cert == "" {
		return c, nil
	}
	pair, err := keyPair(cert, key, password)
	if err != nil {
		return nil, err
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

// misconfigured says that a connection cannot even be tried.
func misconfigured(conn *pipelinev1.Connection, err error) *fault.Error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "connection %q: %w", conn.GetName(), err).
		WithFix("correct the attributes of connections." + conn.GetName() + " in config.yaml")
}
