package block

import (
	"encoding/json"
	"slices"
	"time"

	"slipstream/transformer/eval"
	"slipstream/transformer/expression"
	"slipstream/transformer/path"
	"slipstream/transformer/record"
)

// Members of a full record (spec 1.3).
const (
	Key    = "key"
	Before = "before"
	After  = expression.After
	Opcode = "opcode"
)

// FullMembers are all members of a full record.
var FullMembers = []string{Opcode, Key, Before, After, "db", "command", "type", "ts_ms"}

// Record is a record on its way through a job.
type Record struct {
	// Root is what expressions see: the value in partial format, the record of spec 1.3 in full format.
	Root map[string]any
	// Full says which of the two it is.
	Full bool
	// Deleted says that the change removed the key, whatever the blocks make of its opcode.
	Deleted bool
	// Known says, of a deleted partial record, that Root is the value before the delete: a field that is missing there
	// is missing for good, and not just unknown.
	Known bool
	// Seed names the change, the same in each attempt (design D5). It is asked for only where something is drawn.
	Seed func() string
	// Now is when the change was recorded.
	Now time.Time
	// RedisKey is the Redis key, as bytes.
	RedisKey []byte
	// Raw are the values of hash fields that are bytes, by the name of the field: the record has them in base64 (spec 1.6).
	// Nil where there are none.
	Raw map[string][]byte

	doubtful []path.Path
}

// Env is the environment of an evaluation at a place of the job.
func (r *Record) Env(draws bool, place string) eval.Env {
	env := eval.Env{Now: r.Now}
	if draws {
		env.Seed = r.Seed() + "\x00" + place
	}
	return env
}

// Resolve applies the alias of partial records to a path (A3).
func (r *Record) Resolve(p path.Path) path.Path {
	if r.Full {
		return p
	}
	return p.Unalias(r.Root, After)
}

// incomplete tells whether a value the record lacks may still have existed before the delete.
func (r *Record) incomplete() bool { return r.Deleted && !r.Known }

// Missing tells whether one of the paths leads to nothing on a record that may lack what the key held. The whole record
// counts as missing then.
func (r *Record) Missing(references []path.Path) bool {
	if !r.incomplete() {
		return false
	}
	for _, p := range references {
		if p = r.Resolve(p); len(p) == 0 {
			return true
		}
		if _, ok := p.Lookup(r.Root); !ok || r.Doubtful(p) {
			return true
		}
	}
	return false
}

// Null tells whether one of the paths leads to null or to nothing.
func (r *Record) Null(references []path.Path) bool {
	for _, p := range references {
		if value, _ := r.Resolve(p).Lookup(r.Root); value == nil {
			return true
		}
	}
	return r.Missing(references)
}

// Doubtful tells whether the value at the path depends on fields that the record of a delete lacks.
func (r *Record) Doubtful(p path.Path) bool {
	for _, d := range r.doubtful {
		n := min(len(d), len(p))
		if slices.Equal(d[:n], p[:n]) {
			return true
		}
	}
	return false
}

func (r *Record) mark(p path.Path, doubtful bool) {
	r.doubtful = slices.DeleteFunc(r.doubtful, func(d path.Path) bool { return len(d) >= len(p) && slices.Equal(d[:len(p)], p) })
	if doubtful {
		r.doubtful = append(r.doubtful, p)
	}
}

// moveDoubt follows a rename.
func (r *Record) moveDoubt(from, to path.Path) {
	doubtful := r.Doubtful(from)
	r.mark(from, false)
	r.mark(to, doubtful)
}

// Guess tells whether the value an expression gave depends on fields that are missing from the record of a delete. It
// gives them other values and looks whether the result changes.
func (r *Record) Guess(run *expression.Runner, e *expression.Expression, env eval.Env, value any) bool {
	references := e.References()
	if !r.Missing(references) {
		return false
	}
	same := false
	for _, probe := range []any{"\ue000", json.Number("7")} {
		root := record.Clone(any(r.Root))
		if r.Full {
			if full := root.(map[string]any); full[After] == nil {
				full[After] = map[string]any{}
			}
		}
		for _, p := range references {
			if p = r.Resolve(p); len(p) == 0 {
				return true
			}
			if _, ok := p.Lookup(r.Root); ok && !r.Doubtful(p) {
				continue
			}
			if err := p.Set(root, probe); err != nil {
				return true
			}
		}
		result, err := run.Evaluate(e, env, root)
		if err != nil {
			continue
		}
		if !record.Equal(result, value) {
			return true
		}
		same = true
	}
	return !same
}

// put sets a field. Below the null of a deleted after it makes the object.
func (r *Record) put(p path.Path, value any) error {
	if r.Full && r.Deleted && len(p) > 1 && p[0] == After && r.Root[After] == nil {
		r.Root[After] = map[string]any{}
	}
	return p.Set(r.Root, value)
}
