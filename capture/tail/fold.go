package tail

import (
	"slices"
	"strings"

	"slipstream/capture/stream"
	changev1 "slipstream/proto/slipstream/change/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// policy is what a job says about removals and types.
type policy struct {
	expireDeletes bool // an expired key deletes its row (spec 1.5)
	evictDeletes  bool // so does an evicted one
	derivable     bool // the rows of a key are known without its value: a key of another type can be a delete (D1)
	hash, json    bool // types the job takes
	each          bool // every entry is a change of its own (D1, values: each)
	db            uint32
	connection    string  // of the lane
	choice        *choice // nil: every entry belongs to the job
}

// policyOf is the policy of a lane. indexed says that its target keeps a row index, which knows the rows of a key.
func policyOf(s *pipelinev1.Source, db uint32, connection string, indexed bool) policy {
	return policy{
		expireDeletes: s.GetOnExpire() == pipelinev1.RemovalPolicy_REMOVAL_POLICY_DELETE,
		evictDeletes:  s.GetOnEvict() == pipelinev1.RemovalPolicy_REMOVAL_POLICY_DELETE,
		derivable:     indexed || len(s.GetKeys().GetFields()) > 0,
		each:          s.GetValues() == pipelinev1.Values_VALUES_EACH,
		connection:    connection,
		hash:          len(s.GetTypes()) == 0 || slices.Contains(s.GetTypes(), "hash"),
		json:          len(s.GetTypes()) == 0 || slices.Contains(s.GetTypes(), "json"),
		db:            db,
		choice:        choiceOf(s),
	}
}

// takes says whether an entry belongs to the lane.
func (p *policy) takes(e *stream.Entry) bool {
	return (e.Connection == "" || e.Connection == p.connection) && p.choice.takes(e)
}

// run is a maximal series of entries of one key that become one change: either entries whose value is read from the key,
// or a single entry that carries its value or says what was found instead of one.
type run struct {
	key     []byte
	carried *stream.Entry // the entry that carries its value; nil: the value is read
	known   bool          // nothing is read: what was at the key is found
	found   kind
	asOf    stream.ID // the change whose value is repeated; zero: none
	replay  bool      // a dead letter is repeated (spec 9.4): the run only asks whether its key is there

	main        bool      // some entry is of the main stream; id is then the newest of those
	id          stream.ID // newest entry
	ms, firstMs int64
	command     string
	before      []byte // what the oldest entry knew of the value before
	traceparent string
	folded      uint32
	first       int   // index of its oldest entry
	probe       int   // index of the read of its value
	earlier     int   // index of the key's run before it, -1 where there is none
	rank        uint8 // what is applied first: see order

	created    bool // the first main entry says that the key came into being
	removed    bool // an explicit removal, or one by the server that the job's policy makes one (G7)
	maybe      bool // the last entry may have removed the key and has no other entry for that
	written    bool // a value was written and no removal of it followed: it exists, or its removal has an entry to come
	vanished   bool // the server removed a value (expired, evicted) that the policy keeps in the target
	unread     bool // … and nobody had read that value: it was written in this run
	json       bool // the newest hint says JSON
	superseded bool // a run of the same key that carries its value follows: nothing is read
}

// fold gathers the entries of a batch by key. Entries are in stream order, those of the side stream in their own. Runs
// come in the order of their oldest entries; order sorts them by their newest. At most one run a key has its value read, unless
// every change counts; entries that carry their value are never folded (D1).
type fold struct {
	runs   []run
	latest map[string]int // index of a key's latest run
	brings bool           // some entry of the main stream brought its value
	faults []stream.Entry // entries that cannot be understood
}

func (f *fold) reset() {
	clear(f.runs)
	clear(f.faults)
	f.runs, f.faults = f.runs[:0], f.faults[:0]
	if f.latest == nil {
		f.latest = make(map[string]int)
	}
	clear(f.latest)
	f.brings = false
}

// reads says whether the run asks its key: for its value, or in a replay as recorded whether it is there.
func (r *run) reads() bool {
	return r.replay || (r.carried == nil && !r.known && !r.superseded)
}

// repeats says whether an entry is a dead letter on its way again: a value as it was recorded, or a delete.
func repeats(e *stream.Entry) bool { return !e.AsOf.IsZero() || (e.Side && e.Op == stream.OpDelete) }

// gather folds entries; earlier results are forgotten.
func (f *fold) gather(entries []stream.Entry, p *policy) {
	f.reset()
	for i := range entries {
		e := &entries[i]
		if e.Fault != "" {
			f.faults = append(f.faults, *e)
			continue
		}
		if !p.takes(e) {
			continue // it is accounted for, like all of the batch
		}
		if repeats(e) { // it says nothing of the present, so it stands for itself
			f.add(begin(e, p, true), i, -1)
			continue
		}
		at, seen := f.latest[string(e.Key)]
		if !seen {
			at = -1
		}
		if seen && f.joins(&f.runs[at], e, p) {
			f.runs[at].add(e, p)
			continue
		}
		if e.Carries {
			for j := at; j >= 0 && f.runs[j].carried == nil; j = f.runs[j].earlier {
				f.runs[j].superseded = true
			}
		}
		f.latest[string(e.Key)] = len(f.runs)
		f.add(begin(e, p, seen), i, at)
	}
}

func (f *fold) add(r run, first, earlier int) {
	r.first, r.earlier = first, earlier
	f.brings = f.brings || (r.main && (r.carried != nil || r.known))
	f.runs = append(f.runs, r)
}

// joins says whether an entry becomes part of the latest run of its key. Where every change counts, only what sweeps and
// replays ask to be read again is folded.
func (f *fold) joins(r *run, e *stream.Entry, p *policy) bool {
	if r.carried != nil || r.known || e.Carries || e.Found != stream.FoundUnknown {
		return false
	}
	return !p.each || (e.Side && !r.main)
}

// order puts the runs into the order in which they are applied: dead letters that are repeated are older than all others;
// then what changed. What sweeps alone have read is of the present: it comes after values that entries brought, which may be
// older, and else before all that is read, so that what a key's entries say of it has the last word.
func (f *fold) order() {
	for i := range f.runs {
		r := &f.runs[i]
		switch {
		case r.replay:
			r.rank = 0
		case r.main:
			r.rank = 2
		case f.brings:
			r.rank = 3
		default:
			r.rank = 1
		}
	}
	slices.SortStableFunc(f.runs, func(a, b run) int {
		if a.rank != b.rank {
			return int(a.rank) - int(b.rank)
		}
		return a.id.Compare(b.id)
	})
}

// begin starts a run; again says that another run of the key came before it in the batch.
func begin(e *stream.Entry, p *policy, again bool) run {
	r := run{key: e.Key, firstMs: e.Ms, before: e.Before}
	if e.Carries {
		r.carried = e
	}
	switch {
	case repeats(e):
		r.replay, r.asOf = true, e.AsOf
	case e.Found == stream.FoundOther:
		r.known, r.found = true, kindOther
	case e.Found == stream.FoundNothing, p.each && e.Op.Gone():
		r.known, r.found = true, kindMissing // what is at the key by now is another change
	}
	r.add(e, p)
	r.created = r.created && !again
	return r
}

func (r *run) add(e *stream.Entry, p *policy) {
	if !e.Side {
		if !r.main {
			r.id, r.command, r.created = e.ID, e.Command, e.Op == stream.OpCreate
			r.main = true
		}
		r.id, r.command = e.ID, e.Command
	} else if !r.main {
		r.id, r.command = e.ID, e.Command
	}
	r.folded++
	r.ms, r.firstMs = max(r.ms, e.Ms), min(r.firstMs, e.Ms)
	if e.Traceparent != "" {
		r.traceparent = e.Traceparent
	}
	if e.Type != "" {
		r.json = e.Type == "json"
	} else if e.Command != "" {
		r.json = strings.HasPrefix(e.Command, "json.")
	}
	switch e.Op {
	case stream.OpCreate, stream.OpUpdate:
		r.written, r.maybe = true, false
	case stream.OpMayDelete:
		r.written, r.maybe = true, true
	case stream.OpDelete:
		r.removed, r.written, r.maybe = true, false, false
	case stream.OpExpire:
		r.gone(p.expireDeletes)
	case stream.OpEvict:
		r.gone(p.evictDeletes)
	case stream.OpRead: // a sweep saw the key: whatever removes it has an entry of its own
	}
}

// gone notes a removal by the server.
func (r *run) gone(deletes bool) {
	if deletes {
		r.removed = true
	} else {
		r.vanished, r.unread = true, r.unread || r.written
	}
	r.written, r.maybe = false, false
}

// op is the operation of a run whose value exists (spec 1.3).
func (r *run) op() changev1.Op {
	switch {
	case !r.main:
		return changev1.Op_OP_READ
	case r.created:
		return changev1.Op_OP_CREATE
	}
	return changev1.Op_OP_UPDATE
}

// fate is what becomes of a run once it is known what is at its key.
type fate int

const (
	fateUpsert  fate = iota // write the value
	fateDelete              // delete the row
	fatePending             // nothing: the removal has an entry of its own, still to come
	fateNothing             // nothing: the target is right as it is
	fateUnread              // a dead letter: the value expired before it was read (D1, G1)
	fateSkipped             // nothing: the key is neither hash nor JSON; counted
)

// decide applies the rules of design D1 to a run whose value is read. unread says that an earlier batch found the key
// missing with its removal still to come.
func (r *run) decide(found kind, p *policy, unread bool) fate {
	switch found {
	case kindHash, kindJSON:
		if (found == kindHash && p.hash) || (found == kindJSON && p.json) {
			return fateUpsert
		}
	case kindMissing:
		switch {
		case r.removed, r.maybe:
			return fateDelete // G7: an explicit removal is among the entries
		case r.written:
			return fatePending
		case r.vanished && (r.unread || unread):
			return fateUnread
		}
		return fateNothing
	}
	// Another type than the job takes is at the key.
	if r.removed || (p.derivable && r.main) {
		return fateDelete
	}
	return fateSkipped
}

// again is the fate of a dead letter that is repeated. What is written needs a key to be there, as a removal that came
// after it leaves nothing in the row index that would tell; what is deleted needs it to be gone (G4, G7).
func (r *run) again(found kind) fate {
	switch {
	case r.carried == nil && found == kindMissing:
		return fateDelete
	case r.carried != nil && found != kindMissing:
		return fateUpsert
	}
	return fateNothing
}

// carry is the fate of a run that carries its value.
func (r *run) carry() fate {
	switch r.carried.Op {
	case stream.OpCreate, stream.OpUpdate, stream.OpRead, stream.OpMayDelete:
		return fateUpsert // text that is not JSON is for the transformer to reject
	}
	if r.removed {
		return fateDelete
	}
	return fateNothing
}
