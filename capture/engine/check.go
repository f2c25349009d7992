package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/deadletter"
	"slipstream/capture/flush"
	"slipstream/capture/recorder"
	"slipstream/capture/source"
	"slipstream/capture/stream"
	"slipstream/proto/keyspace"
	"slipstream/proto/secret"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// checkPatience bounds a check: a source that does not answer is a finding, not a reason to hang.
const checkPatience = 15 * time.Second

// checking gathers what a check finds.
type checking struct {
	out *capturev1.CheckResponse
}

func (c *checking) connection(name string, severity pipelinev1.Severity, message, fix string) {
	c.out.Problems = append(c.out.Problems, &pipelinev1.Problem{
		Severity: severity, Message: message, Fix: fix, Connection: name,
	})
}

func (c *checking) job(job *pipelinev1.Job, path string, severity pipelinev1.Severity, message, fix string) {
	c.out.Problems = append(c.out.Problems, &pipelinev1.Problem{
		Severity: severity, File: job.GetFile(), Path: path, Message: message, Fix: fix, Job: job.GetName(),
	})
}

// configName is the file of connections and settings (spec 2).
const configName = "config.yaml"

const (
	failure = pipelinev1.Severity_SEVERITY_ERROR
	warning = pipelinev1.Severity_SEVERITY_WARNING
)

// Check tries the source of a pipeline that is not deployed yet, and the source part of its jobs. It finds all it can: a
// source that cannot be reached does not hide a job that cannot work.
func (e *Engine) Check(ctx context.Context, p *pipelinev1.Pipeline) *capturev1.CheckResponse {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	c := &checking{out: &capturev1.CheckResponse{}}
	c.letters(p.GetSettings())
	for _, job := range p.GetJobs() {
		c.source(job)
	}
	recorded := slices.ContainsFunc(p.GetJobs(), func(j *pipelinev1.Job) bool {
		return j.GetEnabled() && j.GetSource().GetStream() == ""
	})
	c.out.Method = capturev1.CaptureMethod_CAPTURE_METHOD_NOTIFICATIONS
	if !recorded && len(p.GetJobs()) > 0 {
		c.out.Method = capturev1.CaptureMethod_CAPTURE_METHOD_STREAM
	}
	src := c.config(p, sourceConnection)
	streams := src
	if p.GetConnections()[streamsConnection] != nil {
		streams = c.config(p, streamsConnection)
	}
	if src != nil {
		c.server(ctx, p, src, recorded)
	}
	if streams != nil && streams != src {
		c.streams(ctx, streams)
	}
	return c.out
}

// letters looks whether dead letters can be stored as they are to be: the keys are tried here, where they are used (G10).
func (c *checking) letters(s *pipelinev1.Settings) {
	if _, known := pipelinev1.DeadLetterPayload_name[int32(s.GetDlqPayload())]; known {
		c.out.DlqPayload = s.GetDlqPayload()
	}
	keys := deadletter.KeysOf(s)
	for i, err := range keys.Check() {
		if err == nil {
			continue
		}
		path := "applier.dlq_payload_key"
		if len(keys) > 1 {
			path = fmt.Sprintf("%s[%d]", path, i)
		}
		c.out.Problems = append(c.out.Problems, &pipelinev1.Problem{
			Severity: failure, File: configName, Path: path, Message: err.Error(),
			Fix: "let capture have the key where the reference says: the base64 of 32 bytes, as openssl rand -base64 32 makes them",
		})
	}
}

// config reads a connection; nil when it cannot be used.
func (c *checking) config(p *pipelinev1.Pipeline, name string) *source.Config {
	conn := p.GetConnections()[name]
	if conn == nil {
		c.connection(name, failure, "connections."+name+" is missing",
			"add connections."+name+" with type redis, host and port of the Redis that the application writes to")
		return nil
	}
	resolved, err := secret.Connection(conn)
	if err != nil {
		c.connection(name, failure, err.Error(), "set what the reference names, where capture runs")
		return nil
	}
	config, err := source.Parse(resolved)
	if err != nil {
		for _, one := range split(err) {
			c.connection(name, failure, one.Error(), "")
		}
		return nil
	}
	return config
}

// split takes a joined error apart.
func split(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()
	}
	return []error{err}
}

// server tries the source: that it answers, what it is, and whether it can tell of changes.
func (c *checking) server(ctx context.Context, p *pipelinev1.Pipeline, src *source.Config, recorded bool) {
	rdb := src.Client()
	defer func() { _ = rdb.Close() }()
	facts, err := source.Probe(ctx, rdb)
	if err != nil {
		c.unreachable(sourceConnection, src, err)
		return
	}
	c.out.Server = facts.Server
	if facts.Cluster {
		c.connection(sourceConnection, failure, "the source is a Redis Cluster, which capture by notifications does not follow yet",
			"use a source that is not a cluster")
	}
	if facts.Evicts() && p.GetConnections()[streamsConnection] == nil {
		c.connection(sourceConnection, failure,
			fmt.Sprintf("the source may evict any key (maxmemory-policy %s), the change streams too", facts.Policy),
			"add connections.streams: a Redis that does not evict; or set maxmemory-policy to noeviction or volatile-*")
	}
	for _, job := range p.GetJobs() {
		if facts.Flushes < 0 && job.GetEnabled() && flush.Stops(job) {
			c.job(job, "source.redis.on_flush", warning, "the source does not tell how often it was flushed (INFO commandstats): a flush "+
				"stops the job only where it takes Slipstream's own keys along", "allow INFO commandstats, or write on_flush: ignore")
		}
		if slices.Contains(job.GetSource().GetTypes(), "json") && !facts.JSON {
			c.job(job, "source.redis.types", failure, "the source has no JSON commands: a job on JSON keys would capture nothing",
				"load the JSON module on the source, or remove json from types")
		}
	}
	if !recorded {
		return
	}
	c.events(ctx, rdb)
	c.creations(ctx, rdb, facts, p)
}

