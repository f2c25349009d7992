// Package expression is an expression of a job in either of its languages (spec 6), behind one type.
//
// Words: an [Expression] is compiled once and shared; a [Runner] evaluates and belongs to one lane, because the SQL
// language needs an SQLite of its own. A job without SQL never opens one.
//
// Promise: an expression that draws nothing random costs no seed; see [Expression.Draws].
package expression

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/transformer/eval"
	"slipstream/transformer/jmespath"
	"slipstream/transformer/path"
	"slipstream/transformer/record"
	"slipstream/transformer/sqlexpr"
)

// After is the member of a full record that holds the value, and its alias in partial records (spec 1.6, A3).
const After = "after"

// Expression is compiled and immutable.
type Expression struct {
	jmes  *jmespath.Expression
	sql   *sqlexpr.Expression
	draws bool
	timed bool
	// partial: after is an alias of the root.
	partial bool
	cache   Cache
}

// drawing finds the functions whose results come from the seed.
var drawing = regexp.MustCompile(`(?i)\b(uuid|random|randomblob)\s*\(`)

// timed finds what gives the time of the evaluation.
var timed = regexp.MustCompile(`(?i)\b(time_delta_\w+|current_(date|time|timestamp))\b|['"]now['"]|\b(date|time|datetime|julianday|unixepoch)\s*\(\s*\)`)

// Compile compiles an expression. In partial records after is an alias of the root (A3).
func Compile(e *pipelinev1.Expression, partial bool) (*Expression, error) {
	compiled := &Expression{draws: drawing.MatchString(e.GetText()), timed: timed.MatchString(e.GetText()), partial: partial}
	var err error
	switch e.GetLanguage() {
	case pipelinev1.Language_LANGUAGE_JMESPATH:
		var options []jmespath.Option
		if partial {
			options = append(options, jmespath.RootAlias(After))
		}
		compiled.jmes, err = jmespath.Compile(e.GetText(), options...)
	case pipelinev1.Language_LANGUAGE_SQL:
		var options []sqlexpr.Option
		if partial {
			options = append(options, sqlexpr.RootAlias(After))
		}
		compiled.sql, err = sqlexpr.Compile(e.GetText(), options...)
	default:
		err = errors.New("the language of the expression is missing")
	}
	if err != nil {
		return nil, err
	}
	return compiled, nil
}

// Draws tells whether results depend on the seed of the environment.
func (e *Expression) Draws() bool { return e.draws }

// Volatile tells whether the same record may give another result at another time or on another change.
func (e *Expression) Volatile() bool { return e.draws || e.timed }

// References lists the paths of the record the expression looks at; the empty path is the whole record.
func (e *Expression) References() []path.Path {
	if e.sql != nil {
		return e.sql.References()
	}
	return e.jmes.References()
}

// String is the expression as it was written.
func (e *Expression) String() string {
	if e.sql != nil {
		return e.sql.String()
	}
	return e.jmes.String()
}

// Runner evaluates expressions for one lane. It is not safe for concurrent use.
type Runner struct {
	sql     *sqlexpr.Evaluator
	groups  map[*Group]*sqlexpr.Statement
	closed  bool
	memos   map[*Expression]*Memo
	replies map[any]*Memo

	// Now is the clock that caches go by. Default time.Now.
	Now func() time.Time
}

var errClosed = errors.New("the lane has ended")

// Evaluate computes an expression for a record. The result may share parts with the record.
func (r *Runner) Evaluate(e *Expression, env eval.Env, root any) (any, error) {
	m := r.memo(e)
	if m == nil {
		return r.evaluate(e, env, root)
	}
	key := e.seen(root)
	if value, ok := m.Get(key); ok {
		return value, nil
	}
	value, err := r.evaluate(e, env, root)
	if err == nil {
		// Blocks copy what they put on a record, so what is kept here stays as it is; but it may share with this record.
		m.Put(key, record.Clone(value))
	}
	return value, err
}

func (r *Runner) evaluate(e *Expression, env eval.Env, root any) (any, error) {
	if e.sql == nil {
		return e.jmes.Evaluate(env, root)
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	return r.sql.Evaluate(env, e.sql, root)
}

func (r *Runner) open() error {
	if r.closed {
		return errClosed
	}
	if r.sql != nil {
		return nil
	}
	evaluator, err := sqlexpr.NewEvaluator()
	if err != nil {
		return fmt.Errorf("preparing SQL expressions: %w", err)
	}
	r.sql = evaluator
	return nil
}

// Close frees what SQL expressions needed. Closing twice does no harm.
func (r *Runner) Close() error {
	r.closed = true
	var errs []error
	for _, statement := range r.groups {
		errs = append(errs, statement.Close())
	}
	if r.sql != nil {
		errs = append(errs, r.sql.Close())
	}
	r.sql, r.groups = nil, nil
	return errors.Join(errs...)
}

// Group is expressions that see the same record, in any languages; those in SQL are computed in one step.
type Group struct {
	members []*Expression
	sql     []*sqlexpr.Expression
	draws   bool
	cached  bool
}

// NewGroup makes a group.
func NewGroup(members []*Expression) *Group {
	g := &Group{members: members}
	for _, e := range members {
		if e.sql != nil {
			g.sql = append(g.sql, e.sql)
		}
		g.draws = g.draws || e.draws
		g.cached = g.cached || e.cache.Size > 0
	}
	return g
}

// Draws tells whether a member does.
func (g *Group) Draws() bool { return g.draws }

// EvaluateGroup computes all members of a group into results, one each. An error does not tell which member failed.
func (r *Runner) EvaluateGroup(g *Group, env eval.Env, root any, results []any) error {
	if len(g.sql) == len(g.members) && len(g.sql) > 1 && !g.cached {
		statement, err := r.statement(g)
		if err != nil {
			return err
		}
		return statement.Evaluate(env, root, results)
	}
	for i, e := range g.members {
		value, err := r.Evaluate(e, env, root)
		if err != nil {
			return err
		}
		results[i] = value
	}
	return nil
}

func (r *Runner) statement(g *Group) (*sqlexpr.Statement, error) {
	if statement, ok := r.groups[g]; ok {
		return statement, nil
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	statement, err := r.sql.Prepare(g.sql...)
	if err != nil {
		return nil, err
	}
	if r.groups == nil {
		r.groups = map[*Group]*sqlexpr.Statement{}
	}
	r.groups[g] = statement
	return statement, nil
}
