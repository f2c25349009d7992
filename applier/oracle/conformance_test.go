package oracle_test

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/sijms/go-ora/v2"

	"slipstream/applier/applytest"
	"slipstream/applier/oracle"
	"slipstream/applier/value"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// TestConformance runs the suite of package applytest on a server: SLIPSTREAM_ORACLE_URL is
// oracle://user:password@host:port/service of an account that may create and drop users. Without it there is nothing here
// to run it on, and the other tests of this folder stand alone.
func TestConformance(t *testing.T) {
	address := os.Getenv("SLIPSTREAM_ORACLE_URL")
	if address == "" {
		t.Log("SLIPSTREAM_ORACLE_URL names no server")
		return
	}
	applytest.Run(t, harness(address))
}

var accounts atomic.Int64

func harness(address string) applytest.Harness {
	return applytest.Harness{
		Dialect: oracle.New(),
		Open: func(t testing.TB) applytest.Database {
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal("SLIPSTREAM_ORACLE_URL is not a URL")
			}
			admin := open(t, address)
			name := fmt.Sprintf("SLIP_%d_%d", time.Now().UnixNano()%1e12, accounts.Add(1))
			for _, text := range []string{
				"CREATE USER " + name + " IDENTIFIED BY slipstream QUOTA UNLIMITED ON USERS",
				"GRANT CREATE SESSION, CREATE TABLE TO " + name,
			} {
				execute(t, admin, text)
			}
			own := *u
			own.User = url.UserPassword(name, "slipstream")
			db := open(t, own.String())
			execute(t, db, "ALTER SESSION SET TIME_ZONE = '+00:00'")
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
				disconnect(t, admin, name)
				if _, err := admin.Exec("DROP USER " + name + " CASCADE"); err != nil {
					t.Error(err)
				}
			})
			return applytest.Database{
				Connection: &pipelinev1.Connection{
					Host: u.Hostname(), Port: u.Port(), User: name, Password: "slipstream",
					Args: map[string]string{"service_name": u.Path[1:]},
				},
				Exec:  func(t testing.TB, statement string) { execute(t, db, statement) },
				Query: func(t testing.TB, query string) [][]string { return read(t, db, query) },
			}
		},
		Types: applytest.Types{
			Key: "VARCHAR2(100)", Text: "CLOB", Integer: "NUMBER(19)", Small: "NUMBER(5)", Decimal: "NUMBER(12,2)", Float: "BINARY_DOUBLE",
			Boolean: "NUMBER(1)", Date: "DATE", Timestamp: "TIMESTAMP(6)", Zoned: "TIMESTAMP(6) WITH TIME ZONE", Time: "VARCHAR2(40)",
			Binary: "BLOB", JSON: "CLOB", UUID: "VARCHAR2(36)",
		},
		NULInText: true,
	}
}

// disconnect ends the sessions of an account, without which it cannot be dropped.
func disconnect(t testing.TB, admin *sql.DB, name string) {
	t.Helper()
	rows, err := admin.Query("SELECT sid, serial# FROM v$session WHERE username = :1", name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var kills []string
	for rows.Next() {
		var sid, serial string
		if err := rows.Scan(&sid, &serial); err != nil {
			t.Fatal(err)
		}
		kills = append(kills, fmt.Sprintf("ALTER SYSTEM KILL SESSION '%s,%s' IMMEDIATE", sid, serial))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, text := range kills {
		_, _ = admin.Exec(text) // it may have gone by itself
	}
}

func open(t testing.TB, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open("oracle", address)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1) // its settings stay
	return db
}

func execute(t testing.TB, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// read returns a query's rows as package value writes them.
func read(t testing.TB, db *sql.DB, query string) [][]string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	types, err := rows.ColumnTypes()
	if err != nil {
		t.Fatal(err)
	}
	var out [][]string
	for rows.Next() {
		values := make([]any, len(types))
		into := make([]any, len(types))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		var line []string
		for i, v := range values {
			line = append(line, canonical(t, types[i].DatabaseTypeName(), v))
		}
		out = append(out, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func canonical(t testing.TB, name string, v any) string {
	t.Helper()
	typ := value.Type{Kind: value.Decimal}
	text := ""
	switch v := v.(type) {
	case nil:
		return applytest.Null
	case []byte:
		return string(v)
	case time.Time:
		if name == "TimeStampTZ_DTY" {
			return v.UTC().Format("2006-01-02 15:04:05.999999999-07:00")
		}
		return v.Format("2006-01-02 15:04:05.999999999")
	case float64:
		typ, text = value.Type{Kind: value.Float, Bits: 64, Special: true}, strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		if name != "NUMBER" {
			return v
		}
		text = v
	default:
		text = fmt.Sprint(v)
	}
	out, _, err := value.Convert(nil, &typ, applierv1.ValueKind_VALUE_KIND_STRING, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
