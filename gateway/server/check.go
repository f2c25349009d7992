package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/gateway/compile"
	"slipstream/gateway/configfile"
)

// findings gathers what the stages say; they are asked at the same time.
type findings struct {
	mu       sync.Mutex
	problems []*pipelinev1.Problem
	// unplaced belong to no file: a stage that cannot be asked.
	unplaced []*pipelinev1.Problem
	tables   map[tableKey]*applierv1.Table
	analyses map[tableKey]*transformerv1.OutputAnalysis
	plan     plan
	// given are the columns that outputs keep whose target cannot be reached.
	given columns
}

// plan is what would be created, by connection.
type plan map[string][]*applierv1.Statement

// tableKey names an output.
type tableKey struct {
	job    string
	output uint32
}

func (f *findings) add(problems ...*pipelinev1.Problem) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.problems = append(f.problems, problems...)
}

func (f *findings) silent(what, address string, err error, flag string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := ""
	if address != "" {
		at = " at " + address
	}
	f.unplaced = append(f.unplaced, &pipelinev1.Problem{
		Severity: pipelinev1.Severity_SEVERITY_ERROR, Message: fmt.Sprintf("%s%s cannot be asked: %s", what, at, reason(err)),
		Fix: "start it, or give the gateway its address with " + flag,
	})
}

func (f *findings) missing(what, flag string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unplaced = append(f.unplaced, &pipelinev1.Problem{
		Severity: pipelinev1.Severity_SEVERITY_ERROR, Message: "the gateway knows no " + what,
		Fix: "start one and give the gateway its address with " + flag,
	})
}

// stages says which services are asked.
type stages struct {
	capture, appliers bool
	deployed          *pipelinev1.Pipeline // what stands where a target cannot be reached; nil: nothing
}

var (
	everyStage = stages{capture: true, appliers: true}
	// nothingElse asks the transformer alone, which needs nothing but itself; a gateway without one then checks the form.
	nothingElse = stages{}
)

func (a stages) all() bool { return a.capture && a.appliers }

// check compiles the files and lets the stages check their parts of what is well-formed (spec 3.7). The transformer comes
// first: what it says of an output decides whether the applier keeps a row index for it.
func (s *Server) check(ctx context.Context, name string, files []*pipelinev1.File, ask stages) (*compile.Result, plan) {
	r := compile.Files(name, files, s.config.Resolve)
	f := &findings{tables: make(map[tableKey]*applierv1.Table), analyses: make(map[tableKey]*transformerv1.OutputAnalysis), plan: plan{}, given: columns{}}
	ctx, cancel := context.WithTimeout(ctx, s.config.CheckTimeout)
	defer cancel()
	s.comeBack(ctx, r, ask)
	if s.config.Transformer.Client != nil || ask.appliers {
		s.checkTransform(ctx, r, f)
	}
	keepIndexes(r.Pipeline, f)
	var all sync.WaitGroup
	if ask.capture {
		all.Go(func() { s.checkCapture(ctx, r, f) })
	}
	if ask.appliers {
		for _, connection := range targets(r.Pipeline) {
			all.Go(func() { s.checkApply(ctx, r, connection, ask.deployed, f) })
		}
	}
	all.Wait()
	if ask.all() && !compile.Failed(f.problems) && !compile.Failed(r.Problems) && len(f.unplaced) == 0 {
		s.inferTables(ctx, r, f)
	}
	r.Problems = append(r.Problems, f.unplaced...)
	r.Merge(f.problems)
	if ask.appliers && !compile.Failed(r.Problems) {
		fillColumns(r, f.tables)
		for out, given := range f.given {
			out.GetRelational().Columns = given
		}
	}
	return r, f.plan
}

// targets are the well-formed connections that outputs write to, by name.
func targets(p *pipelinev1.Pipeline) []*pipelinev1.Connection {
	used := make(map[string]*pipelinev1.Connection)
	for _, job := range p.GetJobs() {
		for _, out := range job.GetOutputs() {
			c := p.GetConnections()[out.GetConnection()]
			if c != nil && configfile.Available(c.GetType()) {
				used[c.GetName()] = c
			}
		}
	}
	out := make([]*pipelinev1.Connection, 0, len(used))
	for _, name := range slices.Sorted(maps.Keys(used)) {
		out = append(out, used[name])
	}
	return out
}

