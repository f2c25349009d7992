package recorder

import (
	"fmt"
	"slices"
	"strings"

	"slipstream/capture/flush"
	"slipstream/capture/source"
	"slipstream/capture/stream"
	"slipstream/proto/keyspace"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Plan is what is recorded.
type Plan struct {
	Generation uint64
	Jobs       []Job
	// OnFlush are the jobs that a flush of the source stops, also those whose stream an application writes.
	OnFlush []Flushed
	// Creations says that some job tells c from u.
	Creations bool
}

// Flushed is a job that a flush stops, and its logical database.
type Flushed struct {
	Name string
	DB   int
}

// Job is what is recorded for a job, and where.
type Job struct {
	Name    string
	Pattern string
	DB      int
	Exclude []string // events that are dropped (spec 1.4)
	Hash    bool     // events of hashes matter
	JSON    bool     // events of JSON documents matter
	Each    bool     // every change is recorded with the value read right after it (D1, values: each)
	// Moved says that the job was recorded in other streams before.
	Moved   bool
	Streams []stream.Stream
}

// Selection tells which keys a job's streams hold; when it changes the streams begin anew.
func (j Job) Selection() string { return Selection(j.DB, j.Pattern) }

// Selection of a logical database and a pattern.
func Selection(db int, pattern string) string { return fmt.Sprintf("%d/%s", db, pattern) }

// NewPlan picks from a pipeline the jobs that are recorded: those that are enabled and have no stream of their own. Partitions
// is the layout that each is recorded in.
func NewPlan(p *pipelinev1.Pipeline, src *source.Config, partitions func(*pipelinev1.Job) int) *Plan {
	plan := &Plan{Generation: p.GetGeneration()}
	for _, j := range p.GetJobs() {
		s := j.GetSource()
		if j.GetEnabled() && flush.Stops(j) {
			plan.OnFlush = append(plan.OnFlush, Flushed{Name: j.GetName(), DB: src.Logical(j)})
		}
		if !j.GetEnabled() || s.GetStream() != "" || s.GetKeyPattern() == "" {
			continue
		}
		plan.Creations = plan.Creations || SeesCreations(j)
		all := len(s.GetTypes()) == 0
		plan.Jobs = append(plan.Jobs, Job{
			Name:    j.GetName(),
			Pattern: s.GetKeyPattern(),
			DB:      src.Logical(j),
			Exclude: s.GetExcludeCommands(),
			Hash:    all || slices.Contains(s.GetTypes(), "hash"),
			JSON:    all || slices.Contains(s.GetTypes(), "json"),
			Each:    s.GetValues() == pipelinev1.Values_VALUES_EACH,
			Streams: stream.OfJob(p.GetName(), j, partitions(j)),
		})
	}
	return plan
}

// Partitions is the number of partitions of a pipeline's streams (design D2).
func Partitions(s *pipelinev1.Settings) int {
	if n := int(s.GetPartitions()); n > 0 {
		return n
	}
	return 4
}

// table is a plan as reader and writer use it. It is immutable but for what belongs to the reader.
type table struct {
	plan     *Plan
	patterns map[string]*target // by the pattern subscribed to
	streams  []stream.Stream
	owners   []*tracked // the job of each stream
	jobs     []*tracked
	each     bool // some job wants every value
}

// target is a pattern of keys and the jobs that want them.
type target struct {
	prefix int // length of "__keyspace@<db>__:"
	jobs   []*tracked
	// created is the key of the last event "new", fresh until the event that follows. Both belong to the reader.
	created []byte
	fresh   bool
}

// tracked is a job in a table.
type tracked struct {
	Job
	first   int // index of its first stream in the table
	exclude map[string]struct{}
}

func channelPrefix(db int) string { return fmt.Sprintf("__keyspace@%d__:", db) }

func newTable(plan *Plan) *table {
	t := &table{plan: plan, patterns: map[string]*target{}}
	for _, j := range plan.Jobs {
		tr := &tracked{Job: j, first: len(t.streams), exclude: map[string]struct{}{}}
		for _, name := range j.Exclude {
			tr.exclude[strings.ToLower(name)] = struct{}{}
		}
		t.streams = append(t.streams, j.Streams...)
		for range j.Streams {
			t.owners = append(t.owners, tr)
		}
		t.each = t.each || j.Each
		t.jobs = append(t.jobs, tr)
		prefix := channelPrefix(j.DB)
		to := t.patterns[prefix+j.Pattern]
		if to == nil {
			to = &target{prefix: len(prefix)}
			t.patterns[prefix+j.Pattern] = to
		}
		to.jobs = append(to.jobs, tr)
	}
	return t
}

// partition is the index, in the table, of the stream that takes a key.
func (t *tracked) partition(key []byte) int {
	return t.first + keyspace.Partition(key, len(t.Streams))
}

// wants says whether a job records an event.
func (t *tracked) wants(e *event) bool {
	if (e.kind == ofHash && !t.Hash) || (e.kind == ofJSON && !t.JSON) {
		return false
	}
	if len(t.exclude) == 0 {
		return true
	}
	_, dropped := t.exclude[e.name]
	return !dropped
}
