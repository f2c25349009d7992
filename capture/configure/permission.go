package configure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipstream/capture/resp"
	"slipstream/proto/keyspace"
	capturev1 "slipstream/proto/slipstream/capture/v1"
)

// trial is a command whose permission is asked for.
type trial struct {
	args []string
	// lacks says what is missing without it; empty: nothing works.
	lacks string
}

func try(args ...string) trial { return trial{args: args} }

// permissions asks for every command that capture needs, with keys like those it is needed for.
func (s *server) permissions(ctx context.Context) {
	refused, asked, err := s.tried(ctx)
	if err != nil {
		s.find(&capturev1.Finding{
			Subject: "permissions", State: failure, Message: "they could not be tried: " + err.Error(), Fix: s.allow(),
		})
		return
	}
	needed := &capturev1.Finding{Subject: "permissions", State: good, Found: fmt.Sprintf("all %d that were tried", asked)}
	var lacks []string
	for _, r := range refused {
		if r.trial.lacks != "" {
			s.find(&capturev1.Finding{
				Subject: "permission " + r.trial.args[0], State: warning, Found: "refused", Wanted: "allowed",
				Message: fmt.Sprintf("%v; without it %s", r.err, r.trial.lacks), Fix: "ACL SETUSER <user> +" + strings.ToLower(r.trial.args[0]),
			})
			continue
		}
		lacks = append(lacks, r.trial.String())
		needed.Message = r.err.Error()
	}
	if len(lacks) > 0 {
		slices.Sort(lacks)
		needed.State, needed.Found = failure, "refused: "+strings.Join(slices.Compact(lacks), ", ")
		needed.Wanted, needed.Fix = "allowed", s.allow()
	}
	s.find(needed)
}

// refusal is a trial that the server refused.
type refusal struct {
	trial trial
	err   error
}

// String is a trial for people: the command and its key.
func (t trial) String() string {
	key := t.args[min(1, len(t.args)-1)]
	switch t.args[0] {
	case "XGROUP", "XINFO", "XREAD", "EVAL", "EVALSHA", "SCAN":
		return t.args[0]
	}
	return strings.TrimSpace(t.args[0] + " " + key)
}

// allow is the command that allows a user everything that is tried, also what trying itself takes.
func (s *server) allow() string { return "ACL SETUSER <user> " + s.grant() }

// grant is the rules that allow everything that is tried.
func (s *server) grant() string {
	var rules []string
	if s.streams {
		rules = append(rules, "~slipstream:*", "~dlq:slipstream:*")
	}
	if s.source && s.recorded {
		rules = append(rules, "&"+s.quiet())
	}
	for _, job := range s.Pipeline.GetJobs() {
		if src := job.GetSource(); s.source && job.GetEnabled() {
			if src.GetKeyPattern() != "" {
				rules = append(rules, "~"+src.GetKeyPattern())
			}
			if src.GetStream() != "" {
				rules = append(rules, "~"+src.GetStream())
			} else {
				rules = append(rules, "&"+channels(s.config.Logical(job), src.GetKeyPattern()))
			}
		}
	}
	commands := []string{"+multi", "+exec", "+discard", "+unwatch", "+ping", "+select", "+client|setname"}
	for _, trials := range s.trials() {
		for _, t := range trials {
			commands = append(commands, "+"+strings.ToLower(t.args[0]))
		}
	}
	slices.Sort(commands)
	return strings.Join(append(slices.Compact(rules), slices.Compact(commands)...), " ")
}

func (s *server) tried(ctx context.Context) (refused []refusal, asked int, err error) {
	for db, trials := range s.trials() {
		conn, err := s.config.DialDB(ctx, db)
		if err != nil {
			return nil, 0, err
		}
		for _, t := range trials {
			err := ask(ctx, conn, t)
			if err != nil && resp.Refused(err) == "" {
				return nil, 0, errors.Join(err, conn.Close())
			}
			asked++
			if err != nil {
				refused = append(refused, refusal{t, err})
			}
		}
		if err := conn.Close(); err != nil {
			return nil, 0, err
		}
	}
	return refused, asked, nil
}

// ask queues a command and discards it. Commands that cannot be queued are run: they do nothing by themselves.
func ask(ctx context.Context, conn *resp.Conn, t trial) error {
	if t.args[0] == "WATCH" {
		_, err := conn.Do(ctx, t.args...)
		return err
	}
	if _, err := conn.Do(ctx, "MULTI"); err != nil {
		return err
	}
	_, refusal := conn.Do(ctx, t.args...)
	if refusal != nil && resp.Refused(refusal) == "" {
		return refusal
	}
	if _, err := conn.Do(ctx, "DISCARD"); err != nil {
		return err
	}
	return refusal
}

