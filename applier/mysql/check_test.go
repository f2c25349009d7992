package mysql_test

import (
	"context"
	"strings"
	"testing"

	"slipstream/applier"
	"slipstream/deploy/dev/devserver"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// outputOf wraps an output.
func outputOf(w *pipelinev1.RelationalWrite) *pipelinev1.Output {
	return &pipelinev1.Output{Path: "output[0]", Connection: "db", Writer: &pipelinev1.Output_Relational{Relational: w}}
}

// What is wrong with an output is a problem of validate and a fault of Table, in the same words.
func TestOutputsThatDoNotFit(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	other := db.name + "_x"
	db.exec(t, "CREATE DATABASE "+other+"; CREATE TABLE "+other+".Mixed (Id int PRIMARY KEY, v int)")
	t.Cleanup(func() { _, _ = db.admin.ExecContext(context.WithoutCancel(t.Context()), "DROP DATABASE "+other) })
	db.exec(t, "CREATE TABLE people (id int PRIMARY KEY, `Name` varchar(50), twice int AS (id * 2) STORED, thrice int AS (id * 3) VIRTUAL,"+
		" region varchar(9), part varchar(90), hidden int INVISIBLE DEFAULT 3, UNIQUE (region, id), UNIQUE (part(10)));"+
		"CREATE TABLE numbered (no int AUTO_INCREMENT PRIMARY KEY, serial int UNIQUE);"+
		"CREATE VIEW v AS SELECT * FROM people; CREATE TABLE plain (id int PRIMARY KEY) ENGINE=MyISAM; CREATE SEQUENCE sq;"+
		"CREATE TABLE parted (id int, d date, PRIMARY KEY (id, d)) PARTITION BY HASH (id) PARTITIONS 2")
	target := db.connect(t)
	for _, c := range []struct {
		name    string
		w       *pipelinev1.RelationalWrite
		path    string
		message string // empty: it fits
		fix     string
	}{
		{"fits", output("people", "*id", "name"), "", "", ""},
		{"other case", output("PEOPLE", "*ID", "NAME"), "", "", ""},
		{"database in other case", output(strings.ToUpper(other)+".mixed", "*ID"), "", "", ""},
		{"composite key in other order", output("people", "*id", "*region"), "", "", ""},
		{"partitioned", output("parted", "*id", "*d"), "", "", ""},
		{"a column that is not shown", output("people", "*id", "hidden"), "", "", ""},
		{"a numbered column as key", output("numbered", "*no", "serial"), "", "", ""},
		{
			"no table", output("nobody", "*id", "*no", "name"), "output[0]", "table nobody does not exist in database " + db.name,
			"CREATE TABLE `nobody` (`id` varchar(255) COLLATE utf8mb4_bin NOT NULL, `no` varchar(255) COLLATE utf8mb4_bin NOT NULL, `name` longtext, PRIMARY KEY (`id`, `no`))",
		},
		{"no table in database", output(other+".people", "*id"), "output[0]", "table people does not exist in database " + other, "CREATE TABLE `" + other + "`.`people`"},
		{
			"no column", output("people", "*id", "surname"), "output[0].with.mapping[1]",
			"surname column does not exist in people table; it has id, Name", "ALTER TABLE `" + db.name + "`.`people` ADD COLUMN `surname` longtext;",
		},
		{"twice", output("people", "*id", "name", "NAME"), "output[0].with.mapping[2]", "column Name of table people is written twice", "keep one"},
		{"stored", output("people", "*id", "twice"), "output[0].with.mapping[1]", "is computed by the server", "leave it out"},
		{"virtual", output("people", "*id", "thrice"), "output[0].with.mapping[1]", "is computed by the server", "leave it out"},
		{"numbered", output("numbered", "*serial", "no"), "output[0].with.mapping[1]", "is numbered by the server", "allow_generated"},
		{"no unique index", output("people", "*name"), "output[0]", "no unique index on exactly Name", "CREATE UNIQUE INDEX `people_slipstream` ON `" + db.name + "`.`people` (`Name`);"},
		{"part of a unique index", output("people", "*region"), "output[0]", "no unique index on exactly region", "CREATE UNIQUE INDEX"},
		{"index on a part of the text", output("people", "*part"), "output[0]", "no unique index on exactly part", "CREATE UNIQUE INDEX"},
		{"no keys", output("people", "id"), "output[0]", "has no keys", "keys"},
		{"view", output("v", "*id"), "output[0]", "v is a view", "table behind it: people"},
		{"sequence", output("sq", "*next_not_cached_value"), "output[0]", "sq is a sequence", "name a table"},
		{"no transactions", output("plain", "*id"), "output[0]", "kept by MyISAM, which has no transactions", "ALTER TABLE `" + db.name + "`.`plain` ENGINE=InnoDB;"},
	} {
		t.Run(c.name, func(t *testing.T) {
			response := target.Check(t.Context(), jobs(c.w))
			_, err := target.Table(t.Context(), outputOf(c.w))
			if c.message == "" {
				if err != nil || len(response.Problems) != 0 || len(response.Tables) != 1 {
					t.Fatalf("got %v and %v", err, response)
				}
				return
			}
			wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_SCHEMA, c.message, c.fix)
			if len(response.Problems) != 1 {
				t.Fatalf("problems: %v", response.Problems)
			}
			p := response.Problems[0]
			if p.Message != err.Error() || p.Fix != fault.Of(err).Fix {
				t.Errorf("check says %q, %q; binding says %q, %q", p.Message, p.Fix, err, fault.Of(err).Fix)
			}
			if p.Path != c.path || p.File != "jobs/j.yaml" || p.Job != "job0" || p.Severity != pipelinev1.Severity_SEVERITY_ERROR {
				t.Errorf("problem is %v, want path %s", p, c.path)
			}
		})
	}
}

