package nearest

import "testing"

func TestName(t *testing.T) {
	known := []string{"lower", "upper", "regex_replace", "in"}
	for written, want := range map[string]string{
		"uppr": "upper", "UPPER": "upper", "regexp_replace": "regex_replace", "loewr": "lower", "telephone": "",
	} {
		if got, ok := Name(written, known); got != want || ok != (got != "") {
			t.Errorf("Name(%q) = %q, %t, want %q", written, got, ok, want)
		}
	}
}
