package tail

import (
	"slices"
	"strings"

	"slipstream/capture/glob"
	"slipstream/capture/stream"
	"slipstream/proto/keyspace"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// choice says which entries of a stream that an application writes belong to a job. Recorded streams need none: the
// recorder has chosen already.
type choice struct {
	pattern  []byte
	excluded []string
}

// choiceOf is nil where the job's stream is recorded.
func choiceOf(s *pipelinev1.Source) *choice {
	if s.GetStream() == "" {
		return nil
	}
	pattern := s.GetKeyPattern()
	if pattern == "" {
		pattern = "*"
	}
	return &choice{pattern: []byte(pattern), excluded: s.GetExcludeCommands()}
}

// takes says whether an entry belongs to the job (spec 1.4, 3.5).
func (c *choice) takes(e *stream.Entry) bool {
	return c == nil || (!keyspace.Internal(e.Key) && glob.Match(c.pattern, e.Key) &&
		!slices.ContainsFunc(c.excluded, func(command string) bool { return strings.EqualFold(command, e.Command) }))
}
