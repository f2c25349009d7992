package e2e_test

import (
	"database/sql"
	"fmt"
	"net"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"slipstream/deploy/dev/devserver"
)

// mariadbTarget is a database on a server, which root writes to and reads back without a password.
func mariadbTarget(t *testing.T, server *devserver.MariaDBServer) *target {
	t.Helper()
	name := server.Database(t)
	config := driver.NewConfig()
	config.Net, config.Addr, config.User, config.DBName = "tcp", server.Addr, "root", name
	config.Logger = &driver.NopLogger{} // a server that was killed is no news
	connector, err := driver.NewConnector(config)
	must(t, err)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	host, port, err := net.SplitHostPort(server.Addr)
	must(t, err)
	return &target{
		name: "mariadb",
		connection: fmt.Sprintf("  hr:\n    type: mariadb\n    host: %s\n    port: %s\n    database: %s\n    user: root\n",
			host, port, name),
		exec: func(t *testing.T, stmt string) {
			t.Helper()
			if _, err := db.ExecContext(t.Context(), stmt); err != nil {
				t.Fatalf("%s: %v", stmt, err)
			}
		},
		rows: func(t *testing.T, query string) [][]string {
			t.Helper()
			rows, err := queried(t.Context(), db, query)
			if err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			return rows
		},
	}
}