// checkCapture asks the first capture instance that answers: they all see the same source. Where dead letters are not kept
// in clear it asks all: each needs the keys, and one that knows nothing of this would keep them in clear.
func (s *Server) checkCapture(ctx context.Context, r *compile.Result, f *findings) {
	instances := s.config.CaptureNow()
	if len(instances) == 0 {
		f.missing("capture service", "--capture")
		return
	}
	if r.Pipeline.GetConnections()[configfile.Source] == nil {
		return // its problem is known, and without it capture has nothing to try
	}
	p := proto.CloneOf(r.Pipeline)
	p.Jobs = slices.DeleteFunc(p.GetJobs(), func(job *pipelinev1.Job) bool { return !r.Captured[job.GetName()] })
	var err error
	answered := false
	for _, peer := range instances {
		res, failed := peer.Client.Check(ctx, &capturev1.CheckRequest{Pipeline: p}, grpc.WaitForReady(false))
		if failed != nil {
			err = failed
			if guarded(p) {
				f.add(letterProblem(pipelinev1.Severity_SEVERITY_WARNING, fmt.Sprintf(
					"capture at %s does not answer: whether it does with dead letters what dlq_payload says is not known", peer.Address)))
			}
			continue
		}
		answered = true
		for _, found := range res.GetProblems() {
			if found.GetJob() == "" && found.GetConnection() == "" && found.GetFile() == "" {
				found.Connection = configfile.Source
			}
			f.add(found)
		}
		if !guarded(p) {
			return
		}
		if res.GetDlqPayload() != p.GetSettings().GetDlqPayload() {
			f.add(letterProblem(pipelinev1.Severity_SEVERITY_ERROR, fmt.Sprintf(
				"capture at %s is of a version that knows no dlq_payload: it would keep dead letters in clear", peer.Address)))
		}
	}
	if answered {
		return
	}
	addresses := make([]string, 0, len(instances))
	for _, peer := range instances {
		addresses = append(addresses, peer.Address)
	}
	f.silent("capture", strings.Join(addresses, ", "), err, "--capture")
}

// letterProblem is one with dlq_payload and the capture instances.
func letterProblem(severity pipelinev1.Severity, message string) *pipelinev1.Problem {
	return &pipelinev1.Problem{
		Severity: severity, File: compile.ConfigFile, Path: "applier.dlq_payload", Message: message,
		Fix: "upgrade and start every capture instance first, then deploy",
	}
}

func (s *Server) checkTransform(ctx context.Context, r *compile.Result, f *findings) {
	peer := s.config.Transformer
	if peer.Client == nil {
		f.missing("transformer", "--transformer")
		return
	}
	for _, job := range r.Pipeline.GetJobs() {
		res, err := peer.Client.Check(ctx, &transformerv1.CheckRequest{Job: job})
		if err != nil {
			f.silent("the transformer", peer.Address, err, "--transformer")
			return
		}
		for _, found := range res.GetProblems() {
			found.Job = job.GetName()
			f.add(found)
		}
		for _, a := range res.GetOutputs() {
			f.analyses[tableKey{job.GetName(), a.GetOutput()}] = a
		}
	}
}

func (s *Server) checkApply(ctx context.Context, r *compile.Result, c *pipelinev1.Connection, deployed *pipelinev1.Pipeline, f *findings) {
	peer, known := s.config.Appliers[c.GetType()]
	if !known {
		f.add(&pipelinev1.Problem{
			Severity: pipelinev1.Severity_SEVERITY_ERROR, Connection: c.GetName(),
			Message: fmt.Sprintf("the gateway knows no applier for connections of type %s", c.GetType()),
			Fix:     fmt.Sprintf("start one and give the gateway its address with --appliers %s=<host>:<port>", c.GetType()),
		})
		return
	}
	res, err := peer.Client.Check(ctx, &applierv1.CheckRequest{
		Connection: c, Jobs: r.Pipeline.GetJobs(), Settings: r.Pipeline.GetSettings(),
	})
	if err != nil {
		f.silent("the applier for "+c.GetType(), peer.Address, err, "--appliers")
		return
	}
	given, stands := columns(nil), false
	if res.GetFault() == flowv1.FaultClass_FAULT_CLASS_CONNECTION {
		given, stands = standing(deployed, r, c)
	}
	for _, found := range res.GetProblems() {
		if found.GetJob() == "" && found.GetConnection() == "" {
			found.Connection = c.GetName()
		}
		if stands && found.GetSeverity() == pipelinev1.Severity_SEVERITY_ERROR {
			found.Severity = pipelinev1.Severity_SEVERITY_WARNING
			found.Message += "; nothing that is written to it changes, so what was found when it was deployed stands"
		}
		f.add(found)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if stands {
		maps.Copy(f.given, given)
		return
	}
	f.plan[c.GetName()] = res.GetPlan()
	for _, table := range res.GetTables() {
		f.tables[tableKey{table.GetJob(), table.GetOutput()}] = table
	}
}
