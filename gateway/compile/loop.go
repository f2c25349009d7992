package compile

import (
	"net"
	"strconv"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/configfile"
)

// loops refuses outputs that write to the database they capture, under keys that the job itself captures (spec 3.7, 11.5):
// each write would be the next change. Keys that another job captures are a warning.
func (r *Result) loops() {
	source := r.Pipeline.GetConnections()[configfile.Source]
	if source == nil {
		return
	}
	for _, job := range r.Pipeline.GetJobs() {
		for _, out := range job.GetOutputs() {
			target := r.Pipeline.GetConnections()[out.GetConnection()]
			if out.GetRedis() == nil || target == nil || !sameDatabase(source, target, job) {
				continue
			}
			k := keyOf(out)
			file := r.jobs[job.GetName()].File
			switch pattern := job.GetSource().GetKeyPattern(); {
			case k.source:
				file.ErrorAt(out.GetPath()+".with.key", "write key: with an expression that begins with a text of its own, as in "+
					"concat(['copy:', key.key]), or write to another database",
					"the output writes the key it captures, in the same database: each write would be the next change")
				continue
			case k.mayMatch(pattern):
				file.ErrorAt(out.GetPath()+".with", "begin the key with a text that does not match "+pattern+", or write to another database",
					"the output writes to the database it captures, under keys that may match the job's own pattern %s: each write would be the next change", pattern)
				continue
			}
			for _, other := range r.Pipeline.GetJobs() {
				if other != job && k.mayMatch(other.GetSource().GetKeyPattern()) && sameDatabase(source, target, other) {
					file.WarnAt(out.GetPath()+".with", "make sure that no chain of jobs leads back here",
						"the keys that the output writes may be captured by job %s", other.GetName())
				}
			}
		}
	}
}

// sameDatabase tells whether a job captures the database that a connection leads to, as far as names tell.
func sameDatabase(source, target *pipelinev1.Connection, job *pipelinev1.Job) bool {
	number := func(n string) string {
		if n == "" {
			return "0"
		}
		return n
	}
	captured := number(source.GetDatabase())
	if n := job.GetSource().GetDatabase(); n != 0 {
		captured = strconv.FormatUint(uint64(n), 10)
	}
	return number(target.GetDatabase()) == captured && address(source) == address(target)
}

// address is a server as connections name it, this machine by one name.
func address(c *pipelinev1.Connection) string {
	if master := c.GetOptions()["sentinel_master"]; master != "" {
		return master + "@" + c.GetOptions()["sentinel_nodes"]
	}
	host, port := strings.ToLower(c.GetHost()), c.GetPort()
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		host = "localhost"
	}
	if port == "" {
		port = "6379"
	}
	return host + ":" + port
}

// keyShape is what is known of the keys of an output before there are any.
type keyShape struct {
	source bool   // the key of the source itself
	begin  string // what every key begins with
	whole  bool   // and it is all of it
}

func keyOf(o *pipelinev1.Output) keyShape {
	for _, c := range o.GetRelational().GetColumns() {
		if c.GetColumn() != "key" {
			continue
		}
		switch {
		case c.GetRedisKey():
			return keyShape{source: true}
		case c.GetPrefix() != "":
			return keyShape{begin: c.GetPrefix()}
		}
		begin, whole := literal(c.GetExpression())
		return keyShape{begin: begin, whole: whole}
	}
	return keyShape{}
}

// literal is the text that an expression begins with, as far as it is plain to see: a literal, or a concatenation whose
// first part is one.
func literal(e *pipelinev1.Expression) (begin string, whole bool) {
	text := strings.TrimSpace(e.GetText())
	if e.GetLanguage() == pipelinev1.Language_LANGUAGE_SQL {
		lit, rest, ok := quoted(text)
		switch {
		case !ok:
			return "", false
		case rest == "":
			return lit, true
		case strings.HasPrefix(rest, "||"):
			return lit, false
		}
		return "", false
	}
	if lit, rest, ok := quoted(text); ok && rest == "" {
		return lit, true
	}
	inner, ok := strings.CutPrefix(text, "concat(")
	if !ok {
		return "", false
	}
	if inner, ok = strings.CutPrefix(strings.TrimSpace(inner), "["); !ok {
		return "", false
	}
	lit, rest, ok := quoted(strings.TrimSpace(inner))
	if !ok || !strings.HasPrefix(rest, ",") && !strings.HasPrefix(rest, "]") {
		return "", false
	}
	return lit, false
}

// quoted cuts a literal off the front: in quotes, or in backticks as JMESPath has them, with or without quotes within.
func quoted(text string) (lit, rest string, ok bool) {
	if text == "" || text[0] != '\'' && text[0] != '`' {
		return "", "", false
	}
	end := strings.IndexByte(text[1:], text[0])
	if end < 0 {
		return "", "", false
	}
	lit, rest = text[1:1+end], strings.TrimSpace(text[2+end:])
	if text[0] == '`' {
		lit = strings.Trim(lit, `"`)
	}
	if strings.ContainsAny(lit, `\`) || strings.HasPrefix(rest, "'") { // written with escapes: not plain to see
		return "", "", false
	}
	return lit, rest, true
}

// mayMatch tells whether a key of this shape can match a pattern: what both begin with must agree.
func (k keyShape) mayMatch(pattern string) bool {
	if pattern == "" {
		return true // an application's stream names any key
	}
	end := strings.IndexAny(pattern, `*?[\`)
	if end < 0 { // one key
		return pattern == k.begin || !k.whole && strings.HasPrefix(pattern, k.begin)
	}
	fixed := pattern[:end]
	if k.whole && len(k.begin) < len(fixed) {
		return false
	}
	n := min(len(fixed), len(k.begin))
	return fixed[:n] == k.begin[:n]
}
