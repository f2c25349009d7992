// Package configfile reads config.yaml: the connections (spec 2.3) and the engine settings (spec 2.5).
//
// What is written is checked to the last key; what is not written gets its default here and nowhere else. References
// such as ${env:NAME} stay unresolved in connections (G10). Only the numbers of the applier section are resolved, because
// the pipeline carries them as numbers.
package configfile

import (
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

const (
	// Source is the name of the connection that changes come from.
	Source = "source"
	// Streams is the name of the connection that keeps the change streams; without it the source does (design D2).
	Streams = "streams"
	// Target is the name of the connection that redis.write uses where none is named; its type is redis unless written.
	Target = "target"
)

// Resolve replaces the references in a text by what they refer to.
type Resolve func(string) (string, error)

// Config is what a config.yaml says.
type Config struct {
	// File knows the problems and the lines.
	File *yamlfile.File
	// Connections are the well-formed connections by name.
	Connections map[string]*pipelinev1.Connection
	// Declared is the type of every connection that is written, well-formed or not; empty where the type is not known.
	Declared map[string]string
	// Settings are the settings, with defaults.
	Settings *pipelinev1.Settings
	// DataType is target_data_type and OnUpdate json_update_strategy: what redis.write does where a job does not say
	// (spec 2.5). Empty where they are not written.
	DataType, OnUpdate string
	// Text is the file as it may be stored and shown: passwords written in clear are masked.
	Text []byte

	written map[string]yamlfile.Value // connections by name
}

// Read reads a config.yaml. source is the file that takes the place of the source written in it; nil where there is none.
func Read(name string, text []byte, source *SourceFile, resolve Resolve) *Config {
	text = yamlfile.WithoutMark(text)
	c := &Config{
		File:        yamlfile.Parse(name, text),
		Connections: make(map[string]*pipelinev1.Connection),
		Declared:    make(map[string]string),
		Settings:    Defaults(),
		written:     make(map[string]yamlfile.Value),
	}
	var secrets []clearSecret
	c.read(source, resolve, &secrets)
	c.Text = mask(text, secrets)
	return c
}

func (c *Config) read(source *SourceFile, resolve Resolve, secrets *[]clearSecret) {
	root := c.File.Root()
	if !root.Present() {
		if c.File.Errors() == 0 {
			root.Error("write connections: with at least the connection source", "the file is empty")
		}
		return
	}
	top, ok := root.Map()
	if !ok {
		return
	}
	c.readConnections(top, secrets)
	c.readSource(top, secrets)
	c.overrideSource(source)
	c.readSettings(top, resolve)
	c.readNewer(top)
	top.Done(yamlfile.Hints{
		Elsewhere: map[string]string{
			"sources": "write the Redis that changes come from as connections: source:",
			"jobs":    "write each job as a file of its own in the folder jobs",
			"job":     "write each job as a file of its own in the folder jobs",
		},
	})
	c.checkSource(top)
}

func (c *Config) readConnections(top *yamlfile.Map, secrets *[]clearSecret) {
	v, targets := top.Take("connections"), top.Take("targets")
	if targets.Present() {
		if v.Written() {
			targets.Error("remove one of the two", "connections and targets mean the same")
		} else {
			c.readTargets(targets, secrets)
			return
		}
	}
	if !v.Present() {
		if v.Written() {
			v.Error("write a connection below it: <name>: with type, host, port …", "connections has no value")
		}
		return
	}
	m, ok := v.Map()
	if !ok {
		return
	}
	for _, e := range m.Entries() {
		c.declare(e.Key, e.Value, "", secrets)
	}
}

// declare reads a connection; kind is its type where none is written.
func (c *Config) declare(name string, v yamlfile.Value, kind string, secrets *[]clearSecret) {
	c.Declared[name], c.written[name] = "", v
	if kind == "" && name == Target {
		kind = Redis // as the older generation had it (spec 2.3)
	}
	if strings.TrimSpace(name) == "" {
		v.Error("give it a name", "a connection has no name")
		return
	}
	before := c.File.Errors()
	connection := readConnection(name, v, kind, secrets)
	if connection == nil {
		return
	}
	c.Declared[name] = connection.GetType()
	if c.File.Errors() == before {
		c.Connections[name] = connection
	}
}

// readSource reads the other spelling of connections.source (spec 2.3): a map of its own.
func (c *Config) readSource(top *yamlfile.Map, secrets *[]clearSecret) {
	v := top.Take(Source)
	if !v.Present() {
		return
	}
	if _, both := c.Declared[Source]; both {
		v.Error("remove one of the two", "the source is written here and as connections.source")
		return
	}
	c.declare(Source, v, Redis, secrets)
}

// checkSource requires the connection that changes come from, and that our streams live in Redis.
func (c *Config) checkSource(top *yamlfile.Map) {
	if _, written := c.Declared[Source]; !written {
		top.Take("connections").Error(
			"add connections: source: with type: redis, host and port of the Redis that changes come from; or say where it is with --rdi-host and --rdi-port, or in a file source.yaml",
			"connection source is missing")
	}
	for _, name := range []string{Source, Streams} {
		kind := c.Declared[name]
		if kind == "" {
			continue
		}
		connection, ok := c.written[name].Map()
		if !ok {
			continue
		}
		if kind != Redis {
			connection.Take("type").Error("write type: redis, or give the connection another name",
				"connection %s must be of type redis, not %s", name, kind)
		} else if key := Beyond(c.Connections[name]); key != "" {
			connection.Take(key).Error("name one server with host: and port:",
				"%s is not supported yet by this version for connection %s", key, name)
		}
	}
}
