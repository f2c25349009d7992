package devserver

import (
	"bufio"
	"bytes"
	"os"
	"strings"
	"testing"
)

// asked runs statements on the server and returns the first cell of the last one.
func asked(t *testing.T, s *MariaDBServer, statements ...string) string {
	t.Helper()
	var cell string
	for _, statement := range statements {
		var err error
		if cell, err = queryMariaDB(t.Context(), s.Addr, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return cell
}

func TestMariaDBRestartKeepsData(t *testing.T) {
	t.Parallel()
	s := MariaDB(t, MariaDBOptions{Args: []string{"--max-allowed-packet=3M"}})
	ends := []struct {
		name string
		end  func(*MariaDBServer) error
	}{
		{"killed", (*MariaDBServer).Kill},
		{"stopped", (*MariaDBServer).Stop},
		{"running", func(*MariaDBServer) error { return nil }},
	}
	asked(t, s, "CREATE DATABASE kept", "CREATE TABLE kept.t (n int)")
	for i, test := range ends {
		asked(t, s, "INSERT INTO kept.t VALUES (1)")
		before := s.Pid()
		if err := test.end(s); err != nil {
			t.Fatalf("%s: ending the server: %v", test.name, err)
		}
		if err := s.Restart(t.Context()); err != nil {
			t.Fatalf("%s: restarting: %v", test.name, err)
		}
		if got := asked(t, s, "SELECT count(*) FROM kept.t"); got != string(rune('1'+i)) {
			t.Errorf("%s: %s rows after the restart, want %d", test.name, got, i+1)
		}
		if s.Pid() == before {
			t.Errorf("%s: the process is the old one", test.name)
		}
	}
	if got := asked(t, s, "SELECT @@max_allowed_packet"); got != "3145728" {
		t.Errorf("max_allowed_packet is %q, want the value of the arguments", got)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("closing: %v", err)
	}
	if _, err := os.Stat(s.Dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestMariaDBDatabases(t *testing.T) {
	t.Parallel()
	s := SharedMariaDB(t)
	var name string
	t.Run("one test", func(t *testing.T) {
		name = s.Database(t)
		if got := asked(t, s, "CREATE TABLE "+name+".t (s text)", "INSERT INTO "+name+".t VALUES ('Grüße')", "SELECT s FROM "+name+".t"); got != "Gr\xfc\xdfe" && got != "Grüße" {
			t.Errorf("read %q", got)
		}
	})
	if got := asked(t, s, "SELECT count(*) FROM information_schema.schemata WHERE schema_name = '"+name+"'"); got != "0" {
		t.Errorf("the database outlived its test")
	}
	if _, err := queryMariaDB(t.Context(), s.Addr, "SELECT * FROM nowhere.t"); err == nil || !strings.Contains(err.Error(), "(error 1146)") {
		t.Errorf("a missing table: %v", err)
	}
}

func TestFirstCell(t *testing.T) {
	end := "\xfe\x00\x00\x02\x00"
	tests := []struct {
		name, cell, fault string
		packets           []string
	}{
		{name: "no result", packets: []string{"\x00\x00\x00"}},
		{name: "no row", packets: []string{"\x01", "column", end, end}},
		{name: "a row", packets: []string{"\x01", "column", end, "\x02ab", end}, cell: "ab"},
		{name: "the first of two rows", packets: []string{"\x01", "column", end, "\x01a", "\x01b", end}, cell: "a"},
		{name: "NULL", packets: []string{"\x01", "column", end, "\xfb", end}},
		{name: "a length beyond the packet", packets: []string{"\x01", "column", end, "\x09ab", end}},
		{name: "an error", packets: []string{"\xff\x7a\x04#42S02no such table"}, fault: "no such table (error 1146)"},
		{name: "an error among rows", packets: []string{"\x01", "column", end, "\xff\x25\x05#70100gone"}, fault: "gone (error 1317)"},
		{name: "the connection ends", packets: []string{"\x01"}, fault: "EOF"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var b bytes.Buffer
			for i, p := range test.packets {
				if err := sendPacket(&b, byte(i), []byte(p)); err != nil {
					t.Fatal(err)
				}
			}
			cell, err := firstCell(bufio.NewReader(&b))
			if cell != test.cell {
				t.Errorf("cell %q, want %q", cell, test.cell)
			}
			switch {
			case test.fault == "" && err != nil:
				t.Errorf("error: %v", err)
			case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
				t.Errorf("error %v, want one with %q", err, test.fault)
			}
		})
	}
}
