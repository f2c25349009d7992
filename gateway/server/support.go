package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	processv1 "slipstream/proto/slipstream/process/v1"

	"slipstream/gateway/redact"
)

const (
	defaultLogLines = 2000
	defaultLogDays  = 2 // spec 7
	// piece is how many bytes of a file travel in one message.
	piece = 1 << 20
)

// SupportPackage implements gatewayv1.GatewayServiceServer. What cannot be had is told in errors.txt, so that a package can be
// made of a line that is half down.
func (s *Server) SupportPackage(
	req *gatewayv1.SupportPackageRequest, stream grpc.ServerStreamingServer[gatewayv1.SupportPackageResponse],
) error {
	name, err := s.named(req.GetPipeline())
	if err != nil {
		return err
	}
	b := &bundle{s: s, name: name, req: req, redact: redact.New()}
	b.send = stream.Send
	b.gather(stream.Context())
	return b.broken
}

// bundle is a support package in the making.
type bundle struct {
	s      *Server
	name   string
	req    *gatewayv1.SupportPackageRequest
	redact *redact.Redactor
	send   func(*gatewayv1.SupportPackageResponse) error
	broken error
	failed bytes.Buffer // errors.txt
}

func (b *bundle) gather(ctx context.Context) {
	b.file("about.json", encode(map[string]any{
		"pipeline": b.name, "gateway_version": b.s.config.Version, "made": b.s.config.Now().UTC().Format(time.RFC3339),
	}))
	// Status before configuration: what is refused there is told by its error.
	now, err := b.s.config.Store.Current(ctx, b.name)
	if b.had("pipeline", err) {
		b.configuration(now.Pipeline)
	}
	res, err := b.s.Status(ctx, &gatewayv1.StatusRequest{Pipeline: b.name})
	if b.had("status.json", err) {
		b.message("status.json", res)
	}
	dlqs, err := b.s.ListDeadLetterStreams(ctx, &gatewayv1.ListDeadLetterStreamsRequest{Pipeline: b.name})
	if b.had("dead-letter-streams.json", err) {
		b.message("dead-letter-streams.json", dlqs)
	}
	findings, err := b.s.Configure(ctx, &gatewayv1.ConfigureRequest{Pipeline: b.name, DryRun: true})
	if b.had("servers.json", err) {
		b.message("servers.json", findings)
	}
	if n := b.req.GetDumpRejected(); n > 0 {
		rejected, err := b.s.ListRejected(WithReader(ctx), &gatewayv1.ListRejectedRequest{Pipeline: b.name, MaxRecords: n})
		if b.had("rejected.json", err) {
			b.message("rejected.json", rejected)
		}
	}
	if b.req.GetTrace() != nil {
		b.trace(ctx)
	}
	b.processes(ctx)
	if b.failed.Len() > 0 {
		b.file("errors.txt", b.failed.Bytes())
	}
}

// had says whether a part could be had, and notes why not.
func (b *bundle) had(part string, err error) bool {
	if err != nil {
		fmt.Fprintf(&b.failed, "%s: %s\n", part, reason(err))
	}
	return err == nil
}

// configuration adds the files of the pipeline and what was compiled from them. It teaches the redactor the secrets that are
// written in clear, before anything else is added.
func (b *bundle) configuration(p *pipelinev1.Pipeline) {
	for _, c := range p.GetConnections() {
		b.redact.Connection(c)
	}
	for _, f := range p.GetFiles() {
		b.file(path.Join("pipeline", f.GetPath()), f.GetText())
	}
	compiled := proto.CloneOf(p)
	compiled.Files = nil // they are beside it
	for _, c := range compiled.GetConnections() {
		redact.Mask(c)
	}
	b.message("pipeline.json", compiled)
}

func (b *bundle) trace(ctx context.Context) {
	req := proto.CloneOf(b.req.GetTrace())
	req.Pipeline = b.name
	var lines bytes.Buffer
	err := b.s.trace(WithReader(ctx), req, func(e *gatewayv1.TraceResponse) error {
		text, err := protojson.Marshal(e)
		lines.Write(append(text, '\n'))
		return err
	})
	b.had("trace.jsonl", err)
	b.file("trace.jsonl", lines.Bytes())
}

// processes adds what each process tells of itself. Services that share a process have one log and one set of metrics.
func (b *bundle) processes(ctx context.Context) {
	lines := b.req.GetLogLines()
	if lines == 0 {
		lines = defaultLogLines
	}
	days := b.req.GetLogDays()
	if days == 0 {
		days = defaultLogDays
	}
	since := b.s.config.Now().Add(-time.Duration(days) * 24 * time.Hour).UnixMilli()
	seen := map[string]bool{}
	ask := func(service string, client processv1.ProcessServiceClient) {
		if client == nil {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, b.s.config.StatusTimeout)
		defer cancel()
		res, err := client.Describe(ctx, &processv1.DescribeRequest{LogLines: lines, LogSinceMs: since, Metrics: true, Goroutines: true})
		if !b.had("processes/"+service, err) {
			return
		}
		folder := path.Join("processes", plain(service+"-"+res.GetInstance()))
		b.file(path.Join(folder, "about.json"), encode(map[string]any{
			"name": res.GetName(), "instance": res.GetInstance(), "version": res.GetVersion(), "go": res.GetGoVersion(),
			"started": time.UnixMilli(res.GetStartedMs()).UTC().Format(time.RFC3339),
		}))
		if seen[res.GetInstance()] {
			return
		}
		seen[res.GetInstance()] = true
		b.file(path.Join(folder, "log.txt"), []byte(strings.Join(res.GetLog(), "\n")))
		b.file(path.Join(folder, "metrics.txt"), res.GetMetrics())
		b.file(path.Join(folder, "goroutines.txt"), res.GetGoroutines())
	}
	ask("gateway", b.s.config.Self)
	for _, service := range b.s.services() {
		ask(service.out.GetName(), service.process)
	}
}

// plain is a name that is fit for a path.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}, name)
}

func (b *bundle) message(name string, m proto.Message) {
	text, err := protojson.MarshalOptions{Multiline: true, UseProtoNames: true, EmitUnpopulated: true}.Marshal(m)
	if b.had(name, err) {
		b.file(name, text)
	}
}

func encode(v map[string]any) []byte {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return []byte(err.Error()) // texts always encode
	}
	return text
}

// file sends a file in pieces, without secrets (G10).
func (b *bundle) file(name string, text []byte) {
	text = b.redact.Text(text)
	for first := true; b.broken == nil && (first || len(text) > 0); first = false {
		n := min(piece, len(text))
		b.broken = b.send(&gatewayv1.SupportPackageResponse{Path: name, Data: text[:n]})
		text = text[n:]
	}
}
