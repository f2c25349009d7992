package devserver

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
)

func TestUntilReady(t *testing.T) {
	message := func(kind byte, body string) string {
		var b bytes.Buffer
		if err := send(&b, kind, []byte(body)); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	ready := message('Z', "I")
	tests := []struct {
		name, input, cell, fault string
	}{
		{"no row", message('R', "\x00\x00\x00\x00") + message('S', "a\x00b\x00") + ready, "", ""},
		{"a row", message('D', "\x00\x01\x00\x00\x00\x02ab") + ready, "ab", ""},
		{"the first of two rows", message('D', "\x00\x01\x00\x00\x00\x01a") + message('D', "\x00\x01\x00\x00\x00\x01b") + ready, "a", ""},
		{"NULL", message('D', "\x00\x01\xff\xff\xff\xff") + ready, "", ""},
		{"a length beyond the message", message('D', "\x00\x01\x00\x00\x00\x09ab") + ready, "", ""},
		{"an error", message('E', "SFATAL\x00C57P03\x00Mstarting up\x00\x00"), "", "starting up (SQLSTATE 57P03)"},
		{"a password is asked", message('R', "\x00\x00\x00\x05salt"), "", "asks for a password"},
		{"the connection ends", "", "", "EOF"},
		{"the message ends early", message('D', "\x00\x01")[:5], "", "EOF"},
		{"another protocol", "HTTP/1.1 400 Bad Request\r\n", "", "not PostgreSQL's"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cell, err := untilReady(bufio.NewReader(strings.NewReader(test.input)))
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
