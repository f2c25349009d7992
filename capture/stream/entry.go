package stream

// Op is what an entry says about its key; the letter is what stands in the field "op". docs/entry-format.md is the
// contract with applications.
type Op byte

// The ops.
const (
	// OpCreate: the key came into being.
	OpCreate Op = 'c'
	// OpUpdate: the key was written; whether it existed before may be unknown.
	OpUpdate Op = 'u'
	// OpDelete: the key was removed by a command (design D1, G7).
	OpDelete Op = 'd'
	// OpMayDelete: a command that may have removed the key and has no entry of its own for that, as JSON.DEL. A key
	// found missing was removed by it, unless an entry that explains it better follows.
	OpMayDelete Op = 'm'
	// OpExpire: the server removed the key at the end of its life.
	OpExpire Op = 'x'
	// OpEvict: the server removed the key for want of memory.
	OpEvict Op = 'e'
	// OpRead: a sweep found the key, or a replay asks for it. Side streams hold these, and deletes that are replayed.
	OpRead Op = 'r'
)

// Valid says whether the letter is an op.
func (o Op) Valid() bool {
	switch o {
	case OpCreate, OpUpdate, OpDelete, OpMayDelete, OpExpire, OpEvict, OpRead:
		return true
	}
	return false
}

// Removes says whether the entry is itself an explicit removal.
func (o Op) Removes() bool { return o == OpDelete }

// Gone says whether the key was gone after the entry, whoever removed it.
func (o Op) Gone() bool { return o == OpDelete || o == OpExpire || o == OpEvict }

// Writes says whether the key existed after the entry, as far as the entry tells.
func (o Op) Writes() bool { return o == OpCreate || o == OpUpdate || o == OpRead || o == OpMayDelete }

// Entry is one entry of a change stream. Its byte slices live as long as the Batch they came in.
type Entry struct {
	ID   ID
	Side bool // from the side stream
	Key  []byte
	Op   Op
	// Command is the command or event, lower case; empty when the entry does not tell.
	Command string
	// Type is "hash" or "json"; empty when the entry does not tell.
	Type string
	// Ms is when the entry was made, Unix milliseconds.
	Ms int64
	// After and Before are JSON documents that the entry carries; nil: the value is read from the key.
	After, Before []byte
	// Hash is a hash that the entry carries, packed: see Pack. Nil: it carries none.
	Hash []byte
	// Carries says that the entry brings its value along, so that nothing is to be read.
	Carries bool
	// Found is what the recorder found at the key where that was no value (jobs with values: each).
	Found Found
	// AsOf is the main ID of the change whose value the entry repeats, in side streams only: a dead letter replayed as it
	// was recorded (spec 9.4). Zero for all other entries.
	AsOf ID
	// Connection is the only one whose lanes the entry is for, in side streams only; empty: all.
	Connection string
	// Traceparent is the W3C trace context of the write.
	Traceparent string
	// Fault says why the entry cannot be understood; only ID and Side, and Key where there is one, are set then. Such an
	// entry becomes a dead letter; it never stops a lane (G5).
	Fault string
}

// Found is what was at a key when the recorder read it, as the field "found" of an entry says.
type Found byte

// What there may be but a value.
const (
	// FoundUnknown: the recorder did not look, or the entry carries what it found.
	FoundUnknown Found = iota
	// FoundNothing: there was no such key any more.
	FoundNothing
	// FoundOther: there was a key of another type.
	FoundOther
)

// Texts of the field "found".
const (
	TextNothing = "nothing"
	TextOther   = "other"
)
