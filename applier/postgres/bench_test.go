package postgres_test

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"slipstream/applier"
	"slipstream/applier/applytest"
	"slipstream/applier/postgres"
	"slipstream/deploy/dev/devserver"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// BenchmarkEngine measures a batch from the hop to the commit.
func BenchmarkEngine(b *testing.B) { applytest.Bench(b, harness()) }

// benchTable has ten columns of mixed types, rows of about 200 bytes.
const benchTable = `CREATE TABLE bench (id text PRIMARY KEY, name text, email varchar(80), city text, age int, points bigint,
	balance numeric(12,2), active boolean, born date, seen timestamptz)`

var benchColumns = []string{"id", "name", "email", "city", "age", "points", "balance", "active", "born", "seen"}

func benchRow(n int) []any {
	id := strconv.Itoa(n)
	return []any{
		"customer:" + strings.Repeat("0", 8-len(id)) + id, "Person Number " + id, "person." + id + "@example.org", "Somewhere upon Avon",
		strconv.Itoa(n % 90), strconv.Itoa(n * 31), strconv.Itoa(n%100000) + ".25", "1", "1990-02-01", "2030-02-01 10:30:45.123+00:00",
	}
}

// writer prepares a batch of rows of canonical texts, which is not measured, and returns what commits it, which is.
type writer func(b *testing.B, batch int, rows [][]any) func()

// BenchmarkWrite measures the write path below the engine, and beside it what one would write by hand: the same rows, the
// same transactions, a server with its default durability.
func BenchmarkWrite(b *testing.B) {
	server, err := devserver.StartPostgres(b.Context(), devserver.PostgresOptions{Settings: []string{"fsync=on"}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := server.Close(); err != nil {
			b.Error(err)
		}
	}()
	for _, size := range []int{100, 1000, 5000} {
		for _, update := range []bool{false, true} {
			kind := "insert"
			if update {
				kind = "update"
			}
			for _, w := range []struct {
				name string
				make func(b *testing.B, db *database) writer
			}{
				{"slipstream", func(b *testing.B, db *database) writer { return ours(b, db, 5000) }},
				{"slipstream-200", func(b *testing.B, db *database) writer { return ours(b, db, 200) }},
				{"values", multiRow},
				{"pgx-batch", pgxBatch},
				{"pgx-text-arrays", pgxArrays},
			} {
				b.Run(fmt.Sprintf("%s/%d/%s", kind, size, w.name), func(b *testing.B) {
					db := connectTo(b, server, server.DSN("postgres"))
					db.exec(b, `DROP TABLE IF EXISTS bench; DROP TABLE IF EXISTS slipstream_position; `+benchTable+`; CHECKPOINT`)
					run(b, w.make(b, db), size, update)
				})
			}
		}
	}
}

func run(b *testing.B, write writer, size int, update bool) {
	rows := make([][]any, size)
	fill := func(batch int) {
		for i := range rows {
			n := i
			if !update {
				n += batch * size
			}
			rows[i] = benchRow(n)
		}
	}
	fill(0)
	write(b, 0, rows)()
	var cpu time.Duration
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		fill(i + 1)
		commit := write(b, i+1, rows)
		runtime.GC() // of what was prepared
		before := processTime(b)
		b.StartTimer()
		commit()
		cpu += processTime(b) - before
	}
	perRow := float64(b.N * size)
	b.ReportMetric(perRow/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(cpu.Microseconds())/perRow, "client-µs/row")
}

// processTime is the processor time this process has used.
func processTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ours writes as the engine does, with the position; the values are converted before, as in the engine.
func ours(b *testing.B, db *database, rowsPerStatement uint32) writer {
	target, err := postgres.New().Connect(b.Context(), connection(b, db.addr, db.name), &pipelinev1.Settings{WriteBatchSize: rowsPerStatement})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = target.Close() })
	table := bind(b, target, output("bench", append([]string{"*id"}, benchColumns[1:]...)...))
	s, _ := open(b, target, lane(0))
	return func(b *testing.B, batch int, rows [][]any) func() {
		w := write(table, applier.Upsert, values(b, table, rows...))
		return func() { commit(b, s, at(uint64(batch)), at(uint64(batch+1)), w) }
	}
}

