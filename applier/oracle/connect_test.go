package oracle

import (
	"context"
	"database/sql/driver"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goora "github.com/sijms/go-ora/v2"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// TestOptions: every attribute of a connection (spec 2.3) reaches the driver.
func TestOptions(t *testing.T) {
	conn := &pipelinev1.Connection{
		Name: "ora", Host: "db", User: "app", Password: `p@ss:w/ord? &%`,
		Options: map[string]string{"db_connection_pool_size": "3", "statement_timeout": "7"},
		Args:    map[string]string{"service_name": "orcl.ops", "protocol": "TCPS", "ssl_server_dn_match": "yes", "connect_timeout": "4", "encryption": "REQUIRED"},
	}
	o, err := parseOptions(conn)
	if err != nil {
		t.Fatal(err)
	}
	if o.port != 1521 || o.poolSize != 3 || o.statementTimeout != 7*time.Second || o.connectTimeout != 4*time.Second || !o.tls || !o.matchName || o.service != "orcl.ops" {
		t.Errorf("%+v", o)
	}
	c, err := newConnector(conn, o)
	if err != nil {
		t.Fatal(err)
	}
	if c.(*connector).timeout != 11*time.Second {
		t.Error(c.(*connector).timeout)
	}
	for _, password := range []string{conn.Password, "#[]{}|^`\"<>", "ü世界", ""} {
		config, err := goora.ParseConfig(goora.BuildUrl(o.host, o.port, o.service, conn.User, password, nil))
		if err != nil || config.DatabaseInfo.Password != password || config.UserID != "app" {
			t.Errorf("password %q reached the driver as %q: %v", password, config.DatabaseInfo.Password, err)
		}
	}
}

// TestMisconfigured: what cannot even be tried says so without a secret.
func TestMisconfigured(t *testing.T) {
	folder := t.TempDir()
	args := func(pairs ...string) *pipelinev1.Connection {
		c := &pipelinev1.Connection{Host: "h", User: "u", Args: map[string]string{"service_name": "s"}}
		for i := 0; i < len(pairs); i += 2 {
			c.Args[pairs[i]] = pairs[i+1]
		}
		return c
	}
	both := args()
	both.Database = "XE"
	for why, c := range map[string]*pipelinev1.Connection{
		"host is missing":                 {User: "u", Database: "d"},
		"user is missing":                 {Host: "h", Database: "d"},
		"one of database":                 {Host: "h", User: "u"},
		"and not both":                    both,
		"port is":                         {Host: "h", User: "u", Database: "d", Port: "x"},
		"protocol is":                     args("protocol", "udp"),
		"ssl_server_dn_match is":          args("ssl_server_dn_match", "maybe"),
		"needs protocol: tcps":            args("wallet_location", folder),
		"opening wallet_location":         args("wallet_location", folder, "protocol", "tcps"),
		"sslmode is not an argument":      args("sslmode", "require"),
		"db_connection_pool_size is":      {Host: "h", User: "u", Database: "d", Options: map[string]string{"db_connection_pool_size": "0"}},
		"ssl_server_cert_dn is not known": args("ssl_server_cert_dn", "CN=x"),
	} {
		c.Name, c.Password = "ora", "s3cret"
		_, err := New().Connect(t.Context(), c, nil)
		f := fault.Of(err)
		if f == nil || f.Class != flowv1.FaultClass_FAULT_CLASS_SCHEMA || !strings.Contains(f.Error(), why) || strings.Contains(f.Error(), "s3cret") ||
			!strings.Contains(f.Fix, "connections.ora") {
			t.Errorf("%s: %v", why, err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "cwallet.sso"), []byte("no wallet"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := args("wallet_location", folder, "protocol", "tcps")
	c.Password = "s3cret"
	if _, err := New().Connect(t.Context(), c, nil); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
}

// TestSessionSettings: each session has the formats of spec 2.3 before it is used.
func TestSessionSettings(t *testing.T) {
	s := newStandin()
	c := &connector{Connector: s, timeout: time.Minute}
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent := s.take()
	if len(sent) != 2 || !strings.Contains(sent[0], "NLS_DATE_FORMAT = 'YYYY-MM-DD HH24:MI:SS'") || !strings.Contains(sent[1], "TIME_ZONE = '+00:00'") {
		t.Errorf("%v", sent)
	}
	s.fails = when("TIME_ZONE", ora(1031))
	if _, err := c.Connect(t.Context()); numberOf(err) != 1031 {
		t.Errorf("%v", err)
	}
}

var _ driver.Connector = (*connector)(nil)

// TestNobodyThere: a server that cannot be reached is a fault of class CONNECTION and a problem of check.
func TestNobodyThere(t *testing.T) {
	target, err := New().Connect(t.Context(), &pipelinev1.Connection{
		Name: "ora", Host: "127.0.0.1", Port: "1", User: "u", Password: "s3cret", Database: "XE", Args: map[string]string{"connect_timeout": "1"},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, _, err = target.OpenLane(ctx, testLane(), "me")
	if fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_CONNECTION || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
	if r := target.Check(ctx, nil); len(r.Problems) != 1 {
		t.Errorf("%v", r.Problems)
	}
}