// All problems come at once, and a fix that is SQL can be run as it is.
func TestFixesCanBeRun(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, "CREATE TABLE `a ``b` (id int); CREATE TABLE plain (id int PRIMARY KEY) ENGINE=MyISAM")
	target := db.connect(t)
	all := jobs(output("a `b", "*id", "x `y"), output("fresh", "*id", "v"), output("plain", "*id"))
	for round := range 4 {
		problems := target.Check(t.Context(), all).Problems
		if len(problems) == 0 {
			if round != 2 {
				t.Fatalf("no problem left after %d rounds", round)
			}
			return
		}
		for _, p := range problems {
			db.exec(t, p.Fix)
		}
	}
	t.Fatal("problems are left")
}

func TestCheckDescribesTables(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, "CREATE TABLE t (id int PRIMARY KEY, a varchar(5) NOT NULL DEFAULT 'x', b decimal(5,2), c int AS (1) STORED, d datetime DEFAULT NULL)")
	response := db.connect(t).Check(t.Context(), jobs(output("t", "*id")))
	if !strings.HasPrefix(response.Server, "MariaDB 1") || len(response.Problems) != 0 || len(response.Tables) != 1 {
		t.Fatalf("response: %v", response)
	}
	var got []string
	for _, c := range response.Tables[0].Columns {
		s := c.Name + " " + c.Type
		for _, f := range []struct {
			on   bool
			word string
		}{{c.Nullable, " null"}, {c.HasDefault, " default"}, {c.Generated, " generated"}} {
			if f.on {
				s += f.word
			}
		}
		got = append(got, s)
	}
	want := "id int(11), a varchar(5) default, b decimal(5,2) null, c int(11) null generated, d datetime null"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// An account without grants gets the statements that give them, and a fault that waits. Rights that come by a role count.
