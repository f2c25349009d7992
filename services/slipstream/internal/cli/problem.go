package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// PrintProblems prints problems as `file:line: path: what is wrong`, what to write instead below, errors before warnings,
// and a count at the end. Files are named as seen from here, so that an editor finds them. It returns whether an error
// was among them.
func PrintProblems(w io.Writer, dir string, problems []*pipelinev1.Problem) (failed bool) {
	var errs, warnings []*pipelinev1.Problem
	for _, p := range problems {
		if p.GetSeverity() == pipelinev1.Severity_SEVERITY_WARNING {
			warnings = append(warnings, p)
		} else {
			errs = append(errs, p)
		}
	}
	for _, p := range errs {
		printProblem(w, dir, p, "")
	}
	for _, p := range warnings {
		printProblem(w, dir, p, "warning: ")
	}
	if len(problems) > 0 {
		fmt.Fprintf(w, "%s, %s\n", count(len(errs), "error"), count(len(warnings), "warning"))
	}
	return len(errs) > 0
}

func printProblem(w io.Writer, dir string, p *pipelinev1.Problem, mark string) {
	var b strings.Builder
	if p.GetFile() != "" {
		b.WriteString(filepath.Join(dir, filepath.FromSlash(p.GetFile())))
		if p.GetLine() > 0 {
			fmt.Fprintf(&b, ":%d", p.GetLine())
		}
		b.WriteString(": ")
	}
	if p.GetPath() != "" {
		b.WriteString(p.GetPath() + ": ")
	}
	b.WriteString(mark + clean(p.GetMessage()) + "\n")
	if p.GetFix() != "" {
		b.WriteString("    " + strings.ReplaceAll(clean(p.GetFix()), "\n", "\n    ") + "\n")
	}
	_, _ = io.WriteString(w, b.String()) // where the terminal is gone, nobody reads
}

func count(n int, what string) string {
	switch n {
	case 0:
		return "no " + what + "s"
	case 1:
		return "1 " + what
	default:
		return fmt.Sprintf("%d %ss", n, what)
	}
}
