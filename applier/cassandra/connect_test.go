package cassandra

import (
	"net"
	"strings"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// TestOptions: every attribute of a connection (spec 2.3).
func TestOptions(t *testing.T) {
	o, err := parseOptions(&pipelinev1.Connection{
		Host: "a, b,c", Port: "9142", User: "u", Password: "p", Options: map[string]string{"local_dc": "east", "consistency": "Each_Quorum"},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := o.cluster()
	if strings.Join(c.Hosts, "") != "abc" || c.Port != 9142 || c.Consistency != gocql.EachQuorum || c.SslOpts != nil ||
		c.Authenticator.(gocql.PasswordAuthenticator).Password != "p" {
		t.Errorf("%+v", c)
	}
	for _, c := range []struct {
		consistency string
		want        [4]gocql.Consistency
	}{
		{"", [4]gocql.Consistency{gocql.LocalQuorum, gocql.LocalQuorum, gocql.LocalSerial, gocql.One}},
		{"one", [4]gocql.Consistency{gocql.One, gocql.LocalQuorum, gocql.LocalSerial, gocql.One}},
		{"all", [4]gocql.Consistency{gocql.All, gocql.Quorum, gocql.Serial, gocql.One}},
		{"quorum", [4]gocql.Consistency{gocql.Quorum, gocql.Quorum, gocql.Serial, gocql.One}},
	} {
		o, err := parseOptions(&pipelinev1.Connection{Host: "a", Options: map[string]string{"consistency": c.consistency}})
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range []level{asConfigured, own, serial, catalogue} {
			if got := o.level(l); got != c.want[i] {
				t.Errorf("consistency %q, level %d: %v, want %v", c.consistency, l, got, c.want[i])
			}
		}
	}
}

// TestMisconfigured: what cannot even be tried says so without a secret.
func TestMisconfigured(t *testing.T) {
	for why, c := range map[string]*pipelinev1.Connection{
		"hosts is missing":         {},
		"port is":                  {Host: "a", Port: "99999"},
		"consistency is":           {Host: "a", Options: map[string]string{"consistency": "any"}},
		"reading cacert":           {Host: "a", Options: map[string]string{"cacert": "/nowhere"}},
		"cert and key go together": {Host: "a", Options: map[string]string{"cert": "/nowhere"}},
		"reading cert":             {Host: "a", Options: map[string]string{"cert": "/nowhere", "key": "/nowhere"}},
	} {
		c.Name, c.Password = "cass", "s3cret"
		_, err := New().Connect(t.Context(), c, nil)
		f := fault.Of(err)
		if f == nil || f.Class != flowv1.FaultClass_FAULT_CLASS_SCHEMA || !strings.Contains(f.Error(), why) || strings.Contains(f.Error(), "s3cret") ||
			!strings.Contains(f.Fix, "connections.cass") {
			t.Errorf("%v", err)
		}
	}
}

// TestNobodyThere: a cluster that cannot be reached is a problem of check and a fault of class CONNECTION, and it is tried
// again.
func TestNobodyThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	target, err := New().Connect(t.Context(), &pipelinev1.Connection{Name: "cass", Host: "127.0.0.1", Port: port, Database: "ops"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	}()
	begun := time.Now()
	_, _, err = target.OpenLane(t.Context(), testLane(), "me")
	if fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_CONNECTION || !strings.Contains(err.Error(), `connecting to "cass"`) {
		t.Errorf("%v", err)
	}
	r := target.Check(t.Context(), nil)
	if p := onlyErrors(r); len(p) != 1 || p[0].Connection != "cass" {
		t.Errorf("%v", r.Problems)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
}
