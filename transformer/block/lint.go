package block

import (
	"regexp"
	"slices"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/transformer/expression"
	"slipstream/transformer/finding"
	"slipstream/transformer/path"
)

const fullFix = "set row_format: full under source, and write data fields as after.<name>"

// Lint warns of expressions in a partial job that look at members only full records have (spec 1.6, A3).
func Lint(found *finding.List, e *expression.Expression, full bool, at string) {
	seen := map[string]bool{}
	for _, p := range e.References() {
		if len(p) > 0 && !seen[p[0]] {
			seen[p[0]] = true
			lintPath(found, p, full, at)
		}
	}
}

func lintPath(found *finding.List, p path.Path, full bool, at string) {
	if full || len(p) == 0 {
		return
	}
	switch {
	case p[0] == After:
		found.Warning(at, "leave the prefix out, or set row_format: full under source",
			"after. is taken as the record itself because row_format is partial")
	case p[0] == Before, p[0] == Opcode, p[0] == Key && (len(p) == 1 || p[1] == Key):
		found.Warning(at, fullFix, "%q needs row_format: full; in a partial record it is an ordinary field", p[0])
	}
}

// Comparisons of a bare field with a number (spec 6.4).
var (
	sqlNumber  = regexp.MustCompile("(?i)(?:^|[\\s(])([a-z_][a-z0-9_]*|`[^`]+`)\\s*(?:<=|>=|<>|!=|==|=|<|>)\\s*-?[0-9]")
	jmesNumber = regexp.MustCompile("(?:^|[\\s(&|!])([A-Za-z_][A-Za-z0-9_.]*)\\s*(?:<=|>=|!=|==|<|>)\\s*`\\s*-?[0-9]")
)

// lintComparison warns of a condition that compares a field with a number, where the field may be one of a hash: these are
// strings. Fields that blocks before have made are what these made of them.
func (c *compiler) lintComparison(e *pipelinev1.Expression, at string) {
	text := e.GetText()
	switch e.GetLanguage() {
	case pipelinev1.Language_LANGUAGE_SQL:
		for _, m := range sqlNumber.FindAllStringSubmatch(text, -1) {
			if !slices.Contains([]string{"AND", "OR", "NOT", "END", "THEN", "ELSE", "WHEN"}, strings.ToUpper(m[1])) && c.isText(m[1]) {
				c.found.Warning(at, "write CAST("+m[1]+" AS REAL)",
					"%s is compared with a number: a hash field is text, which SQL sorts above every number", m[1])
			}
		}
	case pipelinev1.Language_LANGUAGE_JMESPATH:
		for _, m := range jmesNumber.FindAllStringSubmatch(text, -1) {
			if c.isText(m[1]) {
				c.found.Warning(at, "write to_number("+m[1]+")",
					"%s is compared with a number: a hash field is a string, and the comparison never holds", m[1])
			}
		}
	}
}

// isText tells whether a field can be one of a hash as it was read.
func (c *compiler) isText(field string) bool {
	return c.made != nil && !c.made[plain(field)]
}

// makes remembers that a block gave a field a value of its own.
func (c *compiler) makes(field string) {
	if c.made != nil {
		c.made[plain(field)] = true
	}
}

// plain is the spelling of a field that those in both languages and formats share.
func plain(field string) string {
	return strings.TrimPrefix(strings.Trim(field, "`"), After+".")
}