func TestGrants(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	in := quote(db.name)
	db.exec(t, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	role := "writers_" + db.name[len(db.name)-6:]
	db.exec(t, "CREATE ROLE "+role+"; GRANT CREATE, SELECT, INSERT, UPDATE ON "+in+".slipstream_position TO "+role)
	t.Cleanup(func() { _, _ = db.admin.ExecContext(context.WithoutCancel(t.Context()), "DROP ROLE "+role) })
	var account string
	change := db.account(t, "weak", "SELECT ON "+in+".t")
	to := db.connectWith(t, func(c *pipelinev1.Connection) { change(c); account = c.User })
	w := output("t", "*id", "v")
	problems := to.Check(t.Context(), jobs(w)).Problems
	if len(problems) != 2 || !strings.Contains(problems[0].Message, "position table") ||
		problems[1].Message != "user "+account+"@% has no INSERT, UPDATE, DELETE on table t" {
		t.Fatalf("problems: %v", problems)
	}
	db.exec(t, "GRANT "+role+" TO '"+account+"'@'%'; SET DEFAULT ROLE "+role+" FOR '"+account+"'@'%'")
	to = db.connectWith(t, func(c *pipelinev1.Connection) { change(c) })
	if problems = to.Check(t.Context(), jobs(w)).Problems; len(problems) != 1 {
		t.Fatalf("problems: %v", problems)
	}
	table := bind(t, to, w) // binding works: the grant may come any time
	s, _ := open(t, to, lane(0))
	rows := write(table, applier.Upsert, values(t, table, []any{"1", "x"}))
	wantFault(t, attempt(t, s, at(0), rows), flowv1.FaultClass_FAULT_CLASS_PERMISSION, "INSERT", "GRANT SELECT, INSERT, UPDATE, DELETE ON "+in+".`t` TO '"+account+"'@'%';")
	db.exec(t, problems[0].Fix)
	if problems := to.Check(t.Context(), jobs(w)).Problems; len(problems) != 0 {
		t.Fatalf("problems are left: %v", problems)
	}
	commit(t, s, at(0), at(1), rows)
	db.want(t, "SELECT * FROM t", "1|x")
	// Only the columns that are written have to be granted.
	db.exec(t, "REVOKE ALL ON "+in+".t FROM '"+account+"'@'%'; GRANT SELECT (id), INSERT (id, v), UPDATE (v), DELETE ON "+in+".t TO '"+account+"'@'%'")
	if problems := to.Check(t.Context(), jobs(w)).Problems; len(problems) != 1 { // an upsert wants to update what it inserts
		t.Errorf("too few rights on columns: %v", problems)
	}
	db.exec(t, "GRANT SELECT (v), UPDATE (id) ON "+in+".t TO '"+account+"'@'%'")
	if problems := to.Check(t.Context(), jobs(w)).Problems; len(problems) != 0 {
		t.Errorf("rights on columns: %v", problems)
	}
	commit(t, s, at(1), at(2), rows)
}

func TestServersThatTakeNoWrites(t *testing.T) {
	t.Parallel()
	server := devserver.MariaDB(t, devserver.MariaDBOptions{Args: []string{"--read-only", "--log-bin=log", "--binlog-format=STATEMENT"}})
	db := connectTo(t, server.Addr, "mysql")
	db.exec(t, "CREATE DATABASE app")
	account := db.account(t, "app", "ALL ON app.*")
	conn := connection(t, server.Addr, "app")
	account(conn)
	to := target(t, conn, nil)
	problems := to.Check(t.Context(), nil).Problems
	if len(problems) != 2 || !strings.Contains(problems[0].Message, "read-only") || !strings.Contains(problems[0].Fix, "primary") ||
		!strings.Contains(problems[1].Message, "binlog_format is STATEMENT") {
		t.Fatalf("problems: %v", problems)
	}
	_, _, err := to.OpenLane(t.Context(), lane(0), "x")
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_CAPACITY, "read-only", "")
	db.exec(t, "SET GLOBAL read_only = OFF")
	_, _, err = to.OpenLane(t.Context(), lane(0), "x")
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_SCHEMA, "binary log", "binlog_format = 'MIXED'")
	db.exec(t, problems[1].Fix)
	to = target(t, conn, nil) // sessions keep the format they began with
	if p := to.Check(t.Context(), nil).Problems; len(p) != 0 {
		t.Fatalf("problems: %v", p)
	}
	open(t, to, lane(0))
}

func TestDatabaseThatDoesNotExist(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	to := db.connectWith(t, func(c *pipelinev1.Connection) { c.Database = "no `such" })
	problems := to.Check(t.Context(), nil).Problems
	if len(problems) != 1 || problems[0].Fix != "CREATE DATABASE `no ``such` CHARACTER SET utf8mb4;" || problems[0].Connection != "db" {
		t.Fatalf("problems: %v", problems)
	}
	_, err := to.Table(t.Context(), outputOf(output("t", "*id")))
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_SCHEMA, "Unknown database", "CREATE DATABASE")
}
