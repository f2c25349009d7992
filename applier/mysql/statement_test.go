package mysql

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipstream/applier"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

var update = flag.Bool("update", false, "write the golden files")

// servers are those whose statements differ.
var servers = map[string]string{
	"mariadb": "10.11.14-MariaDB-0+deb12u2", "mysql80": "8.0.36", "mysql57": "5.7.44-log",
}

// boundTo binds an output to a table as bind does, without a server.
func boundTo(r *relation, s *server, w *pipelinev1.RelationalWrite) (*applier.Table, *bound) {
	table := &applier.Table{Name: r.name}
	b := &bound{relation: r, server: s}
	for i, c := range w.GetColumns() {
		at, _ := r.find(c.GetColumn())
		col := &r.columns[at]
		typ := col.valueType()
		table.Columns = append(table.Columns, applier.TableColumn{Name: col.name, Type: typ, Key: c.GetKey()})
		b.columns, b.names, b.spellers = append(b.columns, at), append(b.names, quote(col.name)), append(b.spellers, col.speller(typ, s))
		if c.GetKey() {
			table.Keys = append(table.Keys, i)
		}
	}
	b.closes, _ = r.history(w)
	table.Native = b
	return table, b
}

// twice are values of two rows that are alike, a text a column; an empty one is NULL.
func twice(texts ...string) *applier.Values {
	v := &applier.Values{Count: 2}
	for _, text := range texts {
		c := applier.Column{}
		for range v.Count {
			if text == "" {
				c.Start, c.End, c.States = append(c.Start, 0), append(c.End, 0), append(c.States, applier.Null)
				continue
			}
			c.Text = append(c.Text, text...)
			c.Start = append(c.Start, uint32(len(c.Text)-len(text)))
			c.End, c.States = append(c.End, uint32(len(c.Text))), append(c.States, applier.Present)
		}
		v.Columns = append(v.Columns, c)
	}
	return v
}

