// Package finding gathers what is wrong with a job while it is compiled, so that all of it is reported at once (spec
// 3.7): where in the file, what, and what to write instead. The gateway adds file and line.
package finding

import (
	"fmt"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// List is the problems of one job.
type List struct {
	job      string
	problems []*pipelinev1.Problem
	errors   int
}

// NewList is an empty list for the job of that name.
func NewList(job string) *List { return &List{job: job} }

// Error adds a problem that refuses the job. The fix may be empty.
func (l *List) Error(path, fix, format string, args ...any) {
	l.add(pipelinev1.Severity_SEVERITY_ERROR, path, fix, format, args)
}

// Warning adds a problem the user should know of.
func (l *List) Warning(path, fix, format string, args ...any) {
	l.add(pipelinev1.Severity_SEVERITY_WARNING, path, fix, format, args)
}

func (l *List) add(severity pipelinev1.Severity, path, fix, format string, args []any) {
	message := fmt.Sprintf(format, args...)
	for _, p := range l.problems {
		if p.Path == path && p.Message == message {
			return // said already
		}
	}
	if severity == pipelinev1.Severity_SEVERITY_ERROR {
		l.errors++
	}
	l.problems = append(l.problems, &pipelinev1.Problem{Severity: severity, Path: path, Message: message, Fix: fix, Job: l.job})
}

// Problems is everything found, in the order of the file as far as the callers keep to it.
func (l *List) Problems() []*pipelinev1.Problem { return l.problems }

// Failed tells whether an error is among the problems.
func (l *List) Failed() bool { return l.errors > 0 }

// Errors counts the errors.
func (l *List) Errors() int { return l.errors }

// First is the first error, nil without one.
func (l *List) First() *pipelinev1.Problem {
	for _, p := range l.problems {
		if p.Severity == pipelinev1.Severity_SEVERITY_ERROR {
			return p
		}
	}
	return nil
}
