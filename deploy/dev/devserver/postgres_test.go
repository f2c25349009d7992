package devserver

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// ran runs statements in a database of the server and returns the first cell of the last one.
func ran(t *testing.T, s *PostgresServer, database string, statements ...string) string {
	t.Helper()
	var cell string
	for _, statement := range statements {
		var err error
		if cell, err = query(t.Context(), s.Addr, database, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return cell
}

func TestPostgresRestartKeepsData(t *testing.T) {
	t.Parallel()
	s := Postgres(t, PostgresOptions{Settings: []string{"work_mem=7MB"}})
	ends := []struct {
		name string
		end  func(*PostgresServer) error
	}{
		{"killed", (*PostgresServer).Kill},
		{"stopped", (*PostgresServer).Stop},
		{"running", func(*PostgresServer) error { return nil }},
	}
	ran(t, s, "postgres", "CREATE TABLE t (n int)")
	for i, test := range ends {
		ran(t, s, "postgres", "INSERT INTO t VALUES (1)")
		before := s.Pid()
		if err := test.end(s); err != nil {
			t.Fatalf("%s: ending the server: %v", test.name, err)
		}
		if err := s.Restart(t.Context()); err != nil {
			t.Fatalf("%s: restarting: %v", test.name, err)
		}
		if got := ran(t, s, "postgres", "SELECT count(*) FROM t"); got != string(rune('1'+i)) {
			t.Errorf("%s: %s rows after the restart, want %d", test.name, got, i+1)
		}
		if s.Pid() == before {
			t.Errorf("%s: the process is the old one", test.name)
		}
	}
	if got := ran(t, s, "postgres", "SHOW work_mem"); got != "7MB" {
		t.Errorf("work_mem is %q, want the value of the settings", got)
	}
}

func TestPostgresKillEndsSessions(t *testing.T) {
	t.Parallel()
	s := Postgres(t, PostgresOptions{})
	failed := make(chan error, 1)
	go func() {
		_, err := query(t.Context(), s.Addr, "postgres", "SELECT pg_sleep(600)")
		failed <- err
	}()
	poll(t, "the session to run its statement", func() bool {
		return ran(t, s, "postgres", "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(6%'"+
			" AND pid <> pg_backend_pid()") == "1"
	})
	if err := s.Kill(); err != nil {
		t.Fatalf("killing: %v", err)
	}
	if err := <-failed; err == nil {
		t.Error("a session outlived the server")
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatalf("restarting after a kill with an open session: %v", err)
	}
}

func TestPostgresDatabases(t *testing.T) {
	t.Parallel()
	s := SharedPostgres(t)
	if again := SharedPostgres(t); again != s {
		t.Fatal("the shared server is not shared")
	}
	var name string
	t.Run("its own database", func(t *testing.T) {
		dsn := s.Database(t)
		_, rest, found := strings.Cut(dsn, s.Addr+"/")
		if !found {
			t.Fatalf("DSN %q does not hold the address %q", dsn, s.Addr)
		}
		name, _, _ = strings.Cut(rest, "?")
		if got := ran(t, s, name, "SELECT current_database()"); got != name {
			t.Errorf("connected to %q, want %q", got, name)
		}
		if got := ran(t, s, name, "SHOW server_encoding"); got != "UTF8" {
			t.Errorf("encoding is %q", got)
		}
		if other := s.Database(t); other == dsn {
			t.Error("two databases have one name")
		}
	})
	if got := ran(t, s, "postgres", "SELECT count(*) FROM pg_database WHERE datname = '"+name+"'"); got != "0" {
		t.Error("the database outlived its test")
	}
	if _, err := s.CreateDatabase(t.Context(), "postgres"); err == nil || !strings.Contains(err.Error(), "42P04") {
		t.Errorf("creating a database that exists: %v, want SQLSTATE 42P04", err)
	}
}

func TestPostgresOddName(t *testing.T) {
	t.Parallel()
	s := SharedPostgres(t)
	const name = `odd "name"`
	if _, err := s.CreateDatabase(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if got := ran(t, s, name, "SELECT current_database()"); got != name {
		t.Errorf("connected to %q, want %q", got, name)
	}
	if err := s.DropDatabase(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := s.DropDatabase(t.Context(), name); err != nil {
		t.Errorf("dropping a database that is gone: %v", err)
	}
}

func TestPostgresCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		end  func(*PostgresServer) error
	}{
		{"running", func(*PostgresServer) error { return nil }},
		{"killed before", (*PostgresServer).Kill},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := StartPostgres(t.Context(), PostgresOptions{})
			if err != nil {
				t.Fatal(err)
			}
			pid := s.Pid()
			if err := errors.Join(test.end(s), s.Close()); err != nil {
				t.Fatalf("closing: %v", err)
			}
			if alive(pid) {
				t.Errorf("process %d still runs", pid)
			}
			if _, err := os.Stat(s.Dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the folder is still there (%v)", err)
			}
		})
	}
}

func TestPostgresRefusedSetting(t *testing.T) {
	t.Parallel()
	_, err := StartPostgres(t.Context(), PostgresOptions{Settings: []string{"no_such_setting=1"}})
	if err == nil {
		t.Fatal("no error for a setting that PostgreSQL does not know")
	}
	for _, part := range []string{"ended before it was ready", "no_such_setting"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q does not say %q", err, part)
		}
	}
}
