package compile

import (
	"cmp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/configfile"
	"slipstream/gateway/yamlfile"
)

// Failed says whether an error is among the problems.
func Failed(problems []*pipelinev1.Problem) bool {
	return slices.ContainsFunc(problems, func(p *pipelinev1.Problem) bool {
		return p.GetSeverity() != pipelinev1.Severity_SEVERITY_WARNING
	})
}

// Sort orders problems by file and line. Errors of one line come before its warnings.
func Sort(problems []*pipelinev1.Problem) {
	slices.SortStableFunc(problems, func(a, b *pipelinev1.Problem) int {
		return cmp.Or(
			cmp.Compare(a.GetFile(), b.GetFile()), cmp.Compare(a.GetLine(), b.GetLine()),
			cmp.Compare(a.GetSeverity(), b.GetSeverity()), cmp.Compare(a.GetPath(), b.GetPath()),
			cmp.Compare(a.GetMessage(), b.GetMessage()))
	})
}

// Merge adds the problems that another service found, with their file and line. It leaves out repetitions, and problems
// with a part of a file in which something is malformed: the service was not shown all of that part.
func (r *Result) Merge(found []*pipelinev1.Problem) {
	malformed := slices.DeleteFunc(slices.Clone(r.Problems), func(p *pipelinev1.Problem) bool {
		return p.GetSeverity() != pipelinev1.Severity_SEVERITY_ERROR
	})
	for _, p := range found {
		p = proto.CloneOf(p)
		if p.GetSeverity() == pipelinev1.Severity_SEVERITY_UNSPECIFIED {
			p.Severity = pipelinev1.Severity_SEVERITY_ERROR
		}
		r.place(p)
		repeated := slices.ContainsFunc(r.Problems, func(q *pipelinev1.Problem) bool {
			return q.GetFile() == p.GetFile() && q.GetPath() == p.GetPath() && q.GetMessage() == p.GetMessage()
		})
		follows := slices.ContainsFunc(malformed, func(q *pipelinev1.Problem) bool {
			if q.GetPath() == "" && p.GetJob() != "" { // the file is malformed, and with it the whole job
				return q.GetFile() == p.GetFile()
			}
			return q.GetFile() == p.GetFile() && within(q.GetPath(), p.GetPath())
		})
		if !repeated && !follows {
			r.Problems = append(r.Problems, p)
		}
	}
	Sort(r.Problems)
}

// within says whether a path is another one or lies below it. Everything lies below the file, which says nothing.
func within(path, of string) bool {
	rest, below := strings.CutPrefix(path, of)
	return of != "" && below && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// place finds file and line of a problem that knows its job or its connection only.
func (r *Result) place(p *pipelinev1.Problem) {
	switch j := r.jobs[p.GetJob()]; {
	case j != nil:
		p.File = j.File.Name()
		if p.GetLine() == 0 {
			p.Line = j.File.Locate(p.GetPath())
		}
	case r.config == nil:
		return
	case p.GetConnection() != "":
		p.File = r.config.File.Name()
		if p.GetPath() == "" {
			p.Path = yamlfile.Join("connections", p.GetConnection())
			if !r.config.File.Has(p.GetPath()) && p.GetConnection() == configfile.Source {
				p.Path = configfile.Source // the source may stand at the top of the file
			}
		}
		fallthrough
	default:
		if p.GetFile() == "" {
			p.File = r.config.File.Name()
		}
		if rest, ok := strings.CutPrefix(p.GetPath(), "applier."); ok && r.config.File.Has("processors") {
			p.Path = yamlfile.Join("processors", rest) // as another generation calls it
		}
		if p.GetLine() == 0 && p.GetFile() == r.config.File.Name() {
			p.Line = r.config.File.Locate(p.GetPath())
		}
	}
}