// The statements of each kind of server, as they are sent. MySQL is not run by these tests: what is written here is what
// its manual says of the versions. Run with -update after a change, and read the difference.
func TestStatements(t *testing.T) {
	people := func() *relation {
		return &relation{
			schema: "db", name: "peo`ple", kind: "BASE TABLE", engine: "InnoDB",
			columns: []column{
				{name: "id", data: "bigint", shown: "bigint(20)", notNull: true},
				{name: "na`me", data: "varchar", shown: "varchar(50)", characters: 50, charset: "utf8mb4", collation: "utf8mb4_general_ci"},
				{name: "seen", data: "timestamp", shown: "timestamp(6)", fraction: 6},
			},
			unique: []uniqueIndex{{name: "PRIMARY", columns: []string{"id"}, whole: true}},
		}
	}
	output := &pipelinev1.RelationalWrite{Columns: []*pipelinev1.OutputColumn{{Column: "id", Key: true}, {Column: "na`me"}, {Column: "seen"}}}
	values := twice("1", "it's \\", "")
	values.Columns[2] = twice("2030-02-01 10:30:45.5+00:00").Columns[0]
	for name, version := range servers {
		t.Run(name, func(t *testing.T) {
			s := readVersion(version, "")
			s.packet = 1 << 20
			s.account = "app@%"
			var text strings.Builder
			show := func(what string, r *relation, w *pipelinev1.RelationalWrite, write applier.Write) {
				table, b := boundTo(r, &s, w)
				write.Table, write.Values, write.Rows = table, values, []int32{0, 1}
				x := &txn{session: &session{target: &target{rowsPerStatement: 10}}, link: &link{server: &s}}
				all, err := b.templates(&write)
				if err != nil {
					t.Fatal(err)
				}
				text.WriteString("-- " + what + "\n")
				for _, one := range all {
					sql, n, err := x.text(b, one, &write, write.Rows)
					if err != nil || n != 2 {
						t.Fatalf("%s: %d rows, %v", what, n, err)
					}
					text.Write(append(sql, ";\n"...))
				}
			}
			text.WriteString("-- session\n" + s.settings(&options{statementTimeout: defaultStatementTimeout, variables: map[string]string{"b": "5", "a": "x'y"}}) + ";\n")
			show("upsert", people(), output, applier.Write{Verb: applier.Upsert, Columns: []int{0, 1, 2}})
			show("upsert of keys alone", people(), output, applier.Write{Verb: applier.Upsert, Columns: []int{0}})
			twoUnique := people()
			twoUnique.unique = append(twoUnique.unique, uniqueIndex{name: "seen", columns: []string{"seen"}, whole: true})
			show("upsert where another index is unique", twoUnique, output, applier.Write{Verb: applier.Upsert, Columns: []int{0, 1, 2}})
			byName := people()
			byName.unique = []uniqueIndex{{name: "name", columns: []string{"na`me"}, whole: true}}
			byName.columns[0].auto = true
			show("upsert beside a numbered column", byName, &pipelinev1.RelationalWrite{
				Columns: []*pipelinev1.OutputColumn{{Column: "na`me", Key: true}, {Column: "seen"}},
			}, applier.Write{Verb: applier.Upsert, Columns: []int{0, 1}})
			show("insert", people(), output, applier.Write{Verb: applier.Insert, Columns: []int{0, 1}})
			show("delete", people(), output, applier.Write{Verb: applier.Delete, Columns: []int{0}})
			pairs := &pipelinev1.RelationalWrite{Columns: []*pipelinev1.OutputColumn{{Column: "id", Key: true}, {Column: "na`me", Key: true}}}
			show("delete by two keys", people(), pairs, applier.Write{Verb: applier.Delete, Columns: []int{0, 1}})
			show("close", people(), &pipelinev1.RelationalWrite{
				LoadStrategy: pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2, ActiveRecordIndicator: "seen IS NULL",
				InactiveRecordMapping: []*pipelinev1.InactiveRecordMapping{{Source: "now() -- then", Target: "seen"}}, Columns: output.Columns[:2],
			}, applier.Write{Verb: applier.Close, Columns: []int{0}})

			file := filepath.Join("testdata", name+".sql")
			if *update {
				if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil || text.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s%v", text.String(), want, err)
			}
		})
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		version, comment string
		maria            bool
		number           int
		alias, old       bool
	}{
		{version: "8.0.36-0ubuntu0.22.04.1", number: 80036, alias: true},
		{version: "8.0.18", number: 80018},
		{version: "8.0.19-cluster", number: 80019, alias: true},
		{version: "9.1.0-commercial", number: 90100, alias: true},
		{version: "5.7.44-log", comment: "MySQL Community Server (GPL)", number: 50744},
		{version: "5.6.51", number: 50651, old: true},
		{version: "8.0.35-27", comment: "Percona Server (GPL), Release 27", number: 80035, alias: true},
		{version: "10.11.14-MariaDB-0+deb12u2", maria: true, number: 101114},
		{version: "5.5.5-10.4.8-MariaDB", maria: true, number: 100408, old: true},
		{version: "11.8.2", comment: "MariaDB Server", maria: true, number: 110802},
		{version: "10.5.1-MariaDB-1:10.5.1+maria~focal-log", maria: true, number: 100501},
		{version: "8.0", number: 80000},
	} {
		s := readVersion(c.version, c.comment)
		if s.maria != c.maria || s.number != c.number || s.rowAlias() != c.alias || (s.tooOld() != "") != c.old {
			t.Errorf("%s (%s): %+v, alias %v, too old for %q", c.version, c.comment, s, s.rowAlias(), s.tooOld())
		}
	}
}

// A row that no statement can hold is a fault of that row, and what fits goes in as many statements as it takes.
func TestPackets(t *testing.T) {
	r := &relation{schema: "d", name: "t", columns: []column{{name: "v", data: "longtext"}}}
	s := readVersion("10.11.14-MariaDB", "")
	s.packet = packetReserve + 100
	table, b := boundTo(r, &s, &pipelinev1.RelationalWrite{Columns: []*pipelinev1.OutputColumn{{Column: "v"}}})
	x := &txn{session: &session{target: &target{rowsPerStatement: 10}}, link: &link{server: &s}}
	w := &applier.Write{Table: table, Verb: applier.Insert, Columns: []int{0}, Values: twice(strings.Repeat("x", 40)), Rows: []int32{0, 1}}
	all, err := b.templates(w)
	if err != nil {
		t.Fatal(err)
	}
	if text, n, err := x.text(b, all[0], w, w.Rows); n != 1 || err != nil || len(text) > 100 {
		t.Errorf("%d rows in %d bytes, %v", n, len(text), err)
	}
	w.Values = twice(strings.Repeat("x", 80))
	if _, _, err := x.text(b, all[0], w, w.Rows); err == nil || !strings.Contains(err.Error(), "the server takes 100") {
		t.Errorf("a row too long: %v", err)
	}
}
