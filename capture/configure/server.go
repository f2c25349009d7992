package configure

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	capturev1 "slipstream/proto/slipstream/capture/v1"
)

// read gathers what the server tells of itself. What a managed service refuses to tell stays empty.
func (s *server) read(ctx context.Context) {
	s.info = info(s.rdb.Do(ctx, "INFO", "everything").Val())
	s.parameters = map[string]string{}
	for _, name := range []string{notify, "save", backlogSize} {
		values, err := s.rdb.ConfigGet(ctx, name).Result()
		if err != nil {
			s.configRefused = err
			return
		}
		for k, v := range values {
			s.parameters[k] = v
		}
	}
}

func info(answer any) map[string]string {
	text, _ := answer.(string)
	out := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			out[name] = value
		}
	}
	return out
}

func (s *server) number(name string) uint64 {
	n, err := strconv.ParseUint(s.info[name], 10, 64)
	if err != nil {
		return 0 // it does not tell
	}
	return n
}

// version says whether the server is new enough: XTRIM MINID came with Redis 6.2, exact lags of groups with 7.0.
func (s *server) version() {
	f := &capturev1.Finding{Subject: "version", State: good, Found: cmp.Or(s.facts.Server, "unknown")}
	product, number, _ := strings.Cut(s.facts.Server, " ")
	major, minor := parts(number)
	switch {
	case product != "Redis":
	case major < 6 || major == 6 && minor < 2:
		f.State, f.Wanted = failure, "Redis 6.2 or newer, or Valkey"
		f.Message, f.Fix = "change streams are trimmed by XTRIM MINID, which this server does not know", "upgrade the server"
	case major < 7:
		f.State, f.Wanted = warning, "Redis 7.0 or newer, or Valkey"
		f.Message, f.Fix = "XINFO GROUPS shows no lag on this server; status still does", "upgrade the server"
	}
	s.find(f)
}

func parts(version string) (major, minor int) {
	a, rest, _ := strings.Cut(version, ".")
	b, _, _ := strings.Cut(rest, ".")
	major, _ = strconv.Atoi(a) // what is no number is taken for 0
	minor, _ = strconv.Atoi(b)
	return major, minor
}

func (s *server) role() {
	f := &capturev1.Finding{Subject: "role", State: good, Found: cmp.Or(s.facts.Role, "unknown")}
	switch {
	case s.facts.Cluster:
		f.State, f.Found = failure, "cluster"
		f.Message, f.Fix = "a Redis Cluster is not followed yet", "use a server that is not a cluster"
	case s.facts.Role == "slave" && s.streams:
		f.State, f.Wanted = failure, "master"
		f.Message = "a replica takes no writes, and change streams are written here"
		f.Fix = "name the primary, or keep the streams elsewhere with connections.streams"
	}
	s.find(f)
}

func (s *server) modules() {
	f := &capturev1.Finding{Subject: "module json", State: good, Found: "loaded"}
	if !s.facts.JSON {
		f.Found = "none"
		f.Message = "documents are not captured; no job asks for them"
		if s.wanted {
			f.State, f.Wanted = failure, "loaded"
			f.Message, f.Fix = "a job captures JSON documents, and the server has no JSON commands", "load the JSON module, or remove json from types"
		}
	}
	s.find(f)
}

// eviction says whether keys may vanish for want of memory (design D2).
func (s *server) eviction() {
	f := &capturev1.Finding{Subject: "maxmemory-policy", State: good, Found: cmp.Or(s.facts.Policy, "unknown")}
	if s.facts.Evicts() {
		f.Wanted = "noeviction"
		f.State, f.Message = warning, "a value may be evicted before it is read; that is counted, and its row stays"
		f.Fix = "set maxmemory-policy to noeviction or volatile-*"
		if s.streams {
			f.State, f.Message = failure, "the server may evict the change streams, and changes with them"
			f.Fix = "add connections.streams: a Redis that does not evict; or set maxmemory-policy to noeviction or volatile-*"
		}
	}
	s.find(f)
}

// persistence says whether the change streams survive a restart of their server.
func (s *server) persistence() {
	f := &capturev1.Finding{Subject: "persistence", State: good, Found: "append-only file"}
	save, told := s.parameters["save"]
	switch {
	case s.info["aof_enabled"] == "1":
	case !told || save != "":
		f.Found = "snapshots"
		if !told {
			f.Found = "unknown"
		}
		f.State, f.Wanted = warning, "append-only file"
		f.Message = "a restart loses what came after the last snapshot: a gap, which a sweep repairs but for deletes"
		f.Fix = "set appendonly to yes"
	default:
		f.Found, f.State, f.Wanted = "none", warning, "append-only file"
		f.Message = "a restart loses the change streams: a gap, which a sweep repairs but for deletes"
		f.Fix = "set appendonly to yes"
	}
	s.find(f)
}

const backlogSize = "repl-backlog-size"

// backlogWindow is how long the source should remember what it has sent to replicas (design D3).
const backlogWindow = 120 * time.Second

// measureFor is how long traffic is measured where the server does not count it.
const measureFor = time.Second

// backlog says how long the replication backlog reaches back. Capture by notifications does not read it, so that it is
// said and never changed.
func (s *server) backlog(ctx context.Context) {
	f := &capturev1.Finding{Subject: backlogSize, State: good}
	size := s.number("repl_backlog_size")
	if size == 0 {
		f.Found, f.Message = "unknown", "the server does not tell"
		s.find(f)
		return
	}
	rate, err := s.traffic(ctx)
	if err != nil {
		f.Found, f.Message = bytes(size), "traffic could not be measured: "+err.Error()
		s.find(f)
		return
	}
	f.Found = bytes(size) + ", traffic too low to measure"
	if rate > 0 {
		f.Found = fmt.Sprintf("%s, %.0f s of the traffic now", bytes(size), float64(size)/rate)
	}
	f.Message = "capture by notifications does not read it; replicas do"
	if need := uint64(rate * backlogWindow.Seconds()); need > size {
		f.State, f.Wanted = warning, bytes(need)+", 120 s of the traffic now"
		f.Fix = fmt.Sprintf("CONFIG SET %s %d; it takes that much memory", backlogSize, need)
	}
	s.find(f)
}

// traffic is what goes to replicas, bytes a second; where there is no replica, what clients write.
func (s *server) traffic(ctx context.Context) (float64, error) {
	if s.number("connected_slaves") == 0 {
		kilobytes, err := strconv.ParseFloat(s.info["instantaneous_input_kbps"], 64)
		if err != nil {
			return 0, nil //nolint:nilerr // the server does not tell: none is known
		}
		return kilobytes * 1024, nil
	}
	before, begun := s.number("master_repl_offset"), time.Now()
	t := time.NewTimer(measureFor)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	text, err := s.rdb.Do(ctx, "INFO", "replication").Text()
	if err != nil {
		return 0, fmt.Errorf("reading the replication offset: %w", err)
	}
	after, err := strconv.ParseUint(info(text)["master_repl_offset"], 10, 64)
	if err != nil || after < before {
		return 0, nil //nolint:nilerr // as above
	}
	return float64(after-before) / time.Since(begun).Seconds(), nil
}

func bytes(n uint64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}
