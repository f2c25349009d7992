package mysql_test

import (
	"strconv"
	"strings"
	"testing"

	"slipstream/applier/applytest"
	"slipstream/applier/mysql"
	"slipstream/applier/value"
	"slipstream/deploy/dev/devserver"
	applierv1 "slipstream/proto/slipstream/applier/v1"
)

// harness tells the conformance suite about this dialect.
func harness() applytest.Harness {
	return applytest.Harness{
		Dialect: mysql.New(),
		Open:    func(t testing.TB) applytest.Database { return suiteDatabase(t, newDatabase(t)) },
		Small:   smallDatabase,
		Own:     ownTypes,
		Types: applytest.Types{
			Key: "varchar(100) COLLATE utf8mb4_bin", Text: "longtext", Integer: "bigint", Small: "smallint", Decimal: "decimal(12,2)",
			Float: "double", Boolean: "bit(1)", Date: "date", Timestamp: "datetime(6)", Zoned: "timestamp(6)", Time: "time(6)",
			Binary: "varbinary(255)", JSON: "json", UUID: "uuid",
		},
		Quote:      quote,
		NullsFirst: true,
		NULInText:  true,
		Instants32: true,
	}
}

func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// suiteDatabase is a database as the suite wants it. Its account has the rights that README.md names, and no other.
func suiteDatabase(t testing.TB, db *database) applytest.Database {
	t.Helper()
	conn := connection(t, db.addr, db.name)
	db.account(t, "suite", "SELECT, INSERT, UPDATE, DELETE, CREATE ON "+quote(db.name)+".*")(conn)
	return applytest.Database{
		Connection: conn,
		Exec:       db.exec,
		Query:      db.canonical,
		Drop:       db.kill,
		ReadOnly: func(t testing.TB) func(testing.TB) {
			db.exec(t, "SET GLOBAL read_only = ON")
			return func(t testing.TB) { db.exec(t, "SET GLOBAL read_only = OFF") }
		},
		Forbid: func(t testing.TB, _ string) func(testing.TB, string) {
			// May have a position table, and nothing else.
			db.account(t, "clerk", "SELECT, INSERT, UPDATE, CREATE ON "+quote(db.name)+".slipstream_position")(conn)
			return db.exec
		},
	}
}

// smallDatabase is on a server whose tables share one file that may not grow, with room for some rows beside what fills it.
// (On a disk that is full MariaDB itself may end.)
func smallDatabase(t testing.TB) (applytest.Database, func(testing.TB)) {
	t.Helper()
	server := devserver.MariaDB(t, devserver.MariaDBOptions{
		Args: []string{"--innodb-file-per-table=OFF", "--innodb-data-file-path=ibdata1:12M:autoextend:max:64M"},
	})
	admin := connectTo(t, server.Addr, "mysql")
	admin.exec(t, "CREATE DATABASE ballast; CREATE DATABASE confined; CREATE TABLE ballast.t (v longblob)")
	for range 44 {
		admin.exec(t, "INSERT INTO ballast.t VALUES (REPEAT('x', 1000000))")
	}
	return suiteDatabase(t, connectTo(t, server.Addr, "confined")), func(t testing.TB) { admin.exec(t, "DROP DATABASE ballast") }
}

// taken are values that arrive as they are.
func taken(values ...string) (list []applytest.Taken) {
	for _, v := range values {
		list = append(list, applytest.Taken{Value: v, Want: v})
	}
	return list
}

