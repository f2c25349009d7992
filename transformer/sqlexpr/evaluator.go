package sqlexpr

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"

	"slipstream/transformer/eval"
	"slipstream/transformer/nearest"
	"slipstream/transformer/pattern"
)

// Evaluator evaluates expressions on an SQLite of its own, which lives in memory and holds no tables. It is not safe for
// concurrent use: a lane has one, and closes it.
type Evaluator struct {
	// The pool holds exactly the one connection; it exists because limits can only be set through it. Statements go to
	// the connection itself, without the cost of the pool.
	pool       *sql.DB
	held       *sql.Conn
	connection driver.Conn

	open     map[*Statement]bool // every prepared statement, for Close
	singles  map[*Expression]*Statement
	patterns map[string]*pattern.Pattern

	// The evaluation at hand, for the functions that draw.
	env   eval.Env
	drawn uint64
}

// singleLimit is how many statements of Evaluate an evaluator keeps prepared.
const singleLimit = 256

// limitLength is SQLITE_LIMIT_LENGTH.
const limitLength = 0

// NewEvaluator opens an evaluator.
func NewEvaluator() (*Evaluator, error) {
	ev := &Evaluator{
		open:     map[*Statement]bool{},
		singles:  map[*Expression]*Statement{},
		patterns: map[string]*pattern.Pattern{},
	}
	if err := ev.connect(); err != nil {
		return nil, errors.Join(fmt.Errorf("opening SQLite for expressions: %w", err), ev.Close())
	}
	return ev, nil
}

func (ev *Evaluator) connect() error {
	d := &sqlite.Driver{}
	if err := ev.register(d); err != nil {
		return err
	}
	connection, err := d.Open(":memory:")
	if err != nil {
		return err
	}
	ev.connection = connection
	ev.pool = sql.OpenDB(held{connection, d})
	if ev.held, err = ev.pool.Conn(context.Background()); err != nil {
		return errors.Join(err, connection.Close())
	}
	_, err = sqlite.Limit(ev.held, limitLength, LengthLimit)
	return err
}

// held is a connector that hands out a connection that is open already.
type held struct {
	connection driver.Conn
	driver     driver.Driver
}

func (h held) Connect(context.Context) (driver.Conn, error) { return h.connection, nil }
func (h held) Driver() driver.Driver                        { return h.driver }

// Close frees the evaluator and closes its statements. Closing twice does no harm.
func (ev *Evaluator) Close() error {
	if ev.pool == nil {
		return nil
	}
	var errs []error
	for s := range ev.open {
		errs = append(errs, s.Close())
	}
	if ev.held != nil {
		errs = append(errs, ev.held.Close())
	}
	errs = append(errs, ev.pool.Close())
	ev.pool, ev.held, ev.singles = nil, nil, nil
	return errors.Join(errs...)
}

var errClosed = errors.New("the evaluator is closed")

// Evaluate computes one expression for a record. Its statement stays prepared.
func (ev *Evaluator) Evaluate(env eval.Env, e *Expression, root any) (any, error) {
	s, ok := ev.singles[e]
	if !ok {
		var err error
		if s, err = ev.Prepare(e); err != nil {
			return nil, err
		}
		if len(ev.singles) >= singleLimit {
			for kept, statement := range ev.singles {
				delete(ev.singles, kept)
				if err := statement.Close(); err != nil {
					return nil, err
				}
			}
		}
		ev.singles[e] = s
	}
	var result [1]any
	err := s.Evaluate(env, root, result[:])
	return result[0], err
}

// explain makes SQLite's message about an expression readable, and suggests a function for an unknown one.
func (ev *Evaluator) explain(err error) error {
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		return err
	}
	text := plain(failure)
	name, unknown := strings.CutPrefix(text, "no such function: ")
	if text == `near ")": syntax error` {
		// The parenthesis may be the one this package puts around an expression.
		return errors.New("syntax error: the expression is incomplete, or a part of it in parentheses is")
	}
	if !unknown {
		return errors.New(text)
	}
	known, err := ev.functions()
	if err != nil {
		return err
	}
	if meant, ok := nearest.Name(name, known); ok {
		return fmt.Errorf("there is no function %s(); did you mean %s()?", name, meant)
	}
	return fmt.Errorf("there is no function %s()", name)
}

// plain is SQLite's own message without what the driver puts around it.
func plain(err *sqlite.Error) string {
	text := err.Error()
	if i := strings.LastIndex(text, " ("); i > 0 {
		text = text[:i]
	}
	return strings.TrimPrefix(text, "SQL logic error: ")
}

// functions lists the functions that may be used.
func (ev *Evaluator) functions() (names []string, err error) {
	rows, err := ev.held.QueryContext(context.Background(), "SELECT DISTINCT name FROM pragma_function_list ORDER BY name")
	if err != nil {
		return nil, fmt.Errorf("listing functions: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("listing functions: %w", err)
		}
		if refused(name) == nil && !strings.ContainsAny(name, "->") {
			names = append(names, name)
		}
	}
	return names, rows.Err()
}
