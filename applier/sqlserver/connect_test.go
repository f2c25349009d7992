package sqlserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/microsoft/go-mssqldb/msdsn"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// authority writes a self-signed certificate to a file.
func authority(t *testing.T, name string, asPEM bool) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	text, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if asPEM {
		text = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: text})
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// parsed is what the driver makes of a connection.
func parsed(t *testing.T, c *pipelinev1.Connection) (msdsn.Config, error) {
	t.Helper()
	o, err := parseOptions(c)
	if err != nil {
		return msdsn.Config{}, err
	}
	u, err := o.dsn(c)
	if err != nil {
		return msdsn.Config{}, err
	}
	config, err := msdsn.Parse(u.String())
	if err != nil {
		return config, err
	}
	_, err = o.connector(c)
	return config, err
}

// TestAttributes: what users write is what the driver gets (spec 2.3).
func TestAttributes(t *testing.T) {
	pemFile, derFile := authority(t, "ca.crt", true), authority(t, "ca.bin", false)
	args := func(pairs ...string) func(*pipelinev1.Connection) {
		return func(c *pipelinev1.Connection) {
			for i := 0; i < len(pairs); i += 2 {
				c.Args[pairs[i]] = pairs[i+1]
			}
		}
	}
	for _, c := range []struct {
		name   string
		change func(*pipelinev1.Connection)
		holds  func(c msdsn.Config) bool
	}{
		{"as it is", args(), func(c msdsn.Config) bool {
			return c.Host == "sql.example.org" && c.Port == 1433 && c.Database == "fleet" && c.AppName == "slipstream" &&
				c.Encryption == msdsn.EncryptionOff && c.DialTimeout == 10*time.Second && c.User == "" && c.Password == ""
		}},
		{"an instance", func(c *pipelinev1.Connection) { c.Host, c.Port = `sql\prod`, "" }, func(c msdsn.Config) bool {
			return c.Host == "sql" && c.Instance == "prod" && c.Port == 0
		}},
		{"an instance with a port", func(c *pipelinev1.Connection) { c.Host = `sql\prod` }, func(c msdsn.Config) bool {
			return c.Host == "sql" && c.Instance == "prod" && c.Port == 1433
		}},
		{"no port", func(c *pipelinev1.Connection) { c.Port = "" }, func(c msdsn.Config) bool { return c.Port == 1433 }},
		{"IPv6", func(c *pipelinev1.Connection) { c.Host = "::1" }, func(c msdsn.Config) bool { return c.Host == "::1" && c.Port == 1433 }},
		{"this machine", func(c *pipelinev1.Connection) { c.Host = "." }, func(c msdsn.Config) bool { return c.Host == "localhost" }},
		{"encrypt", args("encrypt", "true"), func(c msdsn.Config) bool {
			return c.Encryption == msdsn.EncryptionRequired && !c.TLSConfig.InsecureSkipVerify && c.TLSConfig.ServerName == "sql.example.org"
		}},
		{"encrypt and trust", args("encrypt", "yes", "trust_server_certificate", "true"), func(c msdsn.Config) bool {
			return c.Encryption == msdsn.EncryptionRequired && c.TLSConfig.InsecureSkipVerify
		}},
		{"strict", args("Encrypt", "strict"), func(c msdsn.Config) bool {
			return c.Encryption == msdsn.EncryptionStrict && !c.TLSConfig.InsecureSkipVerify
		}},
		{"not at all", args("encrypt", "disable"), func(c msdsn.Config) bool {
			return c.Encryption == msdsn.EncryptionDisabled && c.TLSConfig == nil
		}},
		{"a server name", args("server_name", "other.example.org"), func(c msdsn.Config) bool {
			return c.Encryption == msdsn.EncryptionRequired && c.TLSConfig.ServerName == "other.example.org" && !c.TLSConfig.InsecureSkipVerify
		}},
		{"an authority", args("ca_cert", pemFile), func(c msdsn.Config) bool { return c.Encryption == msdsn.EncryptionRequired }},
		{"an authority in DER", args("ca_cert", derFile), func(c msdsn.Config) bool { return c.Encryption == msdsn.EncryptionRequired }},
		{"spelled as the driver does", args("TrustServerCertificate", "false", "encrypt", "true", "app name", "fleet"), func(c msdsn.Config) bool {
			return !c.TLSConfig.InsecureSkipVerify && c.AppName == "fleet"
		}},
		{"a partner", args("failover_partner", "second", "failover_port", "1444"), func(c msdsn.Config) bool {
			return c.FailOverPartner == "second" && c.FailOverPort == 1444
		}},
		{"numbers", args("connect_timeout", "3", "keep_alive", "5", "packet_size", "8192"), func(c msdsn.Config) bool {
			return c.DialTimeout == 3*time.Second && c.KeepAlive == 5*time.Second && c.PacketSize == 8192
		}},
		{"subnets", args("multi_subnet_failover", "no"), func(c msdsn.Config) bool { return !c.MultiSubnetFailover }},
		{"intent", args("application_intent", "ReadWrite"), func(c msdsn.Config) bool { return !c.ReadOnlyIntent }},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parsed(t, connection(c.change))
			if err != nil || !c.holds(got) {
				t.Errorf("%v, %+v", err, got)
			}
		})
	}
}

