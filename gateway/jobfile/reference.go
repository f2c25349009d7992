package jobfile

import (
	"slices"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// references are the fields that an expression mentions, as dotted paths, found by reading its words; only the
// transformer parses. Names bound inside a projection count as fields.
func references(e *pipelinev1.Expression) []string {
	s := scanner{text: e.GetText(), sql: e.GetLanguage() == pipelinev1.Language_LANGUAGE_SQL}
	return s.scan()
}

// mentions says whether an expression may read a member of the record.
func mentions(e *pipelinev1.Expression, name string) bool {
	return slices.ContainsFunc(references(e), func(path string) bool {
		first, _, _ := strings.Cut(path, ".")
		return first == name
	})
}

type scanner struct {
	text  string
	at    int
	sql   bool
	paths []string
}

func (s *scanner) scan() []string {
	member := false // the word before was a path and a dot followed it
	for s.at < len(s.text) {
		c := s.text[s.at]
		switch {
		case c == '\'':
			s.quoted('\'')
			member = false
		case c == '`' && !s.sql:
			s.quoted('`')
			member = false
		case c == '`' || c == '"':
			s.add(s.quoted(c), member)
			member = s.dot()
		case letter(c):
			start := s.at
			for s.at < len(s.text) && (letter(s.text[s.at]) || digit(s.text[s.at])) {
				s.at++
			}
			word := s.text[start:s.at]
			if !member && s.skip(word) {
				continue
			}
			s.add(word, member)
			member = s.dot()
		case digit(c):
			for s.at < len(s.text) && (letter(s.text[s.at]) || digit(s.text[s.at]) || s.text[s.at] == '.') {
				s.at++
			}
			member = false
		default:
			// A dot after a bracket or a call goes on with a value that is no member of the record.
			member = c == '.' && !s.sql
			s.at++
			if member {
				s.word()
				member = false
			}
		}
	}
	return s.paths
}

// word skips a name that follows a dot which does not follow a path.
func (s *scanner) word() {
	for s.at < len(s.text) && (letter(s.text[s.at]) || digit(s.text[s.at])) {
		s.at++
	}
}

func (s *scanner) quoted(mark byte) string {
	start := s.at + 1
	for s.at++; s.at < len(s.text) && s.text[s.at] != mark; s.at++ {
		if s.text[s.at] == '\\' && !s.sql {
			s.at++
		}
	}
	end := min(s.at, len(s.text))
	s.at = min(s.at+1, len(s.text))
	return s.text[min(start, end):end]
}

func (s *scanner) add(path string, member bool) {
	if member && len(s.paths) > 0 {
		s.paths[len(s.paths)-1] += "." + path
		return
	}
	s.paths = append(s.paths, path)
}

func (s *scanner) dot() bool {
	if s.at+1 < len(s.text) && s.text[s.at] == '.' && (letter(s.text[s.at+1]) || s.text[s.at+1] == '"') {
		s.at++
		return true
	}
	return false
}

// skip says that a word names no field: a function, a member name of a multi-select hash, or a keyword of SQL.
func (s *scanner) skip(word string) bool {
	next := strings.TrimLeft(s.text[s.at:], " \t\r\n")
	if strings.HasPrefix(next, "(") {
		return true
	}
	if !s.sql {
		return strings.HasPrefix(next, ":")
	}
	return slices.Contains(keywords, strings.ToUpper(word))
}

var keywords = strings.Fields(`ALL AND AS ASC BETWEEN BLOB CASE CAST COLLATE CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP
	DESC DISTINCT ELSE END ESCAPE FALSE FROM GLOB IN INT INTEGER IS ISNULL LIKE MATCH NOCASE NOT NOTNULL NULL NUMERIC OR
	REAL REGEXP TEXT THEN TRUE WHEN`)

func letter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