// creations warns of jobs that tell c from u on a source that cannot (spec 1.3).
func (c *checking) creations(ctx context.Context, rdb redis.UniversalClient, facts source.Facts, p *pipelinev1.Pipeline) {
	if !slices.ContainsFunc(p.GetJobs(), recorder.SeesCreations) {
		return
	}
	values, err := rdb.ConfigGet(ctx, notifications).Result()
	setting, known := values[notifications]
	why := ""
	switch {
	case strings.Contains(setting, "n"):
		return
	case facts.Major < 7:
		why = facts.Server + " does not tell that a key is new"
	case err != nil || !known:
		why = "the source does not tell whether class n of " + notifications + " is on"
	default:
		if err := rdb.ConfigSet(ctx, notifications, setting).Err(); err == nil { // the value it has: only the permission is tried
			return
		}
		why = "class n of " + notifications + " is off and the server refuses to turn it on"
	}
	for _, job := range p.GetJobs() {
		if recorder.SeesCreations(job) {
			c.job(job, "source.redis", warning, "keys that are made may come with opcode u instead of c: "+why,
				"treat u as c in the job; or turn class n on, which Redis has since 7.0")
		}
	}
}

// notifications is the parameter that turns keyspace events on.
const notifications = "notify-keyspace-events"

// needed are the classes of keyspace events that the recorder listens to, and what they stand for is said there.
const needed = "Kghdxe$"

// events finds out whether the source tells of changes, or lets the recorder turn that on. The setting is not changed.
func (c *checking) events(ctx context.Context, rdb redis.UniversalClient) {
	const parameter = notifications
	line := fmt.Sprintf("set on the source: %s \"%s\" (redis-cli: CONFIG SET %s %s)", parameter, needed, parameter, needed)
	values, err := rdb.ConfigGet(ctx, parameter).Result()
	setting, known := values[parameter]
	if err != nil || !known {
		c.connection(sourceConnection, warning, "the source does not tell whether keyspace events are on: the recorder will try", line)
		return
	}
	lacks := ""
	for _, class := range needed {
		if !strings.ContainsRune(setting, class) && (class == 'K' || !strings.ContainsRune(setting, 'A')) {
			lacks += string(class)
		}
	}
	if lacks == "" {
		return
	}
	if err := rdb.ConfigSet(ctx, parameter, setting).Err(); err != nil { // the value it has: only the permission is tried
		c.connection(sourceConnection, failure,
			fmt.Sprintf("keyspace events %s are off and the server refuses to turn them on: %v", lacks, err), line)
	}
}

// streams tries the Redis that keeps the streams.
func (c *checking) streams(ctx context.Context, streams *source.Config) {
	rdb := streams.Client()
	defer func() { _ = rdb.Close() }()
	facts, err := source.Probe(ctx, rdb)
	if err != nil {
		c.unreachable(streamsConnection, streams, err)
		return
	}
	if facts.Evicts() {
		c.connection(streamsConnection, failure,
			fmt.Sprintf("the Redis of the change streams may evict any key (maxmemory-policy %s)", facts.Policy),
			"set maxmemory-policy to noeviction there")
	}
}

// unreachable says why a Redis cannot be used.
func (c *checking) unreachable(name string, config *source.Config, err error) {
	fix := "check host and port, and that the server runs"
	var refusal redis.Error
	if errors.As(err, &refusal) {
		code, _, _ := strings.Cut(refusal.Error(), " ")
		switch code {
		case "NOAUTH", "WRONGPASS":
			fix = "check user and password"
		case "NOPERM":
			fix = "`slipstream configure` says what the user must be allowed"
		}
	}
	c.connection(name, failure, fmt.Sprintf("%s at %s: %v", name, config.Addr(), err), fix)
}

// source checks what needs no server.
func (c *checking) source(job *pipelinev1.Job) {
	s := job.GetSource()
	pattern := s.GetKeyPattern()
	switch {
	case s.GetStream() != "":
		if keyspace.Internal([]byte(s.GetStream())) {
			c.job(job, "source.redis.stream", failure, fmt.Sprintf("%q is a key of Slipstream's own", s.GetStream()),
				"name the stream that the application writes")
		}
	case pattern == "":
		c.job(job, "source.redis.key_pattern", failure, "key_pattern is missing", "write the pattern of the keys, for example emp:*")
	case keyspace.Internal([]byte(pattern)):
		c.job(job, "source.redis.key_pattern", failure,
			fmt.Sprintf("key_pattern %q matches only keys of Slipstream's own, which are never captured", pattern),
			"write the pattern of the application's keys")
	}
	if s.GetStream() == "" {
		c.notifications(job)
	}
	if job.GetEnabled() && len(stream.Connections(job)) == 0 {
		c.job(job, "output", failure, "the job writes nowhere", "add an output")
	}
}
