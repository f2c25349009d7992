// Package jobfile reads a job: which keys, which transformation blocks, which tables (spec 3 to 5).
//
// It checks form: keys, types, words, ranges, paths. Whether an expression compiles, and whether it means what was
// probably meant, is the transformer's to say, whether a table exists the applier's, whether a connection exists the
// package compile's. Whatever a job can say and this
// version cannot do is an error with its path, never read and ignored. What is malformed is left out of the result, so
// that the other services can still check the rest and the user sees every problem at once.
package jobfile

import (
	"path"
	"regexp"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

// Job is what a job file says.
type Job struct {
	// File knows the problems and the lines.
	File *yamlfile.File
	// Spec is the compiled job; what is malformed is missing from it.
	Spec *pipelinev1.Job
	// SourceOK says that the source part is well-formed.
	SourceOK bool
	// Named says that the file holds the name itself.
	Named bool
	// Unmapped are the paths of the outputs without a mapping, whose columns the catalogue decides (spec 5.2).
	Unmapped map[string]bool
	// Connections are what names the connections, by path of the output.
	Connections map[string]Connection
	// Lookups are the values that name the connections of lookup blocks.
	Lookups []yamlfile.Value
	// Text is the file as written.
	Text []byte

	choices   choices
	topImage  yamlfile.Value
	defaults  Defaults
	legacyKey *pipelinev1.Expression
	toRedis   bool
}

// Connection is what an output says of its connection.
type Connection struct {
	// Writer is the block.
	Writer string
	// Name is the connection, written or by default.
	Name string
	// Value is where it is written, or would be.
	Value yamlfile.Value
}

// Defaults are what config.yaml says of redis.write (spec 2.5). Empty: hash and replace.
type Defaults struct {
	// DataType is target_data_type.
	DataType string
	// OnUpdate is json_update_strategy.
	OnUpdate string
}

var jobName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Read reads a job file. name is its path below the pipeline's directory.
func Read(name string, text []byte) *Job { return Defaults{}.Read(name, text) }

// Read reads a job file under the defaults of a configuration.
func (d Defaults) Read(name string, text []byte) *Job {
	j := &Job{
		defaults:    d,
		File:        yamlfile.Parse(name, text),
		Spec:        &pipelinev1.Job{File: name, Enabled: true, RowFormat: pipelinev1.RowFormat_ROW_FORMAT_PARTIAL},
		Unmapped:    make(map[string]bool),
		Connections: make(map[string]Connection),
		Text:        text,
	}
	j.Spec.Name = slug(strings.TrimSuffix(path.Base(name), path.Ext(name)))
	j.File.SetJob(j.Spec.GetName())
	root := j.File.Root()
	if !root.Present() {
		if j.File.Errors() == 0 {
			root.Error("write source: and output:, or remove the file", "the file is empty")
		}
		return j
	}
	top, ok := root.Map()
	if !ok {
		return j
	}
	j.readName(top)
	if v := top.Take("enabled"); v.Present() {
		if on, ok := v.Bool(); ok {
			j.Spec.Enabled = on
		}
	}
	j.choices = readChoices(top, choices{missing: pipelinev1.OnMissing_ON_MISSING_NULL})
	j.topImage = top.Take("before_image")
	j.readSource(top)
	j.readTransform(top)
	keyed := j.readLegacyKey(top)
	j.readOutputs(top)
	keyed()
	top.Done(yamlfile.Hints{
		Elsewhere: map[string]string{
			"row_format":  "write it below source:, beside redis:",
			"redis":       "write it below source:",
			"keyspace":    "write source: redis: with trigger: write-behind and key_pattern:",
			"outputs":     "write output:",
			"connections": "write them in config.yaml",
			"retries":     "remove it: it belongs to read-through jobs",
		},
	})
	return j
}

func (j *Job) readName(top *yamlfile.Map) {
	v := top.Take("name")
	if !v.Written() {
		if j.Spec.GetName() == "" {
			v.Error("add name: <name>", "the file's name gives no job name")
		}
		return
	}
	text, ok := v.Text()
	if !ok {
		return
	}
	j.Named = true
	name := slug(text)
	switch {
	case name == "":
		v.Error("use letters, digits, - and _", "name: %q holds no letter or digit", text)
		return
	case name != text:
		v.Warn("write name: "+name, "name: %q holds other characters than letters, digits, - and _; the job is called %s", text, name)
	}
	j.Spec.Name = name
	j.File.SetJob(name)
}

// slug is a name made of the characters that spec 3.2 allows.
func slug(name string) string {
	if jobName.MatchString(name) {
		return name
	}
	var b strings.Builder
	for _, r := range name {
		if r < 0x80 && jobName.MatchString(string(r)) {
			b.WriteRune(r)
		} else if s := b.String(); s != "" && !strings.HasSuffix(s, "-") {
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String(), "-")
}

// block takes one {uses, with} apart (spec 3.6, 4).
func block(v yamlfile.Value, known []string, hints map[string]string) (uses string, with *yamlfile.Map, ok bool) {
	m, ok := v.Map()
	if !ok {
		return "", nil, false
	}
	u := m.Require("uses", "write uses: "+known[0])
	w := m.Take("with")
	m.Done(yamlfile.Hints{Elsewhere: map[string]string{
		"name": "remove it", "connection": "write it below with:", "expression": "write it below with:",
		"language": "write it below with:", "field": "write it below with:", "fields": "write it below with:",
		"table": "write it below with:", "keys": "write it below with:", "mapping": "write it below with:",
	}})
	if !u.Present() {
		return "", nil, false
	}
	uses, ok = u.Text()
	if !ok {
		return "", nil, false
	}
	if fix, is := hints[uses]; is {
		if fix == "" {
			u.Error("remove the block", "%s is not supported yet by this version", uses)
		} else {
			u.Error(fix, "%s does not belong here", uses)
		}
		return "", nil, false
	}
	found := false
	for _, k := range known {
		found = found || k == uses
	}
	if !found {
		u.Error(yamlfile.DidYouMean(uses, known), "unknown block %q", uses)
		return "", nil, false
	}
	if !w.Present() {
		w.Error("write with: and its attributes below", "with is missing")
		return "", nil, false
	}
	with, ok = w.Map()
	return uses, with, ok
}
