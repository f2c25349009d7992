package mysql_test

import (
	"strconv"
	"strings"
	"testing"

	"slipstream/applier"
	"slipstream/applier/applytest"
	"slipstream/deploy/dev/devserver"
)

// BenchmarkEngine measures a batch from the hop to the commit.
func BenchmarkEngine(b *testing.B) { applytest.Bench(b, harness()) }

// benchColumns are ten columns of mixed types, rows of about 200 bytes.
const benchColumns = `(id varchar(40) COLLATE utf8mb4_bin NOT NULL, name varchar(80), email varchar(80), city varchar(80), age int, points bigint,
	balance decimal(12,2), active boolean, born date, seen datetime(6)`

func benchRow(n int) []any {
	id := strconv.Itoa(n)
	return []any{
		"customer:" + strings.Repeat("0", 8-len(id)) + id, "Person Number " + id, "person." + id + "@example.org", "Somewhere upon Avon",
		strconv.Itoa(n % 90), strconv.Itoa(n * 31), strconv.Itoa(n%100000) + ".25", "1", "1990-02-01", "2030-02-01 10:30:45.123",
	}
}

// BenchmarkWrite measures the write path below the engine: what an upsert costs by either technique, on a server with its
// default durability.
func BenchmarkWrite(b *testing.B) {
	server, err := devserver.StartMariaDB(b.Context(), devserver.MariaDBOptions{
		Args: []string{"--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=256M", "--innodb-log-file-size=512M"},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := server.Close(); err != nil {
			b.Error(err)
		}
	}()
	admin := connectTo(b, server.Addr, "mysql")
	admin.exec(b, "CREATE DATABASE bench")
	for _, technique := range []struct{ name, keys string }{
		{"duplicate key", ", PRIMARY KEY (id))"},
		{"update and insert", ", PRIMARY KEY (id), UNIQUE (email))"},
	} {
		for _, size := range []int{100, 1000, 5000} {
			for _, update := range []bool{false, true} {
				kind := "insert"
				if update {
					kind = "update"
				}
				b.Run(technique.name+"/"+kind+"/"+strconv.Itoa(size), func(b *testing.B) {
					admin.exec(b, "DROP TABLE IF EXISTS bench.t; CREATE TABLE bench.t "+benchColumns+technique.keys)
					to := target(b, connection(b, server.Addr, "bench"), nil)
					table := bind(b, to, output("t", "*id", "name", "email", "city", "age", "points", "balance", "active", "born", "seen"))
					l := lane(uint32(b.N))
					l.Job = b.Name()
					s, opened := open(b, to, l)
					position := opened.Position.GetMain().GetMs()
					batch := func(n int) *applier.Write {
						var rows [][]any
						for i := range size {
							rows = append(rows, benchRow(n*size+i))
						}
						return write(table, applier.Upsert, values(b, table, rows...))
					}
					next := func(w *applier.Write) {
						position++
						commit(b, s, at(position-1), at(position), w)
					}
					if update {
						next(batch(0))
					}
					b.ReportAllocs()
					b.ResetTimer()
					for i := range b.N {
						b.StopTimer()
						n := 0
						if !update {
							n = i
						}
						w := batch(n)
						b.StartTimer()
						next(w)
					}
					b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "rows/s")
				})
			}
		}
	}
}
