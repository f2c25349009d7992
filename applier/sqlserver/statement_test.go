package sqlserver

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"slipstream/applier"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run with -update and look at the difference. Got:\n%s", path, got)
	}
}

// everyType is a table with a column of every type.
func everyType() *relation {
	r := &relation{schema: "dbo", name: "odd ]name", byDefault: true}
	add := func(name string, typ typeRow) {
		typ.name = name
		r.columns = append(r.columns, column{name: "c_" + name, typ: typ})
	}
	const latin = "SQL_Latin1_General_CP1_CI_AS"
	r.columns = append(r.columns,
		column{name: "id", typ: typeRow{name: "varchar", length: 50, collation: "Cyrillic_General_CI_AS", codePage: 1251, explicit: true}, notNull: true},
		column{name: "part", typ: typeRow{name: "nvarchar", length: 20, collation: latin, codePage: 1252}, notNull: true})
	for _, name := range []string{
		"tinyint", "smallint", "int", "bigint", "bit", "real", "money", "smallmoney", "date", "datetime", "smalldatetime", "uniqueidentifier",
		"xml", "sql_variant", "hierarchyid", "geography", "image", "sysname",
	} {
		add(name, typeRow{})
	}
	add("decimal", typeRow{precision: 12, scale: 2})
	add("float", typeRow{precision: 53})
	add("time", typeRow{fraction: 3})
	add("datetime2", typeRow{fraction: 7})
	add("datetimeoffset", typeRow{fraction: 0})
	add("char", typeRow{length: 3, collation: latin, codePage: 1252})
	add("nchar", typeRow{length: 3, collation: latin, codePage: 1252})
	add("text", typeRow{length: 2147483647, collation: latin, codePage: 1252})
	add("ntext", typeRow{length: 1073741823, collation: latin, codePage: 1252})
	add("binary", typeRow{length: 4})
	add("varbinary", typeRow{length: 16})
	r.columns = append(r.columns,
		column{name: "long", typ: typeRow{name: "nvarchar", length: -1, collation: latin, codePage: 1252}},
		column{name: "wide", typ: typeRow{name: "varchar", length: 8000, collation: latin, codePage: 1252}},
		column{name: "blob", typ: typeRow{name: "varbinary", length: -1}})
	return r
}

// boundOf binds columns of a relation by name; those with a star are keys, with two of the parent.
func boundOf(t *testing.T, r *relation, columns ...string) (*applier.Table, *bound) {
	t.Helper()
	b := &bound{relation: r, facts: &facts{collation: "SQL_Latin1_General_CP1_CI_AS", temporary: "Latin1_General_CI_AS", bulk: true}}
	table := &applier.Table{Name: r.label(), Native: b}
	for i, name := range columns {
		stars := len(name) - len(strings.TrimLeft(name, "*"))
		at, ok := r.find(name[stars:])
		if !ok {
			t.Fatalf("no column %s", name)
		}
		c := &r.columns[at]
		table.Columns = append(table.Columns, applier.TableColumn{Name: c.name, Type: c.typ.valueType(c.name), Key: stars > 0})
		b.columns = append(b.columns, at)
		b.names = append(b.names, quote(c.name))
		b.travels = append(b.travels, c.typ.travels())
		if stars > 0 {
			table.Keys = append(table.Keys, i)
		}
		if stars > 1 {
			table.Parents = append(table.Parents, i)
		}
	}
	return table, b
}

func all(table *applier.Table) (columns []int) {
	for i := range table.Columns {
		columns = append(columns, i)
	}
	return columns
}

