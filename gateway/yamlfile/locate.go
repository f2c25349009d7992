package yamlfile

import (
	"fmt"
	"strconv"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Locate is the line of a path, or of the nearest part of it that is written; 0 when the file has no document. It finds
// the lines of problems that other services report by path alone.
func (f *File) Locate(path string) uint32 {
	line, _ := f.walk(path)
	return line
}

// Has says whether a path is written.
func (f *File) Has(path string) bool {
	_, whole := f.walk(path)
	return whole
}

func (f *File) walk(path string) (line uint32, whole bool) {
	if f.root == nil {
		return 0, false
	}
	// Walking reads maps and lists, which may record problems; those are known already.
	before, aliases, problems, errs := f.reported, f.aliases, f.problems, f.errors
	f.reported, f.aliases = make(map[string]bool), 0
	defer func() { f.reported, f.aliases, f.problems, f.errors = before, aliases, problems, errs }()

	at := f.Root()
	for _, step := range steps(path) {
		next := at.step(step)
		if next.Kind() == Absent {
			return uint32(max(at.line, 0)), false
		}
		at = next
	}
	return uint32(max(at.line, 0)), true
}

// ErrorAt records an error at a path.
func (f *File) ErrorAt(path, fix, format string, args ...any) {
	f.report(pipelinev1.Severity_SEVERITY_ERROR, path, int(f.Locate(path)), fmt.Sprintf(format, args...), fix)
}

// WarnAt records a warning at a path.
func (f *File) WarnAt(path, fix, format string, args ...any) {
	if f.full() {
		return
	}
	f.report(pipelinev1.Severity_SEVERITY_WARNING, path, int(f.Locate(path)), fmt.Sprintf(format, args...), fix)
}

func (v Value) step(step string) Value {
	switch v.Kind() {
	case Mapping:
		if m, ok := v.Map(); ok {
			return m.Take(step)
		}
	case List:
		items, ok := v.Items()
		if i, err := strconv.Atoi(step); ok && err == nil && i >= 0 && i < len(items) {
			return items[i]
		}
	}
	return Value{}
}

// steps takes a path apart: names, and the digits of indexes.
func steps(path string) []string {
	var out []string
	for path != "" {
		switch {
		case path[0] == '.':
			path = path[1:]
		case path[0] == '[':
			end := strings.IndexByte(path, ']')
			if end < 0 {
				return append(out, path[1:])
			}
			out = append(out, path[1:end])
			path = path[end+1:]
		case path[0] == '"':
			end := 1
			for end < len(path) && (path[end] != '"' || path[end-1] == '\\') {
				end++
			}
			out = append(out, strings.ReplaceAll(path[1:end], `\"`, `"`))
			path = path[min(end+1, len(path)):]
		default:
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			out = append(out, path[:end])
			path = path[end:]
		}
	}
	return out
}