// TestWrongAttributes: nothing is parsed and ignored, and no error shows the password (G10).
func TestWrongAttributes(t *testing.T) {
	set := func(name, value string) func(*pipelinev1.Connection) {
		return func(c *pipelinev1.Connection) { c.Args[name] = value }
	}
	option := func(name, value string) func(*pipelinev1.Connection) {
		return func(c *pipelinev1.Connection) { c.Options[name] = value }
	}
	broken := filepath.Join(t.TempDir(), "broken.crt")
	if err := os.WriteFile(broken, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*pipelinev1.Connection)
		text   string
	}{
		{"unknown", set("sslmode", "require"), "sslmode is no argument of a connection of type sqlserver; known are app_name"},
		{"encrypt", set("encrypt", "maybe"), `encrypt is "maybe", not one of strict, true`},
		{"trust", set("trust_server_certificate", "maybe"), "neither true nor false"},
		{"trust and authority", func(c *pipelinev1.Connection) { c.Args["trust_server_certificate"], c.Args["ca_cert"] = "true", broken }, "excludes ca_cert"},
		{"authority without encryption", func(c *pipelinev1.Connection) { c.Args["encrypt"], c.Args["ca_cert"] = "optional", broken }, "need encrypt: true or strict"},
		{"no certificate in it", set("ca_cert", broken), "holds no certificate"},
		{"no such file", set("ca_cert", broken+"x"), "reading ca_cert"},
		{"password twice", set("password", "x"), "password is not an argument"},
		{"kerberos", set("authenticator", "krb5"), "Kerberos is not linked"},
		{"reading", set("application_intent", "ReadOnly"), "only ReadWrite is possible"},
		{"twice", func(c *pipelinev1.Connection) { c.Args["app_name"], c.Args["App Name"] = "a", "b" }, "mean the same"},
		{"pool", option("db_connection_pool_size", "none"), "db_connection_pool_size"},
		{"timeout", option("statement_timeout", "0"), "statement_timeout"},
		{"packet", set("packet_size", "big"), "invalid packet size"},
		{"no user", func(c *pipelinev1.Connection) { c.User = "" }, "user is missing"},
		{"no database", func(c *pipelinev1.Connection) { c.Database = "" }, "database is missing"},
		{"no host", func(c *pipelinev1.Connection) { c.Host = `\prod` }, "host is missing"},
		{"fedauth", set("fedauth", "ActiveDirectoryInteractive"), `fedauth is "ActiveDirectoryInteractive", not one of`},
		{"fedauth without its client", set("fedauth", "ActiveDirectoryPassword"), "applicationclientid parameter is required"},
		{"fedauth and the name of a file", func(c *pipelinev1.Connection) {
			c.Args["fedauth"], c.Args["ca_cert"] = "ActiveDirectoryDefault", broken
		}, "must end in .pem or .der"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New().Connect(t.Context(), connection(c.change), &pipelinev1.Settings{})
			f := fault.Of(err)
			if err == nil || f.Class != flowv1.FaultClass_FAULT_CLASS_SCHEMA || !strings.Contains(f.Error(), c.text) || !strings.Contains(f.Fix, "connections.db") {
				t.Errorf("error %v, fix %q; want %q", err, fault.Of(err).Fix, c.text)
			}
			if strings.Contains(f.Error(), "p/w") {
				t.Errorf("the password is in %v", err)
			}
		})
	}
}

// TestLogins: every way to log in makes a connector.
func TestLogins(t *testing.T) {
	for name, change := range map[string]func(c *pipelinev1.Connection){
		"SQL login": func(*pipelinev1.Connection) {},
		"NTLM":      func(c *pipelinev1.Connection) { c.User = `CORP\app` },
		"Azure AD, service principal": func(c *pipelinev1.Connection) {
			c.User, c.Args["fedauth"], c.Args["encrypt"] = "client@tenant", "ActiveDirectoryServicePrincipal", "true"
		},
		"Azure AD, password": func(c *pipelinev1.Connection) {
			c.Args["fedauth"], c.Args["application_client_id"] = "ActiveDirectoryPassword", "0000"
		},
		"Azure AD, managed identity": func(c *pipelinev1.Connection) {
			c.User, c.Password, c.Args["fedauth"] = "", "", "activedirectorymsi"
		},
		"Azure AD, default": func(c *pipelinev1.Connection) {
			c.User, c.Password, c.Args["fedauth"] = "", "", "ActiveDirectoryDefault"
		},
	} {
		target, err := New().Connect(t.Context(), connection(change), &pipelinev1.Settings{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := target.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
