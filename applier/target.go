// Package applier is the contract between the engine that drives lanes and the dialects that write to one kind of
// database each.
//
// Words. A [Dialect] knows a kind of database. A [Target] is one connection of a pipeline, opened: it may be shared by
// many lanes. A [Session] is a lane that holds the fence of its position row (design D4). A [Txn] is one attempt to
// commit one batch: the rows and the position they lead to, together or not at all (G2, G3). A [Table] is an output
// bound to the catalogue: its columns with their types. A [Write] is one thing to do with many rows of a table.
//
// Who does what. The engine (package engine) converts every value with the types of the table (package value), folds
// the rows of a batch until each row of the target is touched once, sorts them by key, decides what to retry, what to
// wait for and what to reject, and isolates bad rows. A dialect reads its catalogue, keeps the position table, turns a
// Write into as few and as fast statements as its database knows, and classes every error of its driver once, in the
// words of package fault (design D9). A dialect never retries, never waits, never rejects.
//
// Promises every dialect makes, and package applytest proves:
//
//   - Nothing is visible before Commit, and after it everything is, the position included (G3).
//   - A Txn whose Session lost the fence changes nothing (G4).
//   - Values arrive exactly as the canonical text of package value says; nothing is cut, rounded or zeroed.
//   - Identifiers are quoted always and matched with the catalogue without regard to case (spec 5.2).
//   - An error is a *fault.Error with its class; where the operator can do something about it, Fix says what, ready to
//     be copied (a missing table comes with its CREATE TABLE).
//   - No error, log line or span holds a secret (G10).
package applier