// ownTypes are types that only this dialect has (spec 10.3).
var ownTypes = []applytest.OwnType{
	{Declared: "tinyint", Takes: taken("127", "-128"), Refuses: []any{"128", "-129", "true"}},
	{Declared: "tinyint unsigned", Takes: taken("0", "255"), Refuses: []any{"256", "-1"}},
	{Declared: "mediumint", Takes: taken("8388607", "-8388608"), Refuses: []any{"8388608"}},
	{Declared: "int unsigned zerofill", Takes: []applytest.Taken{{Value: "4294967295", Want: "4294967295"}}, Refuses: []any{"4294967296"}},
	{Declared: "bigint unsigned", Takes: taken("0", "9223372036854775808", "18446744073709551615"), Refuses: []any{"18446744073709551616", "-1"}},
	{
		Declared: "boolean", // which is tinyint(1): whole numbers fit, and so do the words
		Takes: []applytest.Taken{
			{Value: "yes", Want: "1"}, {Value: "FALSE", Want: "0"}, {Value: true, Want: "1"}, {Value: "5", Want: "5"}, {Value: "", Want: applytest.Null},
		},
		Refuses: []any{"maybe", "128"},
	},
	{Declared: "bit(1)", Takes: []applytest.Taken{{Value: "on", Want: "1"}, {Value: false, Want: "0"}}, Refuses: []any{"2"}},
	{Declared: "bit(9)", Takes: []applytest.Taken{{Value: "511", Want: "511"}, {Value: "0", Want: "0"}}, Refuses: []any{"512", "-1"}},
	{
		Declared: "decimal(65,30)",
		Takes:    taken("12345678901234567890123456789012345.123456789012345678901234567891", "-0.000000000000000000000000000001", "0"),
		Refuses:  []any{"123456789012345678901234567890123456", "1e-31"},
	},
	{Declared: "decimal(5,2) unsigned", Takes: taken("999.99"), Refuses: []any{"1000", "0.001"}, Server: []any{"-1"}},
	{Declared: "float", Takes: taken("0.1", "65536.5", "-1e+38"), Refuses: []any{"1e39", "nan", "inf"}},
	{Declared: "float(7,2)", Takes: taken("123.25"), Refuses: []any{"0.125", "123456"}},
	{Declared: "double", Takes: taken("0.1", "1.7976931348623157e+308", "5e-324", "1.2345678912345679e+08"), Refuses: []any{"1e309", "NaN"}},
	{Declared: "char(4)", Takes: []applytest.Taken{{Value: "ab  ", Want: "ab"}, {Value: "🚀🚀🚀🚀", Want: "🚀🚀🚀🚀"}, {Value: "", Want: ""}}, Refuses: []any{"abcde"}},
	{Declared: "varchar(4)", Takes: taken("ab  ", `\n'"`, "a\x00b"), Refuses: []any{"abcde"}},
	{Declared: "varchar(9) CHARACTER SET latin1", Takes: taken("Grüße", "£"), Refuses: []any{"0123456789"}, Server: []any{"世界"}},
	{Declared: "text CHARACTER SET utf8mb3", Takes: taken("世界"), Server: []any{"🚀"}},
	{Declared: "tinytext", Takes: taken(strings.Repeat("x", 255)), Refuses: []any{strings.Repeat("x", 256), strings.Repeat("ü", 128)}},
	{Declared: "text", Takes: taken(strings.Repeat("x", 65535)), Refuses: []any{strings.Repeat("x", 65536)}},
	{Declared: "binary(4)", Takes: []applytest.Taken{{Value: "0x6162", Want: "ab\x00\x00"}}, Refuses: []any{"0x6162636465"}},
	{Declared: "varbinary(2)", Takes: []applytest.Taken{{Value: "0x27ff", Want: "'\xff"}, {Value: "", Want: applytest.Null}}, Refuses: []any{"0x010203"}},
	{Declared: "blob", Takes: []applytest.Taken{{Value: []byte("\x00'\\\xff"), Want: "\x00'\\\xff"}}, Refuses: []any{"not base64!"}},
	{Declared: "date", Takes: taken("1000-01-01", "9999-12-31", "2024-02-29"), Refuses: []any{"0000-00-00", "2023-02-29", "2024-00-10", "0000-01-01"}},
	{Declared: "datetime", Takes: taken("9999-12-31 23:59:59"), Refuses: []any{"2030-02-01 10:30:45.5", "0000-00-00 00:00:00"}},
	{
		Declared: "datetime(3)", Takes: []applytest.Taken{{Value: "2030-02-01T10:30:45.123Z", Want: "2030-02-01 10:30:45.123"}},
		Refuses: []any{"2030-02-01 10:30:45.1234"},
	},
	{
		Declared: "timestamp",
		Takes: []applytest.Taken{
			{Value: "1970-01-01T00:00:01Z", Want: "1970-01-01 00:00:01+00:00"},
			{Value: "2038-01-19T04:14:07+01:00", Want: "2038-01-19 03:14:07+00:00"},
			{Value: "2030-03-31 02:30:00", Want: "2030-03-31 02:30:00+00:00"}, // no such time in zones with a summer
		},
		Refuses: []any{"2030-02-01 10:30:45.5"}, Server: []any{"1969-12-31", "2039-01-01"},
	},
	{Declared: "time", Takes: []applytest.Taken{{Value: "23:59:59", Want: "23:59:59"}}, Refuses: []any{"10:30:45.5", "25:00", "839:00:00", "-01:00"}},
	{Declared: "time(2)", Takes: taken("10:30:45.25"), Refuses: []any{"10:30:45.255"}},
	{Declared: "year", Takes: taken("1901", "2155"), Refuses: []any{"MMXX"}, Server: []any{"1900", "2156", "70", "0"}},
	{
		Declared: "enum('a','it''s, so','2','3x')", Takes: taken("a", "it's, so", "2", "3x"),
		Server: []any{"1", "3", " 1", "b", "0"}, // 1 and 3 would be places in the list
	},
	{Declared: "set('a','b','4')", Takes: taken("a,b", "4", "b"), Server: []any{"1", "7", "a,c"}},
	{Declared: "inet4", Takes: taken("10.0.0.1"), Server: []any{"300.0.0.1"}},
	{Declared: "inet6", Takes: taken("2001:db8::1"), Server: []any{"2001:db8::/32"}},
	{
		Declared: "point", Takes: []applytest.Taken{{Value: "", Want: applytest.Null}},
		Server: []any{"here", "POINT(1)"},
	},
	{
		Declared: "json", Takes: []applytest.Taken{
			{Value: `{"n": 12345678901234567890.125}`, Want: `{"n": 12345678901234567890.125}`},
			{Value: "words", Want: `"words"`},
			{Value: applytest.Document(`["a\u0000"]`), Want: `["a\u0000"]`},
		},
		Refuses: []any{`["\ud800"]`},
	},
	{Declared: "longtext CHECK (json_valid(`v`))", Takes: taken(`{"a": 1}`, `"b"`)},
}

