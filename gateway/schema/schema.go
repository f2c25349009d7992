// Package schema holds the JSON Schemas (draft 2020-12) of config.yaml and of job files, for editors that complete and check
// YAML as it is typed.
//
// They say what the packages configfile and jobfile read: every attribute, its words, its range, and which attributes
// exclude or need each other. Tests hold them to it in both directions: what a schema refuses the parser refuses, and what
// the parser refuses the schema refuses too, but for what takes more than one look at a value: whether names are
// declared, columns written twice, expressions right. The words "written in any case" stand as a pattern beside the list that
// editors offer.
package schema

import (
	_ "embed" // the schemas
	"slices"
)

var (
	//go:embed config.json
	config []byte
	//go:embed job.json
	job []byte
)

// Config is the schema of config.yaml.
func Config() []byte { return slices.Clone(config) }

// Job is the schema of a job file.
func Job() []byte { return slices.Clone(job) }
