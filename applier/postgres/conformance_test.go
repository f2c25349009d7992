package postgres_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"slipstream/applier/applytest"
	"slipstream/applier/postgres"
	"slipstream/applier/value"
	"slipstream/deploy/dev/devserver"
	applierv1 "slipstream/proto/slipstream/applier/v1"
)

// harness tells the conformance suite about this dialect.
func harness() applytest.Harness {
	return applytest.Harness{
		Dialect: postgres.New(),
		Open:    func(t testing.TB) applytest.Database { return suiteDatabase(t, newDatabase(t)) },
		Small:   smallDatabase,
		Own:     ownTypes,
		Types: applytest.Types{
			Key: "text", Text: "text", Integer: "bigint", Small: "smallint", Decimal: "numeric(12,2)", Float: "double precision", Boolean: "boolean",
			Date: "date", Timestamp: "timestamp", Zoned: "timestamptz", Time: "time", Binary: "bytea", JSON: "jsonb", UUID: "uuid",
		},
	}
}

// cutAll ends every session of a database but the test's own.
const cutAll = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`

// suiteDatabase is a database as the suite wants it.
func suiteDatabase(t testing.TB, db *database) applytest.Database {
	t.Helper()
	conn := connection(t, db.addr, db.name)
	return applytest.Database{
		Connection: conn,
		Exec:       db.exec,
		Query:      db.canonical,
		Drop:       func(t testing.TB) { db.exec(t, cutAll) },
		ReadOnly: func(t testing.TB) func(testing.TB) {
			db.exec(t, `ALTER DATABASE `+db.name+` SET default_transaction_read_only = on`)
			db.exec(t, cutAll)
			return func(t testing.TB) {
				db.exec(t, `SET default_transaction_read_only = off; ALTER DATABASE `+db.name+` RESET default_transaction_read_only`)
				db.exec(t, cutAll)
			}
		},
		Forbid: func(t testing.TB, _ string) func(testing.TB, string) {
			conn.User = "clerk of " + db.name // who may have a position table, and nothing else
			db.exec(t, `CREATE ROLE "`+conn.User+`" LOGIN; GRANT CREATE ON SCHEMA public TO "`+conn.User+`"`)
			return func(t testing.TB, fix string) { db.exec(t, fix) }
		},
	}
}

// smallDatabase lives on a disk with room for some rows.
func smallDatabase(t testing.TB) (applytest.Database, func(testing.TB)) {
	t.Helper()
	server := devserver.Postgres(t, devserver.PostgresOptions{})
	disk := devserver.SmallDisk(t, 48<<20, 1<<20)
	folder, err := disk.Give("tablespace")
	if err != nil {
		t.Fatal(err)
	}
	admin := connectTo(t, server, server.DSN("postgres"))
	admin.exec(t, `CREATE TABLESPACE small LOCATION '`+folder+`'`)
	admin.exec(t, `CREATE DATABASE confined`)
	admin.exec(t, `ALTER DATABASE confined SET default_tablespace = small`)
	return suiteDatabase(t, connectTo(t, server, server.DSN("confined"))), func(t testing.TB) {
		if err := disk.Free(); err != nil {
			t.Fatal(err)
		}
	}
}

// ownTypes are types that only this dialect has (spec 10.3).
var ownTypes = []applytest.OwnType{
	{
		Declared: "integer",
		Takes:    []applytest.Taken{{Value: "2147483647", Want: "2147483647"}, {Value: "-2147483648", Want: "-2147483648"}},
		Refuses:  []any{"2147483648", "-2147483649"},
	},
	{
		Declared: "real",
		Takes:    []applytest.Taken{{Value: "0.5", Want: "0.5"}, {Value: "NaN", Want: "NaN"}, {Value: "-inf", Want: "-Infinity"}},
		Refuses:  []any{"1e39", "some"},
	},
	{
		Declared: "numeric",
		Takes: []applytest.Taken{
			{Value: "123456789012345678901234567890.123456789", Want: "123456789012345678901234567890.123456789"},
			{Value: applytest.Number("1e-20"), Want: "0.00000000000000000001"},
		},
		Refuses: []any{"1,5"},
	},
	{
		Declared: "integer[]",
		Takes: []applytest.Taken{
			{Value: applytest.Document("[1,null,3]"), Want: "{1,NULL,3}"},
			{Value: "{4,5}", Want: "{4,5}"},
			{Value: "[]", Want: "{}"},
			{Value: "", Want: applytest.Null},
		},
		Refuses: []any{applytest.Document(`["a"]`), "nonsense", applytest.Document(`[2147483648]`)},
	},
	{
		Declared: "text[]",
		Takes: []applytest.Taken{
			{Value: applytest.Document(`["a b","c,\"d"]`), Want: `{"a b","c,\"d"}`},
		},
	},
	{
		Declared: "inet", Takes: []applytest.Taken{{Value: "10.0.0.1", Want: "10.0.0.1"}, {Value: "2001:db8::/32", Want: "2001:db8::/32"}},
		Server: []any{"300.0.0.1"},
	},
	{
		Declared: "interval", Takes: []applytest.Taken{{Value: "2 days 03:00", Want: "2 days 03:00:00"}}, Server: []any{"soon"},
	},
	{
		Declared: "xml", Takes: []applytest.Taken{{Value: "<a>ü</a>", Want: "<a>ü</a>"}}, Server: []any{"<a>"},
	},
	{
		Declared: "point", Takes: []applytest.Taken{{Value: "(1,2)", Want: "(1,2)"}}, Server: []any{"here"},
	},
}

func TestConformance(t *testing.T) { applytest.Run(t, harness()) }

// shown are the types whose text in PostgreSQL is not the canonical one, by OID.
var shown = map[uint32]value.Type{
	16:   {Kind: value.Boolean},
	17:   {Kind: value.Binary},
	701:  {Kind: value.Float, Bits: 64, Special: true},
	1184: {Kind: value.Timestamp, Fraction: 6, Zoned: true, Special: true},
	1700: {Kind: value.Decimal, Special: true},
}

const oidJSONB = 3802

// canonical returns a query's rows as package value writes them.
func (d *database) canonical(t testing.TB, sql string) [][]string {
	t.Helper()
	results, err := d.admin.PgConn().Exec(t.Context(), `SET timezone = 'UTC'; `+sql).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	r := results[len(results)-1]
	var out [][]string
	for _, row := range r.Rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cell == nil {
				cells[i] = applytest.Null
				continue
			}
			cells[i] = string(cell)
			if r.FieldDescriptions[i].DataTypeOID == oidJSONB { // which shows blanks of its own
				var compact bytes.Buffer
				if err := json.Compact(&compact, cell); err != nil {
					t.Fatal(err)
				}
				cells[i] = compact.String()
			}
			if typ, ok := shown[r.FieldDescriptions[i].DataTypeOID]; ok && len(cell) > 0 {
				text, _, err := value.Convert(nil, &typ, applierv1.ValueKind_VALUE_KIND_STRING, cell)
				if err != nil {
					t.Fatal(err)
				}
				cells[i] = string(text)
			}
		}
		out = append(out, cells)
	}
	return out
}
