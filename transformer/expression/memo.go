package expression

import (
	"encoding/binary"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"slipstream/transformer/record"
)

// Cache says how long results are kept and how many (spec 4.9). The zero value keeps nothing.
type Cache struct {
	Size int
	TTL  time.Duration
}

// Keep makes Runners keep results of the expression, by the values of the fields it looks at. It must be called before
// the expression is used, and not for one that is Volatile.
func (e *Expression) Keep(c Cache) { e.cache = c }

// Kept is the cache of the expression.
func (e *Expression) Kept() Cache { return e.cache }

// Memo is a bounded map of results that grow old. It is not safe for concurrent use.
type Memo struct {
	ttl  time.Duration
	now  func() time.Time
	kept *simplelru.LRU[string, memory]
}

type memory struct {
	value any
	until time.Time
}

// NewMemo makes a map for results of a cache; nil where that keeps nothing. now is the clock.
func NewMemo(c Cache, now func() time.Time) *Memo {
	if c.Size <= 0 || c.TTL <= 0 {
		return nil
	}
	kept, err := simplelru.NewLRU[string, memory](c.Size, nil)
	if err != nil {
		return nil // only a size of 0 fails
	}
	return &Memo{ttl: c.TTL, now: now, kept: kept}
}

// Get gives a result that is kept still.
func (m *Memo) Get(key string) (any, bool) {
	if m == nil {
		return nil, false
	}
	found, ok := m.kept.Get(key)
	if ok && m.now().After(found.until) {
		m.kept.Remove(key)
		return nil, false
	}
	return found.value, ok
}

// Put keeps a result.
func (m *Memo) Put(key string, value any) {
	if m != nil {
		m.kept.Add(key, memory{value, m.now().Add(m.ttl)})
	}
}

// seen is what an expression sees of a record: the values at its references, each with its length in front.
func (e *Expression) seen(root any) string {
	var key, value []byte
	for _, p := range e.References() {
		if e.partial {
			p = p.Unalias(root, After)
		}
		found, ok := p.Lookup(root)
		if !ok {
			key = append(key, 0) // a field that is missing is not one that is null: no value has length 0
			continue
		}
		value = record.Append(value[:0], found)
		key = append(binary.AppendUvarint(key, uint64(len(value))), value...)
	}
	return string(key)
}

// memo finds the results kept of an expression.
func (r *Runner) memo(e *Expression) *Memo {
	if e.cache.Size == 0 {
		return nil
	}
	m := r.memos[e]
	if m == nil {
		if r.memos == nil {
			r.memos = make(map[*Expression]*Memo)
		}
		m = NewMemo(e.cache, r.Clock())
		r.memos[e] = m
	}
	return m
}

// Clock is the clock that caches go by.
func (r *Runner) Clock() func() time.Time {
	if r.Now != nil {
		return r.Now
	}
	return time.Now
}

// Replies finds what is kept for something that is no expression, such as the replies of a lookup.
func (r *Runner) Replies(of any, c Cache) *Memo {
	m, known := r.replies[of]
	if !known {
		if r.replies == nil {
			r.replies = make(map[any]*Memo)
		}
		m = NewMemo(c, r.Clock())
		r.replies[of] = m
	}
	return m
}
