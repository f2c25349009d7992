package block

import (
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// conjuncts splits a condition at its outermost && or AND. Where anything else of the same or lower precedence stands
// beside them, the condition is one piece; what comes out need not compile for itself, which its user finds out.
func conjuncts(language pipelinev1.Language, text string) []string {
	s := splitter{text: text}
	sql := language == pipelinev1.Language_LANGUAGE_SQL
	for s.at < len(text) {
		c := text[s.at]
		switch {
		case s.nest(c, sql):
		case s.depth > 0:
			s.at++
		case sql && isLetter(c):
			if !s.word() {
				return []string{text}
			}
		case !sql && strings.HasPrefix(text[s.at:], "&&"):
			s.cut(2)
		case !sql && c == '|':
			return []string{text}
		default:
			s.at++
		}
	}
	return append(s.pieces, strings.TrimSpace(text[s.start:]))
}

// splitter walks over an expression, past quotes and parentheses.
type splitter struct {
	text      string
	at, start int
	depth     int
	pieces    []string
}

// cut ends a piece before the separator of the given length.
func (s *splitter) cut(separator int) {
	s.pieces = append(s.pieces, strings.TrimSpace(s.text[s.start:s.at]))
	s.at += separator
	s.start = s.at
}

// nest steps over quoted text and counts parentheses.
func (s *splitter) nest(c byte, sql bool) bool {
	switch c {
	case '(', '[', '{':
		s.depth++
	case ')', ']', '}':
		s.depth--
	case '\'', '"', '`':
		s.quoted(c, sql)
		return true
	default:
		return false
	}
	s.at++
	return true
}

// quoted moves past a quoted text. In SQL a doubled quote is two texts that touch, which comes to the same.
func (s *splitter) quoted(quote byte, sql bool) {
	for s.at++; s.at < len(s.text); s.at++ {
		switch {
		case s.text[s.at] == '\\' && !sql:
			s.at++
		case s.text[s.at] == quote:
			s.at++
			return
		}
	}
}

// word moves past a word of SQL outside of parentheses; AND cuts. It reports false for words that make AND mean
// something else or bind less than it.
func (s *splitter) word() bool {
	end := s.at
	for end < len(s.text) && (isLetter(s.text[end]) || s.text[end] >= '0' && s.text[end] <= '9') {
		end++
	}
	switch strings.ToUpper(s.text[s.at:end]) {
	case "OR", "BETWEEN", "CASE":
		return false
	case "AND":
		s.cut(end - s.at)
		return true
	}
	s.at = end
	return true
}

func isLetter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80 }
