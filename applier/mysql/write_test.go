package mysql_test

import (
	"fmt"
	"strings"
	"testing"

	"slipstream/applier"
	"slipstream/applier/mysql"
	"slipstream/applier/value"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// An upsert never touches a row with other keys, whichever unique index its values meet first: the one on the keys may
// be the primary key or not, and come before or after the other.
func TestOtherUniqueIndexes(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]string{
		"keys first":                "CREATE TABLE t (id int PRIMARY KEY, mail varchar(20) UNIQUE, v int)",
		"keys last":                 "CREATE TABLE t (id int NOT NULL, mail varchar(20) PRIMARY KEY, v int, UNIQUE z (id))",
		"a prefix":                  "CREATE TABLE t (id int PRIMARY KEY, mail varchar(20), v int, UNIQUE (mail(1)))",
		"an expression's column":    "CREATE TABLE t (id int PRIMARY KEY, mail varchar(20), v int, u char(9) AS (upper(mail)) STORED UNIQUE)",
		"keys without NOT NULL":     "CREATE TABLE t (id int UNIQUE, mail varchar(20) UNIQUE, v int)",
		"a numbered column besides": "CREATE TABLE t (no int AUTO_INCREMENT PRIMARY KEY, id int UNIQUE, mail varchar(20) UNIQUE, v int)",
	} {
		t.Run(name, func(t *testing.T) {
			db := newDatabase(t)
			db.exec(t, table)
			target := db.connect(t)
			to := bind(t, target, output("t", "*id", "mail", "v"))
			s, _ := open(t, target, lane(0))
			commit(t, s, at(0), at(1), write(to, applier.Upsert, values(t, to, []any{"1", "x", "1"}, []any{"2", "y", "2"})))
			for _, row := range [][]any{{"3", "x", "3"}, {"2", "x", "2"}} { // a new row, and one that is there
				err := attempt(t, s, at(1), write(to, applier.Upsert, values(t, to, row)))
				wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_REFERENCE, "Duplicate entry", "")
				db.want(t, "SELECT id, mail, v FROM t ORDER BY id", "1|x|1", "2|y|2")
			}
			// Its own values are nobody else's.
			commit(t, s, at(1), at(2), write(to, applier.Upsert, values(t, to, []any{"2", "y", "5"}, []any{"3", "z", nil})))
			db.want(t, "SELECT id, mail, v FROM t ORDER BY id", "1|x|1", "2|y|5", "3|z|<null>")
			commit(t, s, at(2), at(3), write(to, applier.Delete, values(t, to, []any{"1", nil, nil})))
			commit(t, s, at(3), at(4), write(to, applier.Upsert, values(t, to, []any{"2", "x", "6"})))
			db.want(t, "SELECT id, mail, v FROM t ORDER BY id", "2|x|6", "3|z|<null>")
		})
	}
}

// Updates take no numbers from a column that the server numbers: at some thousand rows a second they would be used up.
func TestNumbersAreNotUsedUp(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, "CREATE TABLE t (no tinyint AUTO_INCREMENT PRIMARY KEY, serial varchar(9) NOT NULL UNIQUE, v int)")
	target := db.connect(t)
	to := bind(t, target, output("t", "*serial", "v"))
	s, _ := open(t, target, lane(0))
	for n := range uint64(100) {
		commit(t, s, at(n), at(n+1), write(to, applier.Upsert, values(t, to, []any{"a", fmt.Sprint(n)}, []any{"b", fmt.Sprint(n)})))
	}
	db.want(t, "SELECT no, serial, v FROM t ORDER BY serial", "1|a|99", "2|b|99")
}

