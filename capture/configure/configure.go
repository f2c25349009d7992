// Package configure looks at the servers that capture works with, the source and where the change streams are, says what
// they are, allow and lack, and changes what it may (spec 7).
//
// The words:
//
//   - finding: one thing that matters about a server, and how it is to be taken.
//   - trial: a command that capture needs, queued in a transaction that is discarded: the server checks the permission for
//     command and keys, and nothing is run.
//
// Promises: nothing but parameters of the server is ever changed, each only to what contains its old value, and nothing on
// a dry run. No key is written. A finding that needs something done says what.
//
// Neighbours: the engine's Check refuses what cannot work before a deploy; this says more, on demand.
package configure

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/source"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// States of findings.
const (
	good    = capturev1.FindingState_FINDING_STATE_OK
	changed = capturev1.FindingState_FINDING_STATE_CHANGED
	warning = capturev1.FindingState_FINDING_STATE_WARNING
	failure = capturev1.FindingState_FINDING_STATE_ERROR
)

// Request says what to look at.
type Request struct {
	// Pipeline is the pipeline as compiled.
	Pipeline *pipelinev1.Pipeline
	// Source is where the keys are, Streams where the change streams are; the same where there is no other.
	Source, Streams *source.Config
	// DryRun changes nothing.
	DryRun bool
}

// run is one look.
type run struct {
	Request
	findings []*capturev1.Finding
}

// server is a server that is looked at.
type server struct {
	*run
	name             string // of its connection
	config           *source.Config
	rdb              *redis.Client
	facts            source.Facts
	source, streams  bool // what it is used for
	info             map[string]string
	configRefused    error // why CONFIG GET cannot be used
	parameters       map[string]string
	recorded, wanted bool // jobs are recorded; jobs want JSON
}

// Run looks at the servers. What cannot be reached is a finding too.
func Run(ctx context.Context, r Request) []*capturev1.Finding {
	x := &run{Request: r}
	shared := r.Streams == r.Source
	x.look(ctx, &server{run: x, name: "source", config: r.Source, source: true, streams: shared})
	if !shared {
		x.look(ctx, &server{run: x, name: "streams", config: r.Streams, streams: true})
	}
	return x.findings
}

func (x *run) look(ctx context.Context, s *server) {
	s.rdb = s.config.Client()
	defer func() { _ = s.rdb.Close() }() // nothing is under way
	for _, job := range x.Pipeline.GetJobs() {
		s.recorded = s.recorded || job.GetEnabled() && job.GetSource().GetStream() == ""
		s.wanted = s.wanted || slices.Contains(job.GetSource().GetTypes(), "json")
	}
	var err error
	if s.facts, err = source.Probe(ctx, s.rdb); err != nil {
		s.unreachable(err)
		return
	}
	s.read(ctx)
	s.version()
	s.role()
	if s.source {
		s.modules()
		s.events(ctx)
		s.backlog(ctx)
	}
	s.eviction()
	if s.streams {
		s.persistence()
	}
	s.permissions(ctx)
}

func (s *server) find(f *capturev1.Finding) {
	f.Connection = s.name
	s.findings = append(s.findings, f)
}

// unreachable says why a server cannot be looked at.
func (s *server) unreachable(err error) {
	fix := "check host and port, and that the server runs"
	var refusal redis.Error
	if errors.As(err, &refusal) {
		fix = "check user and password"
		if strings.HasPrefix(refusal.Error(), "NOPERM ") {
			s.facts.JSON = s.wanted // the server could not be asked
			fix = s.allow()
		}
	}
	s.find(&capturev1.Finding{
		Subject: "connection", State: failure, Found: s.config.Addr(), Message: err.Error(), Fix: fix,
	})
}
