// Package block is the transformation blocks of a job: filter, add_field, remove_field, rename_field, map and redis.lookup
// (spec 4).
//
// Words: a [Record] is what the blocks of a job see and change in place, one at a time, in the order of the file; a
// [Chain] is a job's compiled blocks. The outcome of a record is its own: kept, filtered, or failed with the [Failure]
// that names the block. A block never sees a record that an earlier one filtered or failed.
//
// Deletes. The record of a delete often holds nothing but what the Redis key tells (spec 1.6, A4), and no delete may be
// lost to that (spec 4.1, design D8), nor reach a row it was not meant for (G7):
//
//   - A filter drops it only if it decides so from fields that are on the record. Where a field the filter looks at is
//     missing, the delete is kept: deleting a row that is not there does no harm. A condition joined by && (AND in SQL)
//     drops it if one of its parts, looked at for itself, does: opcode != 'd' && after.psi > `10` drops every delete.
//   - An add_field or map that fails because an operand is missing or null gives null.
//   - A field whose value depends on fields that are missing is doubtful: it is on the record, but no row is deleted by
//     it ([Record.Doubtful]).
//
// In full format, adding a field below after, which is null on a delete, makes after an object.
package block

import (
	"fmt"
	"slices"
	"time"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/transformer/expression"
	"slipstream/transformer/finding"
	"slipstream/transformer/path"
)

// Chain is the compiled blocks of a job, immutable.
type Chain []step

// step is a block with its name in messages, for example "transform[2] add_field".
type step struct {
	name string
	block
}

// block changes a record in place. It reports false to drop it.
type block interface {
	apply(r *expression.Runner, record *Record) (keep bool, err error)
	// known carries along what follows from the Redis key alone.
	known(k *Knowledge)
	// mentions lists the paths it looks at.
	mentions() []path.Path
}

// Failure says that a block rejects a record.
type Failure struct {
	// Block is the block, for example "transform[2] add_field".
	Block string
	// Err is why.
	Err error
}

func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Apply runs the blocks. It reports whether the record was kept; the error is a *Failure.
func (c Chain) Apply(r *expression.Runner, record *Record) (kept bool, err error) {
	return c.Watch(r, record, nil)
}

// Watch runs the blocks and tells watch, where it is not nil, of each that has run: its name, and whether it kept the
// record, which must not be changed.
func (c Chain) Watch(r *expression.Runner, record *Record, watch func(block string, kept bool)) (kept bool, err error) {
	for _, s := range c {
		keep, err := s.apply(r, record)
		if err != nil {
			return false, &Failure{Block: s.name, Err: err}
		}
		if watch != nil {
			watch(s.name, keep)
		}
		if !keep {
			return false, nil
		}
	}
	return true, nil
}

// Compile compiles the blocks of a job. Whatever is wrong goes to found; the chain is usable only if nothing is.
func Compile(job *pipelinev1.Job, found *finding.List) Chain {
	chain := make(Chain, 0, len(job.GetTransform()))
	var made map[string]bool
	if types := job.GetSource().GetTypes(); len(types) == 0 || slices.Contains(types, "hash") {
		made = make(map[string]bool)
	}
	for i, b := range job.GetTransform() {
		at := b.GetPath()
		if at == "" {
			at = fmt.Sprintf("transform[%d]", i)
		}
		c := compiler{found: found, full: job.GetRowFormat() == pipelinev1.RowFormat_ROW_FORMAT_FULL, at: at + ".with", made: made}
		name, compiled := c.compile(b)
		if b.GetMap() != nil {
			made = nil // whatever is on the record now is what the map made
		}
		if compiled != nil {
			chain = append(chain, step{name: at + " " + name, block: compiled})
		}
	}
	return chain
}

// compiler compiles one block; at is the path of its with.
type compiler struct {
	found *finding.List
	full  bool
	at    string
	// made are the fields that blocks before have made; nil where no field is known to be one of a hash.
	made map[string]bool
}

func (c *compiler) compile(b *pipelinev1.Block) (string, block) {
	switch {
	case b.GetFilter() != nil:
		return "filter", c.filter(b.GetFilter())
	case b.GetAddField() != nil:
		return "add_field", c.add(b.GetAddField())
	case b.GetRemoveField() != nil:
		return "remove_field", c.remove(b.GetRemoveField())
	case b.GetRenameField() != nil:
		return "rename_field", c.rename(b.GetRenameField())
	case b.GetMap() != nil:
		return "map", c.mapping(b.GetMap())
	case b.GetRedisLookup() != nil:
		return "redis.lookup", c.lookup(b.GetRedisLookup())
	}
	c.found.Error(c.at, "use filter, add_field, remove_field, rename_field, map or redis.lookup", "the block is of no known kind")
	return "", nil
}

// expression compiles an expression at a path below with; nil after a problem.
func (c *compiler) expression(e *pipelinev1.Expression, at string) *expression.Expression {
	compiled, err := expression.Compile(e, !c.full)
	if err != nil {
		c.found.Error(at, c.fix(e), "%v", err)
		return nil
	}
	Lint(c.found, compiled, c.full, at)
	return compiled
}

// cached is expression with a cache (spec 4.9).
func (c *compiler) cached(e *pipelinev1.Expression, at string, cache *pipelinev1.Cache, cacheAt string) *expression.Expression {
	compiled := c.expression(e, at)
	if cache == nil || compiled == nil {
		return compiled
	}
	if compiled.Volatile() {
		c.found.Error(cacheAt, "remove cache:", "the expression gives another result each time, which a cache would not")
		return compiled
	}
	compiled.Keep(cacheOf(cache))
	return compiled
}

func cacheOf(c *pipelinev1.Cache) expression.Cache {
	return expression.Cache{Size: int(c.GetMaxSize()), TTL: time.Duration(c.GetTtlSeconds()) * time.Second}
}

func (c *compiler) fix(e *pipelinev1.Expression) string {
	switch e.GetLanguage() {
	case pipelinev1.Language_LANGUAGE_JMESPATH:
		return "write a JMESPath expression; literals stand in 'quotes' or `backticks`"
	case pipelinev1.Language_LANGUAGE_SQL:
		return "write one SQLite scalar expression; a nested field stands in backticks, `location.bay`"
	}
	return "add language: jmespath or language: sql"
}