func TestConformance(t *testing.T) { applytest.Run(t, harness()) }

// shown are the types whose text is not the canonical one, by the driver's name of them.
var shown = map[string]value.Type{
	"DECIMAL":   {Kind: value.Decimal},
	"DOUBLE":    {Kind: value.Float, Bits: 64},
	"FLOAT":     {Kind: value.Float, Bits: 32},
	"DATETIME":  {Kind: value.Timestamp, Fraction: 6},
	"TIMESTAMP": {Kind: value.Timestamp, Fraction: 6, Zoned: true},
	"TIME":      {Kind: value.Time, Fraction: 6},
}

// canonical returns a query's rows as package value writes them.
func (d *database) canonical(t testing.TB, text string) (out [][]string) {
	t.Helper()
	rows, types := d.query(t, text)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cell == nil {
				cells[i] = applytest.Null
				continue
			}
			cells[i] = *cell
			if types[i] == "BIT" {
				n := 0
				for _, b := range []byte(*cell) {
					n = n<<8 | int(b)
				}
				cells[i] = strconv.Itoa(n)
			}
			if typ, ok := shown[types[i]]; ok {
				canonical, _, err := value.Convert(nil, &typ, applierv1.ValueKind_VALUE_KIND_STRING, []byte(*cell))
				if err != nil {
					t.Fatal(err)
				}
				cells[i] = string(canonical)
			}
		}
		out = append(out, cells)
	}
	return out
}
