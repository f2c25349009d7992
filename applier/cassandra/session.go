package cassandra

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"slipstream/proto/fault"
)

// cql is a statement with its values.
type cql struct {
	text string
	args []any // wire, int64 or gocql.UnsetValue
}

// wire is a value as the protocol sends it; nil is null.
type wire []byte

// MarshalCQL gives the bytes as they are: they were made for the column's type (encode.go).
func (w wire) MarshalCQL(gocql.TypeInfo) ([]byte, error) { return w, nil }

// UnmarshalCQL takes the bytes as they came.
func (w *wire) UnmarshalCQL(_ gocql.TypeInfo, data []byte) error {
	*w = bytes.Clone(data)
	return nil
}

var (
	_ gocql.Marshaler   = wire(nil)
	_ gocql.Unmarshaler = (*wire)(nil)
)

// level says how sure an answer or an acknowledgement must be.
type level uint8

const (
	asConfigured level = iota // the connection's consistency
	own                       // at least a quorum: what is read, and the tables of our own
	serial                    // behind every lightweight transaction that has begun
	catalogue                 // what the node itself knows
)

// cluster is what this dialect needs of a driver.
type cluster interface {
	// run runs statements on one partition: one by itself, several as an unlogged batch. They may be run again.
	run(ctx context.Context, l level, group []cql) error
	// rows reads all rows of a query.
	rows(ctx context.Context, l level, q cql) ([][]wire, error)
	// swap runs a lightweight transaction and tells whether its condition held.
	swap(ctx context.Context, q cql) (bool, error)
	close()
}

// driver is a session of the driver's, made when it is first needed and again after it could not be.
type driver struct {
	options options

	mu      sync.Mutex
	session *gocql.Session
	failed  error     // why there is no session
	at      time.Time // since when
	closed  bool
}

func newDriver(o options) *driver { return &driver{options: o} }

// again is how long a failure to connect stands before the next caller tries: lanes that wait together try once.
const again = 500 * time.Millisecond

func (d *driver) get() (*gocql.Session, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return nil, gocql.ErrSessionClosed
	case d.session != nil:
		return d.session, nil
	case d.failed != nil && time.Since(d.at) < again:
		return nil, d.failed
	}
	config := d.options.cluster()
	seen := &attempts{}
	config.ConnectObserver = seen
	d.session, d.failed = config.CreateSession()
	if d.failed != nil {
		d.session, d.at = nil, time.Now()
		// The driver makes a text of what went wrong; its observer has the error itself.
		if cause := seen.cause(); cause != nil {
			d.failed = cause
		}
		d.failed = &unreachable{d.failed}
	}
	return d.session, d.failed
}

// unreachable says that no session could be made.
type unreachable struct{ error }

func (e *unreachable) Unwrap() error { return e.error }

// attempts remembers why connections failed.
type attempts struct {
	mu     sync.Mutex
	errors []error
}

// ObserveConnect implements gocql.ConnectObserver.
func (a *attempts) ObserveConnect(o gocql.ObservedConnect) {
	if o.Err == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.errors) < 64 {
		a.errors = append(a.errors, o.Err)
	}
}

// cause is the failure that says most: what a node answered before what the network did.
func (a *attempts) cause() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, err := range a.errors {
		var said gocql.RequestError
		if errors.As(err, &said) && said.Code() != gocql.ErrCodeProtocol {
			return err
		}
	}
	if len(a.errors) > 0 {
		return a.errors[len(a.errors)-1]
	}
	return nil
}

func (d *driver) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.session != nil {
		d.session.Close()
		d.session = nil
	}
}

func (d *driver) run(ctx context.Context, l level, group []cql) error {
	s, err := d.get()
	if err != nil {
		return err
	}
	if len(group) == 1 {
		// The timestamp stands in the statement; another beside it would be refused.
		return s.Query(group[0].text, group[0].args...).Consistency(d.options.level(l)).DefaultTimestamp(false).
			Idempotent(true).ExecContext(ctx)
	}
	b := s.Batch(gocql.UnloggedBatch).Consistency(d.options.level(l)).DefaultTimestamp(false)
	for _, q := range group {
		b.Entries = append(b.Entries, gocql.BatchEntry{Stmt: q.text, Args: q.args, Idempotent: true})
	}
	return b.ExecContext(ctx)
}

func (d *driver) rows(ctx context.Context, l level, q cql) ([][]wire, error) {
	s, err := d.get()
	if err != nil {
		return nil, err
	}
	iter := s.Query(q.text, q.args...).Consistency(d.options.level(l)).Idempotent(true).IterContext(ctx)
	var out [][]wire
	for {
		columns := iter.Columns()
		row := make([]wire, len(columns))
		var into []any
		parts := make([][]wire, len(columns))
		for i, c := range columns {
			tuple, ok := c.TypeInfo.(gocql.TupleTypeInfo)
			if !ok {
				into = append(into, &row[i])
				continue
			}
			parts[i] = make([]wire, len(tuple.Elems)) // which the driver takes apart
			for n := range parts[i] {
				into = append(into, &parts[i][n])
			}
		}
		if len(into) == 0 || !iter.Scan(into...) {
			return out, iter.Close()
		}
		for i := range parts {
			if parts[i] != nil {
				row[i] = joined(parts[i])
			}
		}
		out = append(out, row)
	}
}

// joined puts a tuple together again. One of nulls alone is taken for null.
func joined(parts []wire) wire {
	var out wire
	null := true
	for _, p := range parts {
		null = null && p == nil
		out = appendSized(out, p)
	}
	if null {
		return nil
	}
	return out
}

func (d *driver) swap(ctx context.Context, q cql) (bool, error) {
	s, err := d.get()
	if err != nil {
		return false, err
	}
	// Never run again by the driver: the second run would find what the first one left.
	query := s.Query(q.text, q.args...).Consistency(d.options.level(own)).SerialConsistency(d.options.level(serial)).
		DefaultTimestamp(false).RetryPolicy(nil).Idempotent(false)
	return query.MapScanCASContext(ctx, map[string]any{})
}

// limited bounds a call in time.
func limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, patience)
}

// known tells whether an error is a fault already, and which.
func known(err error) (*fault.Error, bool) {
	var f *fault.Error
	return f, errors.As(err, &f)
}
