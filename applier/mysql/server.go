package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// server is what a server says of itself.
type server struct {
	maria   bool
	version string // as it says it
	number  int    // 10.11.14 is 101114, 8.0.36 is 80036
	packet  int    // max_allowed_packet
	account string // CURRENT_USER(): name@host
}

// The oldest versions that this dialect writes to.
const (
	oldestMySQL   = 50700
	oldestMariaDB = 100500
)

// readVersion reads what VERSION() says: "8.0.36-0ubuntu0.22.04.1", "10.11.14-MariaDB-0+deb12u2", and, from servers that
// want to look old to replicas, "5.5.5-10.4.8-MariaDB". The comment tells MariaDB where the version does not.
func readVersion(version, comment string) server {
	s := server{version: version, maria: containsFold(version, "mariadb") || containsFold(comment, "mariadb")}
	if s.maria {
		version = strings.TrimPrefix(version, "5.5.5-")
	}
	parts := strings.SplitN(version, ".", 3)
	for i := range 3 {
		n := 0
		if i < len(parts) {
			digits := strings.IndexFunc(parts[i]+" ", func(c rune) bool { return c < '0' || c > '9' })
			n, _ = strconv.Atoi(parts[i][:digits])
		}
		s.number = s.number*100 + min(n, 99)
	}
	return s
}

func containsFold(text, part string) bool { return strings.Contains(strings.ToLower(text), part) }

// product is the server's name and version.
func (s *server) product() string {
	if s.maria {
		return "MariaDB " + s.version
	}
	return "MySQL " + s.version
}

// tooOld names the oldest version that will do, where this one will not.
func (s *server) tooOld() string {
	switch {
	case s.maria && s.number < oldestMariaDB:
		return "10.5"
	case !s.maria && s.number < oldestMySQL:
		return "5.7"
	}
	return ""
}

// rowAlias tells whether INSERT … VALUES … AS alias is known, which takes the place of VALUES() in MySQL.
func (s *server) rowAlias() bool { return !s.maria && s.number >= 80019 }

// valueRows is how a list of rows is written as a table: VALUES in MariaDB, VALUES ROW in MySQL, and before that was known
// a UNION.
func (s *server) valueRows() rowForm {
	switch {
	case s.maria:
		return rowsOfMariaDB
	case s.number >= 80019:
		return rowsOfMySQL
	}
	return rowsByUnion
}

// sqlMode makes every session strict. Zero dates are refused, a 0 is written to a numbered column as it is, and a
// backslash in a text is a backslash.
const sqlMode = "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION," +
	"NO_AUTO_VALUE_ON_ZERO,NO_BACKSLASH_ESCAPES"

// settings is the statement that begins a session.
func (s *server) settings(o *options) string {
	seconds := strconv.Itoa(int(o.statementTimeout.Seconds()))
	idle := strconv.Itoa(int(idleInTransaction.Seconds()))
	set := []string{
		"NAMES utf8mb4", "sql_mode = '" + sqlMode + "'", "time_zone = '+00:00'", "autocommit = 0",
		"foreign_key_checks = 1", "unique_checks = 1", "innodb_lock_wait_timeout = " + seconds, "lock_wait_timeout = " + seconds,
	}
	switch {
	case s.maria:
		set = append(set, "tx_isolation = 'READ-COMMITTED'", "max_statement_time = "+seconds, "idle_transaction_timeout = "+idle,
			"in_predicate_conversion_threshold = 0") // a long IN list stays a list of ranges
	case s.number >= 50720:
		set = append(set, "transaction_isolation = 'READ-COMMITTED'", "wait_timeout = "+idle)
	default:
		set = append(set, "tx_isolation = 'READ-COMMITTED'", "wait_timeout = "+idle)
	}
	for _, name := range slices.Sorted(maps.Keys(o.variables)) {
		value := o.variables[name]
		if _, err := strconv.ParseInt(value, 10, 64); err != nil {
			value = literal(value)
		}
		set = append(set, name+" = "+value)
	}
	return "SET " + strings.Join(set, ", ")
}

// connector makes sessions that are as the statements of this package want them.
type connector struct {
	driver.Connector
	options options
	seen    *atomic.Pointer[server]
}

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.greet(ctx, conn); err != nil {
		return nil, errors.Join(err, ignored(conn.Close()))
	}
	return conn, nil
}

// ignored is the error of closing a connection that has failed already.
func ignored(error) error { return nil }

// greet asks the server what it is, and sets the session up.
func (c *connector) greet(ctx context.Context, conn driver.Conn) error {
	asks, ok1 := conn.(driver.QueryerContext)
	does, ok2 := conn.(driver.ExecerContext)
	if !ok1 || !ok2 {
		return fmt.Errorf("the driver's connection is a %T", conn)
	}
	rows, err := asks.QueryContext(ctx, "SELECT VERSION(), @@version_comment, @@max_allowed_packet, CURRENT_USER()", nil)
	if err != nil {
		return err
	}
	cells := make([]driver.Value, 4)
	err = errors.Join(rows.Next(cells), rows.Close())
	if err != nil {
		return err
	}
	s := readVersion(cellText(cells[0]), cellText(cells[1]))
	s.account = cellText(cells[3])
	if s.packet, err = strconv.Atoi(cellText(cells[2])); err != nil {
		return fmt.Errorf("reading max_allowed_packet: %w", err)
	}
	c.seen.Store(&s)
	_, err = does.ExecContext(ctx, s.settings(&c.options), nil)
	return err
}

// cellText is a cell of the driver as text.
func cellText(v driver.Value) string {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case nil:
		return ""
	default:
		return fmt.Sprint(v)
	}
}
