package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"slipstream/deploy/dev/devserver"
)

// certificate makes a key and a certificate that it signs itself, in a folder that a server of another account can read.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "slipstream-e2e-tls-") //nolint:usetesting // the parents of t.TempDir are closed to the server
	must(t, err, os.Chmod(dir, 0o755))                  //nolint:gosec // as above
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	must(t, err)
	raw, err := x509.MarshalECPrivateKey(key)
	must(t, err)
	certFile, keyFile = filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	for path, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: raw},
	} {
		must(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o644)) //nolint:gosec // the key of a test
	}
	return certFile, keyFile
}

// TestFixesMariaDB is TestFixesPostgres for MariaDB, where rights belong to names and new tables come without any.
func TestFixesMariaDB(t *testing.T) {
	const password = "it's secret"
	certFile, keyFile := certificate(t)
	server := devserver.MariaDB(t, devserver.MariaDBOptions{Args: []string{"--ssl-cert=" + certFile, "--ssl-key=" + keyFile}})
	open := func(database string) *sql.DB {
		config := driver.NewConfig()
		config.Net, config.Addr, config.User, config.DBName, config.MultiStatements = "tcp", server.Addr, "root", database, true
		config.TLSConfig, config.Logger = "preferred", &driver.NopLogger{}
		connector, err := driver.NewConnector(config)
		must(t, err)
		return sql.OpenDB(connector)
	}
	admin := func(database, statements string) error { // each on a connection of its own: the database may be another one
		db := open(database)
		_, err := db.ExecContext(t.Context(), statements)
		return errors.Join(err, db.Close())
	}
	must(t, admin("", "CREATE USER clerk IDENTIFIED BY '"+strings.ReplaceAll(password, "'", "''")+"'; CREATE DATABASE plant;"+
		"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, SHOW VIEW ON plant.* TO clerk"), admin("plant", tankTable))

	source := devserver.Redis(t, devserver.RedisOptions{})
	c := client(t, source.Addr)
	host, port, err := net.SplitHostPort(server.Addr)
	must(t, err)
	files := func(more, table string) map[string]string {
		tg := &target{connection: fmt.Sprintf("  hr: {type: mariadb, host: %s, port: %s, database: plant, user: clerk, password: \"%s\"%s}\n",
			host, port, password, more)}
		return map[string]string{
			"config.yaml":    config(source.Addr, tg, "applier: {on_failed_retry_interval: 1}\n"),
			"jobs/tank.yaml": strings.Replace(tankJob, "table: tank", "table: "+table, 1),
		}
	}
	x := &fixes{
		t: t, line: startEmbedded(t, source.Addr), files: files(", connect_args: {ssl_disabled: \"true\"}", "tank"),
		set: func(key int) { must(t, c.HSet(t.Context(), fmt.Sprintf("tank:%d", key), "level", key).Err()) },
		has: func(key int) bool {
			db := open("plant")
			defer func() { _ = db.Close() }()
			rows, err := queried(t.Context(), db, fmt.Sprintf("SELECT 1 FROM tank WHERE CAST(id AS char) = '%d'", key))
			return err == nil && len(rows) == 1
		},
	}
	deploy(t, x.line, x.files)
	running(t, x.line)
	x.next++
	x.set(x.next)
	x.arrives(x.next, func(fix string) { t.Errorf("nothing is wrong yet, but: %s", fix) })

	// What a session looked up once it looks up again when it is a new one.
	as := func(statements string) func() {
		return func() { must(x.t, admin("plant", statements), admin("", "KILL USER clerk")) }
	}
	asPrinted := func(fix string) { must(x.t, admin("plant", fix)) }
	for _, one := range []spoiled{
		{
			"wrong password", as("ALTER USER clerk IDENTIFIED BY 'another'"), "Access denied for user 'clerk'", "ALTER USER 'clerk'@'%' IDENTIFIED BY '…';",
			func(fix string) {
				_, statement, _ := strings.Cut(fix, "in the database: ")
				statement, _, _ = strings.Cut(statement, ";")
				asPrinted(strings.Replace(statement, "…", strings.ReplaceAll(password, "'", "''"), 1))
			},
		},
		{
			"a server that wants TLS", as("SET GLOBAL require_secure_transport = ON"), "Access denied for user 'clerk'",
			"where the account demands TLS (REQUIRE SSL), or the server (require_secure_transport), remove ssl_disabled",
			func(string) {
				x.files = files("", "tank")
				deploy(x.t, x.line, x.files)
			},
		},
		{
			"missing grant on our own table", as("SET GLOBAL require_secure_transport = OFF; REVOKE INSERT, UPDATE ON plant.* FROM clerk"),
			"user clerk@% may not read and write the position table", "GRANT SELECT, INSERT, UPDATE ON `plant`.`slipstream_position` TO 'clerk'@'%';",
			asPrinted, // and then the other
		},
		{
			"missing grant", as("REVOKE INSERT, UPDATE ON plant.tank FROM clerk"), "user clerk@% has no INSERT, UPDATE on table tank",
			"GRANT SELECT, INSERT, UPDATE, DELETE ON `plant`.`tank` TO 'clerk'@'%';", asPrinted,
		},
		{
			"no right on the database", as("REVOKE ALL PRIVILEGES, GRANT OPTION FROM clerk"), "Access denied for user 'clerk'@'%' to database 'plant'",
			"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON `plant`.* TO 'clerk'@'%';", asPrinted,
		},
		{"no such table", as("DROP TABLE tank"), "table tank does not exist in database plant", "CREATE TABLE `tank` (", asPrinted},
		{
			"keys without a unique index", as("DROP TABLE tank; CREATE TABLE tank (id bigint, level integer)"),
			"table tank has no unique index on exactly id", "CREATE UNIQUE INDEX `tank_slipstream` ON `plant`.`tank` (`id`);", asPrinted,
		},
		{
			"no such column", as("ALTER TABLE tank DROP COLUMN level"), "level column does not exist in tank table",
			"ALTER TABLE `plant`.`tank` ADD COLUMN `level`", asPrinted,
		},
		{
			"a view instead of a table", as("GRANT SHOW VIEW ON plant.* TO clerk; RENAME TABLE tank TO tank_base; CREATE VIEW tank AS SELECT * FROM tank_base"),
			"tank is a view; rows can only be written to a table", "name the table behind it: tank_base",
			func(fix string) {
				_, table, _ := strings.Cut(fix, ": ")
				deploy(x.t, x.line, files("", table))
			},
		},
		{
			"no such database", func() {
				must(x.t, admin("plant", "DROP VIEW tank; RENAME TABLE tank_base TO tank"))
				deploy(x.t, x.line, x.files)
				running(x.t, x.line)
				must(x.t, admin("", "DROP DATABASE plant"))
			}, "Unknown database 'plant'", "CREATE DATABASE `plant` CHARACTER SET utf8mb4;",
			func(fix string) { // and then the table
				database := "plant"
				if strings.HasPrefix(fix, "CREATE DATABASE") {
					database = ""
				}
				must(x.t, admin(database, fix))
			},
		},
	} {
		x.run(one)
	}
	noDeadLetters(t, x.line)
}