// TestStatements shows every statement on tables of the user (spec 5.2).
func TestStatements(t *testing.T) {
	var out strings.Builder
	show := func(title string, text *sqlText) {
		fmt.Fprintf(&out, "-- %s\n%s\n", title, text.sql)
		if text.decl != "" {
			fmt.Fprintf(&out, "-- with %s\n", text.decl)
		}
		out.WriteString("\n")
	}
	var names []string
	every := everyType()
	for i := range every.columns {
		name := every.columns[i].name
		if i < 2 {
			name = "*" + name
		}
		names = append(names, name)
	}
	table, b := boundOf(t, every, names...)
	show("a column of every type, from parameters", b.upsert(table, b.newSource(fromValues, all(table), 1, 1, ""), all(table)))
	staged := b.newSource(fromTable, all(table), 0, 1, "#slipstream_1")
	show("the temporary table that bulk copy fills", &sqlText{sql: b.stageTable(staged)})
	show("from the temporary table", b.upsert(table, staged, all(table)))

	few, fb := boundOf(t, everyType(), "**id", "*part", "c_int")
	for _, o := range []origin{fromValues, fromTable, fromJSON} {
		name := map[origin]string{fromValues: "parameters", fromTable: "a temporary table", fromJSON: "JSON"}[o]
		source := func(columns []int) *source { return fb.newSource(o, columns, 2, 1, "#slipstream_1") }
		show("upsert from "+name, fb.upsert(few, source([]int{0, 1, 2}), []int{0, 1, 2}))
		show("upsert of keys alone from "+name, fb.upsert(few, source([]int{0, 1}), []int{0, 1}))
		show("insert from "+name, fb.insert(source([]int{0, 1, 2}), []int{0, 1, 2}))
		show("delete from "+name, fb.remove(source([]int{0, 1}), []int{0, 1}))
		parents := source([]int{0})
		show("prune from "+name, fb.removeBut(parents, fb.newSource(o, []int{0, 1}, 1, parents.next(), "#slipstream_2")))
	}
	show("prune of everything", fb.removeBut(fb.newSource(fromValues, []int{0}, 1, 1, ""), fb.newSource(fromValues, []int{0, 1}, 0, 2, "")))
	show("rows of defaults", fb.defaults(2))
	fb.closes = closes{sets: "[ended] = (SYSUTCDATETIME()\n)", active: " AND (ended IS NULL\n)"}
	show("close (TYPE2)", fb.shut(fb.newSource(fromValues, []int{0, 1}, 1, 1, ""), []int{0, 1}))

	numbered := everyType()
	numbered.columns[4].identity = true
	keyed, nb := boundOf(t, numbered, "*c_int", "part")
	show("upsert by a column that the server numbers", nb.upsert(keyed, nb.newSource(fromValues, []int{0, 1}, 1, 1, ""), []int{0, 1}))
	golden(t, "statements.sql", out.String())
}

// TestOwnStatements shows every statement on our own tables (design D4, D8).
func TestOwnStatements(t *testing.T) {
	var out strings.Builder
	show := func(title, sql, decl string) {
		fmt.Fprintf(&out, "-- %s\n%s\n", title, sql)
		if decl != "" {
			fmt.Fprintf(&out, "-- with %s\n", decl)
		}
		out.WriteString("\n")
	}
	show("begin", beginTransaction, "")
	show("savepoint", setSavepoint, "")
	show("back to it", rollBackSavepoint, "")
	show("roll back", rollBack, "")
	show("commit", commit, "")
	p := newPositionTable("")
	show("create positions", p.create, "")
	show("raise the epoch", p.raise.sql, p.raise.decl)
	show("or begin with 1", p.insert.sql, p.insert.decl)
	show("read the position", p.read.sql, p.read.decl)
	show("move the position", p.move.sql, p.move.decl)
	r := newRowTable("ops.the index")
	show("create the row index", r.create, "")
	show("look for it", r.probe, "")
	owned, images, remove, store := r.ownedText("owner_hash", 2), r.imagesText(2), r.removeText(2), r.storeText(2)
	show("lock and read entries", owned.sql, owned.decl)
	show("read images", images.sql, images.decl)
	show("remove entries", remove.sql, remove.decl)
	show("store entries", store.sql, store.decl)
	golden(t, "own.sql", out.String())
}

// TestCatalogueStatements shows what is asked of the catalogue.
func TestCatalogueStatements(t *testing.T) {
	var out strings.Builder
	for _, group := range []struct {
		title   string
		queries []string
	}{
		{"server", []string{readServer}},
		{"tables", []string{findRelation}},
		{"columns", []string{readColumns}},
		{"what the server fills in", readGenerated},
		{"unique indexes", readUnique},
		{"foreign keys", readForeign},
		{"CHECK constraints", readChecks},
		{"triggers in place of writes", readInstead},
		{"grants", readGrants},
		{"code page of a collation", readCodePage},
		{"may create", readMayCreate},
		{"takes writes", readUpdateability},
	} {
		for i, query := range group.queries {
			fmt.Fprintf(&out, "-- %s, choice %d\n%s\n\n", group.title, i+1, query)
		}
	}
	golden(t, "catalogue.sql", out.String())
}

// TestCreateStatements shows the tables that auto_create makes (spec 5.2). No expression is asked for, so no server either.
func TestCreateStatements(t *testing.T) {
	w := &pipelinev1.RelationalWrite{Schema: "ops", Table: "made ]up"}
	for _, kind := range pipelinev1.ColumnType_value {
		w.Columns = append(w.Columns, &pipelinev1.OutputColumn{Column: fmt.Sprintf("c%02d", kind), Type: pipelinev1.ColumnType(kind)})
	}
	// In the order of their numbers.
	ordered := make([]*pipelinev1.OutputColumn, len(w.Columns))
	for _, c := range w.Columns {
		ordered[c.Type] = c
	}
	w.Columns = append([]*pipelinev1.OutputColumn{
		{Column: "id", Key: true},
		{Column: "raw", Key: true, Type: pipelinev1.ColumnType_COLUMN_TYPE_BINARY},
		{Column: "sampled", Inferred: pipelinev1.ColumnType_COLUMN_TYPE_DATE},
	}, ordered...)
	text, err := createTable(t.Context(), nil, w)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "create.sql", strings.ReplaceAll(text, ", ", ",\n  ")+"\n")
}
