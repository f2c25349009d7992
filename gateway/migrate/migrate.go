// Package migrate rewrites the files of older and of other generations as this one would have them written (spec 12.1).
//
// It changes text, not trees: a key gets another name, a line comes or goes, a block moves to the left. Everything else
// stays as it is, comments, order, quotes and blank lines included. One change is made at a time, and the text read anew
// before the next. What comes out is believed only after the packages configfile and jobfile have read it and found
// the same in it as before; a text for which that is not so is given back with an error instead.
//
// Rewriting twice is the same as rewriting once.
package migrate

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"strings"

	"google.golang.org/protobuf/proto"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/configfile"
	"slipstream/gateway/jobfile"
	"slipstream/gateway/yamlfile"
)

// configFile is the base name of the configuration file; every other file is a job.
const configFile = "config.yaml"

var errByHand = errors.New("it is written in a way that cannot be rewritten safely; rewrite it by hand")

// File rewrites a file: config.yaml, or any other name for a job. It returns the text and a sentence for each change; a file
// with nothing to change comes back as it is, without changes.
func File(name string, content []byte) (out []byte, changes []string, err error) {
	read, rules := readJob, jobRules
	if path.Base(name) == configFile {
		read, rules = readConfig, configRules
	}
	before := read(name, content)
	if p := before.broken(); p != nil {
		return content, nil, fmt.Errorf("reading %s, line %d: %s", name, p.GetLine(), p.GetMessage())
	}
	text := string(yamlfile.WithoutMark(content))
	for {
		next, change, err := once(text, rules)
		if err != nil {
			return content, nil, fmt.Errorf("rewriting %s: %w", name, err)
		}
		if change == "" {
			break
		}
		text, changes = next, append(changes, change)
	}
	after := read(name, []byte(text))
	if !before.same(after) || after.old() {
		return content, nil, fmt.Errorf("rewriting %s: %w", name, errByHand)
	}
	return []byte(text), changes, nil
}

// rule looks for one old form in a file and writes it as it is now. Where there is none, the change is empty.
type rule func(t *text) (change string, err error)

// once makes the first change that there is to make.
func once(s string, rules []rule) (next, change string, err error) {
	t, err := parse(s)
	if err != nil || t.root == nil {
		return s, "", err
	}
	for _, r := range rules {
		if change, err = r(t); err != nil || change != "" {
			return t.join(), change, err
		}
	}
	return s, "", nil
}

// meaning is what the parsers find in a file.
type meaning struct {
	file     *yamlfile.File
	job      *pipelinev1.Job
	config   *configfile.Config
	unmapped map[string]bool
}

func readJob(name string, content []byte) meaning {
	j := jobfile.Read(name, content)
	return meaning{file: j.File, job: j.Spec, unmapped: j.Unmapped}
}

func readConfig(name string, content []byte) meaning {
	// What references stand for is not known here and does not matter: they stay as they are.
	c := configfile.Read(name, content, nil, func(string) (string, error) { return "1", nil })
	return meaning{file: c.File, config: c}
}

// broken is the problem of a text that is not one document of YAML.
func (m meaning) broken() *pipelinev1.Problem {
	if root := m.file.Root(); root.Kind() == yamlfile.Mapping {
		return nil
	}
	for _, p := range m.file.Problems() {
		if p.GetSeverity() == pipelinev1.Severity_SEVERITY_ERROR {
			return p
		}
	}
	return nil
}

// old says that an old form is left.
func (m meaning) old() bool {
	for _, p := range m.file.Problems() {
		if strings.Contains(p.GetFix(), "slipstream migrate") {
			return true
		}
	}
	return false
}

// same says that two files mean the same, and that the other one has no more errors.
func (m meaning) same(other meaning) bool {
	if other.file.Errors() > m.file.Errors() {
		return false
	}
	if m.config == nil {
		return proto.Equal(m.job, other.job) && maps.Equal(m.unmapped, other.unmapped)
	}
	return proto.Equal(m.config.Settings, other.config.Settings) && maps.Equal(m.config.Declared, other.config.Declared) &&
		maps.EqualFunc(m.config.Connections, other.config.Connections, func(a, b *pipelinev1.Connection) bool { return proto.Equal(a, b) })
}
