package cassandra_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"slipstream/applier/applytest"
	"slipstream/applier/cassandra"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// TestConformance runs the suite of package applytest on a cluster: SLIPSTREAM_CASSANDRA_HOSTS names its nodes, separated
// by commas, SLIPSTREAM_CASSANDRA_USER and SLIPSTREAM_CASSANDRA_PASSWORD an account that may create keyspaces. Without
// them there is nothing here to run it on, and the other tests of this folder stand alone.
func TestConformance(t *testing.T) {
	hosts := os.Getenv("SLIPSTREAM_CASSANDRA_HOSTS")
	if hosts == "" {
		t.Log("SLIPSTREAM_CASSANDRA_HOSTS names no cluster")
		return
	}
	applytest.Run(t, harness(hosts))
}

var keyspaces atomic.Int64

func harness(hosts string) applytest.Harness {
	return applytest.Harness{
		Dialect: cassandra.New(),
		Open: func(t testing.TB) applytest.Database {
			name := fmt.Sprintf("slipstream_%d_%d", time.Now().UnixNano(), keyspaces.Add(1))
			admin := connect(t, hosts, "")
			execute(t, admin, "CREATE KEYSPACE "+name+" WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
			t.Cleanup(func() {
				if err := admin.Query("DROP KEYSPACE " + name).Exec(); err != nil {
					t.Error(err)
				}
				admin.Close()
			})
			s := connect(t, hosts, name)
			t.Cleanup(s.Close)
			return applytest.Database{
				Connection: &pipelinev1.Connection{
					Host: hosts, Database: name, User: os.Getenv("SLIPSTREAM_CASSANDRA_USER"), Password: os.Getenv("SLIPSTREAM_CASSANDRA_PASSWORD"),
				},
				Exec:  func(t testing.TB, statement string) { execute(t, s, statement) },
				Query: func(t testing.TB, query string) [][]string { return read(t, s, query) },
			}
		},
		Types: applytest.Types{
			Key: "text", Text: "text", Integer: "bigint", Decimal: "decimal", Float: "double", Boolean: "boolean", Date: "date",
			Timestamp: "timestamp", Zoned: "timestamp", Time: "time", Binary: "blob", JSON: "text", UUID: "uuid",
		},
		NullsFirst: true, NULInText: true, AnySize: true,
	}
}

func connect(t testing.TB, hosts, keyspace string) *gocql.Session {
	t.Helper()
	c := gocql.NewCluster(strings.Split(hosts, ",")...)
	c.Keyspace, c.Timeout = keyspace, 30*time.Second
	if user := os.Getenv("SLIPSTREAM_CASSANDRA_USER"); user != "" {
		c.Authenticator = gocql.PasswordAuthenticator{Username: user, Password: os.Getenv("SLIPSTREAM_CASSANDRA_PASSWORD")}
	}
	s, err := c.CreateSession()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func execute(t testing.TB, s *gocql.Session, statement string) {
	t.Helper()
	if err := s.Query(statement).ExecContext(t.Context()); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// ordered finds what CQL does not do: sorting a table by any columns.
var ordered = regexp.MustCompile(`(?is)\s+ORDER BY .*$`)

// read returns a query's rows as package value writes them, sorted.
func read(t testing.TB, s *gocql.Session, query string) [][]string {
	t.Helper()
	rows, err := cassandra.Canonical(t.Context(), s, ordered.ReplaceAllString(query, ""))
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	out := make([][]string, len(rows))
	for i, row := range rows {
		for _, v := range row {
			if v == nil {
				out[i] = append(out[i], applytest.Null)
				continue
			}
			out[i] = append(out[i], string(v))
		}
	}
	slices.SortFunc(out, slices.Compare[[]string])
	return out
}