// A column that must have a value and is not written is no obstacle for rows that are there.
func TestColumnsThatAreNotWritten(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, "CREATE TABLE t (id int PRIMARY KEY, must varchar(9) NOT NULL, v int); INSERT INTO t VALUES (1, 'here', 0), (2, 'here', 0)")
	target := db.connect(t)
	to := bind(t, target, output("t", "*id", "v"))
	s, _ := open(t, target, lane(0))
	commit(t, s, at(0), at(1), write(to, applier.Upsert, values(t, to, []any{"1", "7"}, []any{"2", "8"})))
	db.want(t, "SELECT * FROM t ORDER BY id", "1|here|7", "2|here|8")
	err := attempt(t, s, at(1), write(to, applier.Upsert, values(t, to, []any{"2", "9"}, []any{"3", "9"})))
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_DATA, "must", "")
	db.want(t, "SELECT * FROM t ORDER BY id", "1|here|7", "2|here|8")
	// Where nothing is updated every row would fail: that is a matter of the table, and waits.
	w := output("t", "id", "v")
	w.LoadStrategy = pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND
	to = bind(t, target, w)
	err = attempt(t, s, at(1), write(to, applier.Insert, values(t, to, []any{"4", "9"})))
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_SCHEMA, "doesn't have a default value", "")
}

// Keys of every type find their row again, by either technique: nothing about how they are spelled or compared differs
// from what is stored.
func TestKeysOfEveryType(t *testing.T) {
	t.Parallel()
	for declared, keys := range map[string][2]string{
		"bigint unsigned": {"18446744073709551615", "0"}, "decimal(30,10)": {"12345678901234567890.0123456789", "-1"},
		"float": {"0.1", "1e+30"}, "double": {"0.1", "1e+300"}, "bit(9)": {"511", "1"}, "year": {"1999", "2155"},
		"date": {"2024-02-29", "1000-01-01"}, "datetime(6)": {"2030-02-01 10:30:45.123456", "1000-01-01 00:00:00"},
		"timestamp(3)": {"2030-02-01 10:30:45.123", "1970-01-01 00:00:01"}, "time(6)": {"10:30:45.000001", "00:00:00"},
		"char(5)": {"a'\\\"", "é"}, "varchar(20) COLLATE utf8mb4_bin": {"a'\\", "🚀"}, "varchar(20) CHARACTER SET latin1": {"Grüße", "x"},
		"varchar(20) COLLATE utf8mb4_unicode_ci": {"STRASSE", "weg"}, "varchar(20) CHARACTER SET ucs2": {"Grüße", "x"},
		"binary(4)": {"0x6162", "0x00"}, "varbinary(9)": {"0x27005c", "0x61"}, "uuid": {"6ba7b810-9dad-11d1-80b4-00c04fd430c8", "00000000-0000-0000-0000-000000000000"},
		"inet6": {"::1", "2001:db8::2"}, "inet4": {"10.0.0.1", "0.0.0.0"}, "enum('a','b c')": {"a", "b c"}, "set('a','b')": {"a,b", "b"},
		"tinyint(1)": {"1", "0"},
	} {
		for _, more := range []string{"", ", other int UNIQUE"} {
			t.Run(declared+more, func(t *testing.T) {
				db := newDatabase(t)
				db.exec(t, "CREATE TABLE t (k "+declared+" PRIMARY KEY, v int"+more+")")
				target := db.connect(t)
				to := bind(t, target, output("t", "*k", "v"))
				s, _ := open(t, target, lane(0))
				for n := range uint64(2) {
					commit(t, s, at(n), at(n+1), write(to, applier.Upsert, values(t, to, []any{keys[0], fmt.Sprint(n)}, []any{keys[1], "9"})))
				}
				db.want(t, "SELECT v FROM t ORDER BY v", "1", "9")
				commit(t, s, at(2), at(3), write(to, applier.Delete, values(t, to, []any{keys[0], nil})))
				db.want(t, "SELECT v FROM t", "9")
			})
		}
	}
}

