package jobfile

import (
	"math"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

// readLookup reads redis.lookup (spec 4.8).
func (j *Job) readLookup(with *yamlfile.Map) *pipelinev1.RedisLookup {
	x := &pipelinev1.RedisLookup{BatchSize: 200}
	if v := with.Require("connection", "write connection: <name of a connection of type redis in config.yaml>"); v.Present() {
		x.Connection, _ = v.Text()
		j.Lookups = append(j.Lookups, v)
	}
	if v := with.Require("cmd", "write cmd: HGET, or another command that reads"); v.Present() {
		text, _ := v.Text()
		x.Cmd = strings.ToUpper(strings.TrimSpace(text))
	}
	language := readLanguage(with)
	if v := with.Require("args", "write args: with an expression after each hyphen"); v.Present() {
		items, ok := v.Items()
		if ok && len(items) == 0 {
			v.Error("write at least one", "args is empty")
		}
		for _, item := range items {
			if text, ok := item.Loose(); ok {
				x.Args = append(x.Args, &pipelinev1.Expression{Text: text, Language: language})
			}
		}
	}
	x.Field = readField(with, "field")
	if v := with.Take("when"); v.Written() {
		if m, ok := v.Map(); ok {
			x.When = readExpression(m)
			m.Done(yamlfile.Hints{})
		}
	}
	x.Cache, x.LookupCache = readCache(with.Take("cache")), readCache(with.Take("lookup_cache"))
	if v := with.Take("batch"); v.Written() {
		if m, ok := v.Map(); ok {
			if size := m.Take("size"); size.Present() {
				n, _ := size.Whole(1, math.MaxInt32)
				x.BatchSize = uint32(n)
			}
			// A batch is there before its lookups begin, so nothing waits for it to fill: the number is checked, and means nothing.
			if wait := m.Take("timeout_ms"); wait.Present() {
				wait.Whole(1, math.MaxInt32)
			}
			m.Done(yamlfile.Hints{})
		}
	}
	return x
}

// readCache reads a cache (spec 4.9); nil where it is not enabled.
func readCache(v yamlfile.Value) *pipelinev1.Cache {
	if !v.Written() {
		return nil
	}
	m, ok := v.Map()
	if !ok {
		return nil
	}
	c, enabled := &pipelinev1.Cache{MaxSize: 1000, TtlSeconds: 60}, false
	if on := m.Take("enabled"); on.Present() {
		enabled, _ = on.Bool()
	}
	for key, into := range map[string]*uint32{"max_size": &c.MaxSize, "ttl_seconds": &c.TtlSeconds} {
		if n := m.Take(key); n.Present() {
			whole, _ := n.Whole(1, math.MaxInt32)
			*into = uint32(whole)
		}
	}
	m.Done(yamlfile.Hints{})
	if !enabled {
		return nil
	}
	return c
}