// trials are the commands to ask for, by logical database.
func (s *server) trials() map[int][]trial {
	out := map[int][]trial{}
	if s.streams {
		out[s.config.Database] = append(out[s.config.Database], s.streamTrials()...)
	}
	if s.source {
		for db, more := range s.sourceTrials() {
			out[db] = append(out[db], more...)
		}
	}
	return out
}

// channels are those in which a server tells of the keys that a pattern matches. A user must be given the very same text: it is
// compared, not matched.
func channels(db int, pattern string) string { return fmt.Sprintf("__keyspace@%d__:%s", db, pattern) }

// quiet is the channel that the recorder is subscribed to beside those of jobs.
func (s *server) quiet() string {
	return channels(s.config.Database, keyspace.Lease(s.Pipeline.GetName(), "none"))
}

func (s *server) sourceTrials() map[int][]trial {
	home := s.config.Database
	out := map[int][]trial{home: {
		try("INFO"),
		{args: []string{"COMMAND", "INFO", "GET"}, lacks: "documents are not found"},
		{args: []string{"CONFIG", "GET", notify}, lacks: "nobody sees when events are turned off"},
	}}
	if s.recorded {
		out[home] = append(out[home], try("PSUBSCRIBE", s.quiet()))
	}
	for _, job := range s.Pipeline.GetJobs() {
		src := job.GetSource()
		if !job.GetEnabled() {
			continue
		}
		db := s.config.Logical(job)
		key := sample(src.GetKeyPattern())
		if stream := src.GetStream(); stream != "" {
			out[home] = append(out[home], try("XRANGE", stream, "-", "+"), try("XREAD", "STREAMS", stream, "0"), try("XGROUP", "CREATE", stream, "slipstream:x", "0"))
		} else {
			out[db] = append(out[db], try("PSUBSCRIBE", channels(db, src.GetKeyPattern())))
		}
		if key == "" {
			continue
		}
		out[db] = append(out[db], try("TYPE", key), try("EXISTS", key), try("DBSIZE"), try("SCAN", "0", "MATCH", src.GetKeyPattern()))
		if len(src.GetTypes()) == 0 || slices.Contains(src.GetTypes(), "hash") {
			out[db] = append(out[db], try("HGETALL", key))
		}
		if s.facts.JSON && (len(src.GetTypes()) == 0 || slices.Contains(src.GetTypes(), "json")) {
			out[db] = append(out[db], try("JSON.GET", key))
		}
	}
	return out
}

// streamTrials are for what Slipstream writes itself.
func (s *server) streamTrials() []trial {
	p := s.Pipeline.GetName()
	stream, dead := keyspace.Stream(p, 0, 1, "x"), keyspace.DeadLetters(p, "x")
	own := keyspace.Lease(p, "x")
	return []trial{
		try("WATCH", own), try("SET", own, "x"), try("GET", own), try("MGET", own), try("PERSIST", own), try("TIME"), try("DEL", own),
		try("SETNX", keyspace.Source(), "x"), try("SADD", keyspace.Pipelines(), "x"), try("SMEMBERS", keyspace.Pipelines()),
		try("HSET", own, "x", "x"), try("HGET", own, "x"), try("HMGET", own, "x"), try("HGETALL", own), try("HDEL", own, "x"),
		try("HEXISTS", own, "x"), try("HINCRBY", own, "x", "1"), try("HKEYS", own),
		try("ZADD", own, "1", "x"), try("ZREM", own, "x"), try("ZRANGE", own, "0", "-1"), try("ZREMRANGEBYSCORE", own, "0", "1"),
		try("ZREMRANGEBYRANK", own, "0", "1"),
		try("XADD", stream, "*", "x", "x"), try("XLEN", stream), try("XRANGE", stream, "-", "+"), try("XREVRANGE", stream, "+", "-"),
		try("XREAD", "STREAMS", stream, "0"), try("XDEL", stream, "0-1"), try("XTRIM", stream, "MINID", "0"),
		try("XGROUP", "SETID", stream, "slipstream:x", "0"), try("XINFO", "GROUPS", stream),
		try("XADD", dead, "*", "x", "x"), try("XLEN", dead), try("XDEL", dead, "0-1"),
		try("EVAL", "return 1", "1", own), try("EVALSHA", strings.Repeat("0", 40), "1", own),
		{args: []string{"CLIENT", "ID"}, lacks: "lanes look for entries instead of being woken"},
	}
}

// sample is a key that a glob matches.
func sample(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*', '?':
			b.WriteByte('x')
		case '\\':
			if i+1 < len(pattern) {
				i++
				b.WriteByte(pattern[i])
			}
		case '[':
			end := strings.IndexByte(pattern[i:], ']')
			if end < 0 {
				return b.String()
			}
			class := pattern[i+1 : i+end]
			if one := strings.TrimPrefix(class, "^"); one != "" && one == class {
				b.WriteByte(one[0])
			} else {
				b.WriteByte('x')
			}
			i += end
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