// Long lists of keys are looked up in the index, whatever the number of key columns.
func TestLongListsUseTheIndex(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, "CREATE TABLE one (a varchar(40) COLLATE utf8mb4_bin PRIMARY KEY, v int); CREATE TABLE two (a varchar(40), b int, v int, PRIMARY KEY (a, b))")
	target := target(t, connection(t, db.addr, db.name), nil) // statements as long as they may be
	s, _ := open(t, target, lane(0))
	const rows = 20000
	for n, table := range []string{"one", "two"} {
		columns := []string{"*a", "v"}
		if table == "two" {
			columns = []string{"*a", "*b", "v"}
		}
		to := bind(t, target, output(table, columns...))
		var all [][]any
		for i := range rows {
			row := []any{fmt.Sprintf("key:%06d", i), "1"}
			if table == "two" {
				row = []any{row[0], fmt.Sprint(i), "1"}
			}
			all = append(all, row)
		}
		v := values(t, to, all...)
		from := uint64(2 * n)
		commit(t, s, at(from), at(from+1), write(to, applier.Upsert, v))
		db.exec(t, "SET in_predicate_conversion_threshold = 0; ANALYZE TABLE "+table)
		gone := write(to, applier.Delete, v)
		gone.Rows = gone.Rows[:5000]
		commit(t, s, at(from+1), at(from+2), gone)
		db.want(t, "SELECT count(*) FROM "+table, fmt.Sprint(rows-5000))
		plan := db.rows(t, "EXPLAIN DELETE FROM "+table+" WHERE "+among(table, 1200))
		if len(plan) != 1 || !strings.Contains(plan[0], "|range|PRIMARY|PRIMARY|") {
			t.Errorf("the plan is %q", plan)
		}
	}
}

// among is a condition on many keys.
func among(table string, n int) string {
	var list []string
	for i := range n {
		if table == "two" {
			list = append(list, fmt.Sprintf("('key:%06d',%d)", 6000+i, 6000+i))
		} else {
			list = append(list, fmt.Sprintf("'key:%06d'", 6000+i))
		}
	}
	if table == "two" {
		return "(a, b) IN (" + strings.Join(list, ",") + ")"
	}
	return "a IN (" + strings.Join(list, ",") + ")"
}

// A connection of either type finds out what the server is.
func TestBothTypesOfConnection(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	for _, kind := range []string{"mysql", "mariadb"} {
		target := db.connectWith(t, func(c *pipelinev1.Connection) { c.Type = kind })
		if r := target.Check(t.Context(), nil); !strings.HasPrefix(r.Server, "MariaDB ") || len(r.Problems) != 0 {
			t.Errorf("%s: %v", kind, r)
		}
	}
	if name := mysql.New().Name(); name != "mysql" {
		t.Errorf("the dialect is called %s", name)
	}
}

// Sessions are strict, in UTC and read committed, whatever the server's own settings.
func TestSessions(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, "CREATE TABLE seen (id int PRIMARY KEY, how text); CREATE TRIGGER tr BEFORE INSERT ON seen FOR EACH ROW "+
		"SET NEW.how = CONCAT_WS(' ', @@time_zone, @@tx_isolation, @@autocommit, @@character_set_client, @@max_statement_time, @@lock_wait_timeout)")
	target := db.connectWith(t, func(c *pipelinev1.Connection) {
		c.Options = map[string]string{"statement_timeout": "33", "db_connection_pool_size": "1"}
		c.Args = map[string]string{"lock_wait_timeout": "7"}
	})
	to := bind(t, target, output("seen", "*id"))
	s, _ := open(t, target, lane(0))
	commit(t, s, at(0), at(1), write(to, applier.Upsert, values(t, to, []any{"1"})))
	db.want(t, "SELECT how FROM seen", "+00:00 READ-COMMITTED OFF utf8mb4 33.000000 7")
}

// A zero that is written to a numbered column stays a zero, and nothing else that the server would take for something it
// is not gets through.
func TestNothingIsReinterpreted(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, "CREATE TABLE t (no int AUTO_INCREMENT PRIMARY KEY, v varchar(20))")
	target := db.connect(t)
	to := bind(t, target, output("t", "*no", "v"))
	s, _ := open(t, target, lane(0))
	commit(t, s, at(0), at(1), write(to, applier.Upsert, values(t, to, []any{"0", `\0\n\'%_`}, []any{"5", `'; DROP TABLE t; -- `})))
	db.want(t, "SELECT no, v FROM t ORDER BY no", `0|\0\n\'%_`, `5|'; DROP TABLE t; -- `)
	if to.Columns[1].Type.Kind != value.Text {
		t.Errorf("v is %v", to.Columns[1].Type)
	}
}
