// Package pattern is regular expressions in Python syntax, as regex_replace (spec 6.2) and REGEXP (spec 6.3) take them,
// run by a backtracking engine so that look-around and back-references work.
//
// A pattern is translated before it is compiled: groups get the numbers Python gives them, (?P<name>…) and (?P=name) are
// resolved, \Z is the very end of the text, {,n} counts from zero, and [ inside a class is itself. What Python has and
// the engine has not is an error when the pattern is compiled, never a different match.
//
// A match may take [Budget] of time and no more; text that makes a pattern run away costs one record, not the lane.
// Patterns are safe for use by many goroutines.
package pattern

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dlclark/regexp2"
	"github.com/dlclark/regexp2/syntax"
)

// Budget is the time one search or one replacement of all matches may take.
const Budget = 500 * time.Millisecond

// ErrBudget is in the chain of errors of searches that took longer than Budget.
var ErrBudget = errors.New("the regular expression took too long")

// Pattern is a compiled regular expression.
type Pattern struct {
	text   string
	engine *regexp2.Regexp
	groups groups
}

// Compile translates and compiles an expression in Python syntax.
func Compile(text string) (*Pattern, error) {
	translated, groups, err := translate(text)
	if err != nil {
		return nil, fmt.Errorf("compiling regular expression %q: %w", text, err)
	}
	engine, err := regexp2.Compile(translated, regexp2.None)
	var wrong *syntax.Error
	if errors.As(err, &wrong) {
		// The rest of the message quotes the translated expression.
		return nil, fmt.Errorf("compiling regular expression %q: %s", text, wrong.Code)
	}
	if err != nil {
		return nil, fmt.Errorf("compiling regular expression %q: %w", text, err)
	}
	engine.MatchTimeout = Budget
	return &Pattern{text: text, engine: engine, groups: groups}, nil
}

// String is the expression as it was written.
func (p *Pattern) String() string { return p.text }

// Matches tells whether the pattern is found anywhere in the text.
func (p *Pattern) Matches(text string) (bool, error) {
	found, err := p.engine.MatchString(text)
	if err != nil {
		return false, p.failed("matching")
	}
	return found, nil
}

// The engine has one run-time error, its timeout.
func (p *Pattern) failed(doing string) error {
	return fmt.Errorf("%s regular expression %q: %w", doing, p.text, ErrBudget)
}

// Replace replaces every match in the text, empty ones included, by the expanded template.
func (p *Pattern) Replace(text string, template *Template) (string, error) {
	match, err := p.engine.FindStringMatch(text)
	if err != nil {
		return "", p.failed("replacing")
	}
	if match == nil {
		return text, nil
	}
	var (
		out      strings.Builder
		runes    = []rune(text)
		at       = 0
		deadline = time.Now().Add(Budget)
	)
	for match != nil {
		out.WriteString(string(runes[at:match.Index]))
		template.expand(&out, match)
		at = match.Index + match.Length
		if match, err = p.engine.FindNextMatch(match); err != nil || time.Now().After(deadline) {
			return "", p.failed("replacing")
		}
	}
	out.WriteString(string(runes[at:]))
	return out.String(), nil
}
