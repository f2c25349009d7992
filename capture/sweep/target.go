package sweep

import (
	"fmt"
	"slices"
	"strings"

	"slipstream/capture/source"
	"slipstream/capture/stream"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Target is what a sweep of a job reads, and where its entries go.
type Target struct {
	Job         string
	Pattern     string
	DB          int
	Hash, JSON  bool
	Streams     []stream.Stream
	Connections []string
	// Foreign jobs have an application's stream: gaps of the recorder do not concern them.
	Foreign bool
	// Rate is the most keys read per second; 0: no limit.
	Rate int
	// Generation is the one that the target is of.
	Generation uint64
}

// Targets returns the targets of the enabled jobs of a pipeline, by job. Partitions is the layout that each is recorded in.
func Targets(p *pipelinev1.Pipeline, src *source.Config, partitions func(*pipelinev1.Job) int) map[string]Target {
	targets := map[string]Target{}
	for _, j := range p.GetJobs() {
		if !j.GetEnabled() {
			continue
		}
		t := TargetOf(j, src)
		t.Streams = stream.OfJob(p.GetName(), j, partitions(j))
		t.Connections = stream.Connections(j)
		t.Rate = int(p.GetSettings().GetSweepRate())
		t.Generation = p.GetGeneration()
		targets[j.GetName()] = t
	}
	return targets
}

// TargetOf is what a sweep of a job reads.
func TargetOf(j *pipelinev1.Job, src *source.Config) Target {
	s := j.GetSource()
	all := len(s.GetTypes()) == 0
	return Target{
		Job:     j.GetName(),
		Pattern: s.GetKeyPattern(),
		DB:      src.Logical(j),
		Hash:    all || slices.Contains(s.GetTypes(), "hash"),
		JSON:    all || slices.Contains(s.GetTypes(), "json"),
		Foreign: s.GetStream() != "",
	}
}

// selection is what a cursor belongs to.
func (t Target) selection() string {
	return fmt.Sprintf("%d/%t/%t/%s", t.DB, t.Hash, t.JSON, t.Pattern)
}

// exact says whether the pattern names one key.
func (t Target) exact() bool { return !strings.ContainsAny(t.Pattern, `*?[\`) }
