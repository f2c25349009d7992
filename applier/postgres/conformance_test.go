package postgres_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"slipstream/applier/applytest"
	"slipstream/applier/postgres"
	"slipstream/applier/value"
	applierv1 "slipstream/proto/slipstream/applier/v1"
)

// harness tells the conformance suite about this dialect.
func harness() applytest.Harness {
	return applytest.Harness{
		Dialect: postgres.New(),
		Open: func(t testing.TB) applytest.Database {
			db := newDatabase(t)
			return applytest.Database{
				Connection: connection(t, db.addr, db.name),
				Exec:       db.exec,
				Query:      db.canonical,
				Drop: func(t testing.TB) {
					db.exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
				},
			}
		},
		Types: applytest.Types{
			Key: "text", Text: "text", Integer: "bigint", Decimal: "numeric(12,2)", Float: "double precision", Boolean: "boolean",
			Date: "date", Timestamp: "timestamp", Zoned: "timestamptz", Time: "time", Binary: "bytea", JSON: "jsonb", UUID: "uuid",
		},
	}
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