import (
	"context"
	"slices"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Dialect opens targets of one kind of database.
type Dialect interface {
	// Name is the canonical connection type it serves, for example "postgresql".
	Name() string

	// Connect opens a target. The strings of conn are resolved: no secret reference is left in them. Connect may
	// return before the database was reached; the first use tells. It must not hold on to ctx.
	Connect(ctx context.Context, conn *pipelinev1.Connection, settings *pipelinev1.Settings) (Target, error)
}

// Alias is a Dialect that serves connections of further types.
type Alias interface {
	// Aliases are the types beside Name: "mariadb" of "mysql".
	Aliases() []string
}

// Serves tells whether a dialect takes connections of a type.
func Serves(d Dialect, kind string) bool {
	if kind == d.Name() {
		return true
	}
	a, ok := d.(Alias)
	return ok && slices.Contains(a.Aliases(), kind)
}

// Target is one connection of a pipeline. It is safe for concurrent use by many lanes and holds the pool.
type Target interface {
	// Check compares the outputs of jobs that use this connection with the catalogue: tables, columns, a unique index
	// on exactly the keys where the dialect needs one, generated columns, and whether the position table exists or may
	// be created. What is wrong is a problem in the answer, not an error; a server that cannot be reached is a problem
	// too. Paths of problems are those of the outputs and columns (Output.path, OutputColumn.path).
	Check(ctx context.Context, jobs []*pipelinev1.Job) *applierv1.CheckResponse

	// Table binds an output to the catalogue as it is now. The engine asks again after a fault of class SCHEMA, so
	// nothing that a schema change makes wrong may be cached behind it. A missing table or column is class SCHEMA.
	Table(ctx context.Context, o *pipelinev1.Output) (*Table, error)

	// Empty says whether the table of an output has no rows, for jobs with initial_load: if_empty. Faults are those of Table.
	Empty(ctx context.Context, o *pipelinev1.Output) (bool, error)

	// OpenLane issues the fence: in a transaction of its own, it creates the position row of lane with epoch 1 and no
	// position, or raises the epoch of the row that is there. It waits for, or defeats, any Txn of an earlier owner
	// that is still under way. It creates the position table where it is missing and may be created; where it may not,
	// the fault is of class PERMISSION and its Fix is the DDL. A row whose source is another installation is never a
	// start position: that is a fault of class SCHEMA. Opened carries epoch, position, state and delivery; the engine
	// fills in the dialect.
	OpenLane(ctx context.Context, lane *flowv1.Lane, owner string) (Session, *flowv1.Opened, error)

	// Prepare creates the missing tables of outputs with auto_create; Check lists them as its plan. A table that is there
	// already, even since a moment ago, is no problem.
	Prepare(ctx context.Context, jobs []*pipelinev1.Job) *applierv1.PrepareResponse
	// Rehearse begins a transaction that moves no position, for previews: the caller rolls it back, always.
	Rehearse(ctx context.Context, lane *flowv1.Lane) (Rehearsal, error)
	// Close ends the target after all its sessions are closed. It may be called once.
	Close() error
}

// Rehearsal is a transaction that will be rolled back.
type Rehearsal interface {
	Txn
	// Show is the statement that a write would run, for one of its rows alone, with the values in place.
	Show(w *Write, row int32) string
	// Read reads columns of every row of the table that agrees with one of rows in the columns by: one list of texts a
	// row found, as the database prints them, nil for NULL; of each of rows in turn.
	Read(ctx context.Context, t *Table, by []int, v *Values, rows []int32, columns []int) ([][][]byte, error)
	// Images is as that of a Session. It is asked only for owners of which Owned found entries.
	Images(ctx context.Context, output string, owners [][]byte) ([][]byte, error)
}

// Session is a lane that holds its fence. It is used by one goroutine at a time and has at most one Txn under way.
type Session interface {
	// Begin starts the transaction of one batch and, before anything else in it, moves the position from prev to next
	// and the state to state (nil: unchanged) under the condition that the row still has this session's epoch and
	// prev. If it has not, the fault is FENCED and nothing else happens. A dialect may send this together with the
	// first write, or with the commit, to save a round trip, as long as a miss stops what follows it in the server; the
	// fault then comes from that call.
	Begin(ctx context.Context, prev, next *changev1.Position, state *changev1.LaneState) (Txn, error)
	// OpenIndex makes sure that the row index is there, before the first batch of a lane with an output that keeps one.
	// Where the table is missing and may not be created, the fault is of class PERMISSION and its Fix is the DDL.
	OpenIndex(ctx context.Context) error
	// Images reads the before images that the row index holds for owners in an output: one an owner, in order, nil where
	// there is none.
	Images(ctx context.Context, output string, owners [][]byte) ([][]byte, error)

	// Close gives back what the session holds. The fence stays as it is. A Txn under way is rolled back.
	Close() error
}

// Txn is one attempt at a batch. After an error from Write outside Try it can only be rolled back.
type Txn interface {
	// Write does one thing with many rows. The rows are converted, sorted by key, and no two have the same key.
	Write(ctx context.Context, w *Write) error

	// Try runs fn so that, if it fails, everything it wrote is undone and the transaction goes on: a savepoint. It
	// returns the error of fn, or the fault of a constraint that was deferred until here: such are checked before Try
	// returns. Try is not nested.
	Try(ctx context.Context, fn func() error) error
	// Owned reads the entries of the row index that belong to an owner, or are for a row, of those given, and locks them
	// until the transaction ends: who changes one meanwhile waits, and then sees what became of it.
	Owned(ctx context.Context, output string, owners, rows [][]byte) ([]Entry, error)
	// Own stores entries, each in place of the one for its row if there is one, and deletes those for the rows of gone.
	// Both are sorted by row.
	Own(ctx context.Context, output string, entries []Entry, gone [][]byte) error

	// Commit makes rows and position durable. A fault of class CONNECTION leaves it open whether that happened: the
	// engine opens the lane again and looks at the position. Any other fault means that it did not.
	Commit(ctx context.Context) error

	// Rollback undoes everything; after Commit, or a second time, it does nothing. It does not depend on the context of
	// the calls before it and does not take longer than a few seconds.
	Rollback() error
}
