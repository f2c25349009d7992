package sqlexpr

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"modernc.org/sqlite"

	"slipstream/transformer/eval"
)

// Statement evaluates a fixed list of expressions for a record, together: one step of SQLite for all of them, and each
// field bound once. It belongs to the evaluator that prepared it.
type Statement struct {
	evaluator   *Evaluator
	expressions []*Expression
	prepared    driver.StmtQueryContext // nil when nothing needs SQLite
	closer      driver.Stmt
	columns     []int // the expression each column of the result belongs to
	parameters  []parameter
	aliases     []string // the root alias of each parameter
	arguments   []driver.NamedValue
	row         []driver.Value
	apart       []*Statement // each expression for itself, made when one fails
}

// Prepare makes a statement of expressions.
func (ev *Evaluator) Prepare(expressions ...*Expression) (*Statement, error) {
	s, err := ev.prepare(expressions)
	if err != nil {
		return nil, fmt.Errorf("preparing SQL expressions: %w", err)
	}
	return s, nil
}

func (ev *Evaluator) prepare(expressions []*Expression) (*Statement, error) {
	if ev.pool == nil {
		return nil, errClosed
	}
	s := &Statement{evaluator: ev, expressions: expressions}
	var query strings.Builder
	query.WriteString("SELECT ")
	numbers := map[string]int{}
	for i, e := range expressions {
		if e.constant != nil {
			continue
		}
		if len(s.columns) > 0 {
			query.WriteString(", ")
		}
		s.columns = append(s.columns, i)
		s.write(&query, e, numbers)
	}
	if len(s.columns) == 0 {
		return s, nil
	}
	prepared, err := ev.connection.Prepare(query.String())
	if err != nil {
		return nil, err
	}
	queryer, ok := prepared.(driver.StmtQueryContext)
	if !ok {
		return nil, errors.Join(errors.New("the SQLite driver cannot run prepared queries"), prepared.Close())
	}
	s.prepared, s.closer = queryer, prepared
	ev.open[s] = true
	s.row = make([]driver.Value, len(s.columns))
	return s, nil
}

// write adds an expression to the query. Equal parameters of all expressions are one.
func (s *Statement) write(query *strings.Builder, e *Expression, numbers map[string]int) {
	query.WriteByte('(')
	for _, f := range e.fragments {
		query.WriteString(f.sql)
		if f.parameter == nil {
			continue
		}
		key := fmt.Sprintf("%d %q %s", f.parameter.source, e.alias, f.parameter.field)
		number, ok := numbers[key]
		if !ok {
			s.parameters = append(s.parameters, *f.parameter)
			s.aliases = append(s.aliases, e.alias)
			number = len(s.parameters)
			numbers[key] = number
			s.arguments = append(s.arguments, driver.NamedValue{Ordinal: number})
		}
		fmt.Fprintf(query, " ?%d ", number)
	}
	query.WriteByte(')')
}

// Close frees the statement, before its evaluator is closed or after. Closing twice does no harm.
func (s *Statement) Close() error {
	var errs []error
	for _, single := range s.apart {
		errs = append(errs, single.Close())
	}
	s.apart = nil
	if s.closer != nil {
		errs = append(errs, s.closer.Close())
		s.closer, s.prepared = nil, nil
		delete(s.evaluator.open, s)
	}
	return errors.Join(errs...)
}

// Error is the failure of one expression for one record.
type Error struct {
	Index      int    // which of the statement's expressions
	Expression string // as it was written
	Err        error
}

func (e *Error) Error() string {
	return fmt.Sprintf("evaluating SQL expression %q: %v", cut(e.Expression, 200), e.Err)
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Evaluate computes all expressions for a record into results, which has one place for each. When some fail, the others
// are computed all the same: the places of the failed ones are nil, and the error joins one *Error for each.
func (s *Statement) Evaluate(env eval.Env, root any, results []any) error {
	if len(results) != len(s.expressions) {
		return fmt.Errorf("evaluating SQL expressions: %d results for %d expressions", len(results), len(s.expressions))
	}
	for i, e := range s.expressions {
		if e.constant != nil {
			results[i] = e.constant.evaluate(e.alias, root)
		}
	}
	if len(s.columns) == 0 {
		return nil
	}
	err := s.run(env, root, results)
	if err == nil {
		return nil
	}
	if len(s.columns) == 1 {
		i := s.columns[0]
		results[i] = nil
		return &Error{Index: i, Expression: s.expressions[i].text, Err: err}
	}
	return s.evaluateApart(env, root, results)
}

// evaluateApart finds out which expressions fail.
func (s *Statement) evaluateApart(env eval.Env, root any, results []any) error {
	if s.apart == nil {
		for _, i := range s.columns {
			single, err := s.evaluator.Prepare(s.expressions[i])
			if err != nil {
				return err
			}
			s.apart = append(s.apart, single)
		}
	}
	var errs []error
	for at, i := range s.columns {
		var result [1]any
		err := s.apart[at].Evaluate(env, root, result[:])
		var failure *Error
		if errors.As(err, &failure) {
			failure.Index = i
		}
		results[i] = result[0]
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *Statement) run(env eval.Env, root any, results []any) (err error) {
	if s.prepared == nil {
		return errClosed
	}
	ev := s.evaluator
	ev.env, ev.drawn = env, 0
	for i := range s.parameters {
		s.arguments[i].Value = s.parameters[i].value(env, s.aliases[i], root)
	}
	rows, err := s.prepared.QueryContext(context.Background(), s.arguments)
	if err != nil {
		return readable(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if err := rows.Next(s.row); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("there is no result")
		}
		return readable(err)
	}
	for column, i := range s.columns {
		if results[i], err = result(s.row[column]); err != nil {
			return err
		}
	}
	return nil
}

func readable(err error) error {
	var failure *sqlite.Error
	if errors.As(err, &failure) {
		return errors.New(plain(failure))
	}
	return err
}
