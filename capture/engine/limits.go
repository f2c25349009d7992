package engine

import (
	"fmt"
	"slices"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// reported are the commands that keyspace events report under the name of another one (spec 1.4).
var reported = []struct {
	as       string
	commands []string
}{
	{"hset", []string{"hmset", "hsetnx"}},
	{"del", []string{"unlink"}},
}

// notifications says what a job asks for that capture by notifications cannot do, or does by half (G9).
func (c *checking) notifications(job *pipelinev1.Job) {
	s := job.GetSource()
	excluded := make([]string, len(s.GetExcludeCommands()))
	for i, name := range s.GetExcludeCommands() {
		excluded[i] = strings.ToLower(name)
	}
	const path = "source.redis.exclude_commands"
	for _, r := range reported {
		whole := slices.Contains(excluded, r.as)
		var not []string
		for _, name := range r.commands {
			switch {
			case !slices.Contains(excluded, name):
				not = append(not, name)
			case !whole:
				c.job(job, path, warning,
					fmt.Sprintf("capture by notifications cannot exclude %s: the server reports it as %s", name, r.as),
					fmt.Sprintf("exclude %s as well, or remove %s", r.as, name))
			}
		}
		if whole && len(not) > 0 {
			c.job(job, path, warning,
				fmt.Sprintf("capture by notifications cannot tell %s from %s: excluding it excludes them all",
					strings.Join(not, " and "), r.as),
				fmt.Sprintf("exclude %s as well to say so, or remove %s", strings.Join(not, " and "), r.as))
		}
	}
	if s.GetValues() == pipelinev1.Values_VALUES_EACH {
		c.job(job, "source.redis.values", warning,
			"capture by notifications reads a value right after its change: changes of a key closer than that share one",
			"where every value must be kept, let the application write the stream with after (source.redis.stream)")
	}
	for i, o := range job.GetOutputs() {
		switch o.GetRelational().GetLoadStrategy() {
		case pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND, pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2:
			c.job(job, fmt.Sprintf("output[%d].with.load_strategy", i), warning,
				"capture by notifications repairs what it may have missed, after a restart of capture too, by writing every key's "+
					"current value once more: here as one more row, of opcode r",
				"filter opcode r out where that is not wanted, or let the application write the stream (source.redis.stream)")
		}
	}
}