const onConflict = ` ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = excluded.email, city = excluded.city, age = excluded.age,
	points = excluded.points, balance = excluded.balance, active = excluded.active, born = excluded.born, seen = excluded.seen`

var benchCasts = []string{"text", "text", "text", "text", "int", "bigint", "numeric", "boolean", "date", "timestamptz"}

func byHand(b *testing.B, db *database) *pgx.Conn {
	config, err := pgx.ParseConfig("postgres://postgres@" + db.addr + "/" + db.name + "?sslmode=disable")
	if err != nil {
		b.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close(b.Context()) })
	return conn
}

// inTransaction returns what commits fn.
func inTransaction(b *testing.B, conn *pgx.Conn, fn func(pgx.Tx) error) func() {
	return func() {
		if err := pgx.BeginFunc(b.Context(), conn, fn); err != nil {
			b.Fatal(err)
		}
	}
}

// multiRow is INSERT … VALUES with a parameter a value, as many rows as the protocol's 65,535 parameters allow.
func multiRow(b *testing.B, db *database) writer {
	conn := byHand(b, db)
	statement := func(rows int) string {
		var sql strings.Builder
		sql.WriteString("INSERT INTO bench VALUES ")
		for r := range rows {
			if r > 0 {
				sql.WriteByte(',')
			}
			for c, cast := range benchCasts {
				fmt.Fprintf(&sql, "%s$%d::text::%s", map[bool]string{true: "(", false: ","}[c == 0], r*len(benchCasts)+c+1, cast)
			}
			sql.WriteByte(')')
		}
		return sql.String() + onConflict
	}
	full := statement(1000)
	return func(b *testing.B, _ int, rows [][]any) func() {
		return inTransaction(b, conn, func(tx pgx.Tx) error {
			for start := 0; start < len(rows); start += 1000 {
				part := rows[start:min(start+1000, len(rows))]
				sql := full
				if len(part) < 1000 {
					sql = statement(len(part))
				}
				args := make([]any, 0, len(part)*len(benchCasts))
				for _, row := range part {
					args = append(args, row...)
				}
				if _, err := tx.Exec(b.Context(), sql, args...); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// pgxBatch is one prepared INSERT a row, sent together.
func pgxBatch(b *testing.B, db *database) writer {
	conn := byHand(b, db)
	var params []string
	for c, cast := range benchCasts {
		params = append(params, fmt.Sprintf("$%d::text::%s", c+1, cast))
	}
	sql := "INSERT INTO bench VALUES (" + strings.Join(params, ", ") + ")" + onConflict
	return func(b *testing.B, _ int, rows [][]any) func() {
		return inTransaction(b, conn, func(tx pgx.Tx) error {
			batch := &pgx.Batch{}
			for _, row := range rows {
				batch.Queue(sql, row...)
			}
			return tx.SendBatch(b.Context(), batch).Close()
		})
	}
}

// pgxArrays is the statement that slipstream sends, with the driver encoding slices of strings.
func pgxArrays(b *testing.B, db *database) writer {
	conn := byHand(b, db)
	var params, selected []string
	for c, cast := range benchCasts {
		params = append(params, fmt.Sprintf("$%d::text[]", c+1))
		selected = append(selected, fmt.Sprintf("u.c%d::%s", c, cast))
	}
	names := strings.Join(strings.Fields("c0 c1 c2 c3 c4 c5 c6 c7 c8 c9"), ", ")
	sql := "INSERT INTO bench SELECT " + strings.Join(selected, ", ") + " FROM unnest(" + strings.Join(params, ", ") + ") AS u(" + names + ")" + onConflict
	return func(b *testing.B, _ int, rows [][]any) func() {
		return inTransaction(b, conn, func(tx pgx.Tx) error {
			args := make([]any, len(benchCasts))
			for c := range args {
				column := make([]string, len(rows))
				for r, row := range rows {
					column[r] = row[c].(string)
				}
				args[c] = column
			}
			_, err := tx.Exec(b.Context(), sql, args...)
			return err
		})
	}
}
