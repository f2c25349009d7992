package mysql_test

import (
	"strings"
	"testing"

	"slipstream/applier/applytest"
	"slipstream/applier/mysql"
	"slipstream/applier/value"
	applierv1 "slipstream/proto/slipstream/applier/v1"
)

// harness tells the conformance suite about this dialect.
func harness() applytest.Harness {
	return applytest.Harness{
		Dialect: mysql.New(),
		Open: func(t testing.TB) applytest.Database {
			db := newDatabase(t)
			return applytest.Database{
				Connection: connection(t, db.addr, db.name),
				Exec:       db.exec,
				Query:      db.canonical,
				Drop:       db.kill,
			}
		},
		Types: applytest.Types{
			Key: "varchar(100) COLLATE utf8mb4_bin", Text: "longtext", Integer: "bigint", Decimal: "decimal(12,2)", Float: "double",
			Boolean: "boolean", Date: "date", Timestamp: "datetime(6)", Zoned: "timestamp(6)", Time: "time(6)",
			Binary: "varbinary(255)", JSON: "json", UUID: "uuid",
		},
		Quote:      func(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" },
		NullsFirst: true,
		NULInText:  true,
	}
}

func TestConformance(t *testing.T) { applytest.Run(t, harness()) }

// shown are the types whose text is not the canonical one, by the driver's name of them.
var shown = map[string]value.Type{
	"DECIMAL":   {Kind: value.Decimal},
	"DOUBLE":    {Kind: value.Float, Bits: 64},
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
