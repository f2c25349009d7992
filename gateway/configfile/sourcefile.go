package configfile

import (
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

// SourceFile is what a source.yaml says: the attributes of connection source, alone. It stands beside a config.yaml that
// names no source, as those of RDI, whose engine lived inside that Redis and was told by flags where it is (spec 2.3).
type SourceFile struct {
	// File knows the problems and the lines.
	File *yamlfile.File
	// Connection is the source; nil when it is malformed.
	Connection *pipelinev1.Connection
	// Text is the file as it may be stored and shown: passwords written in clear are masked.
	Text []byte
}

// ReadSource reads a source.yaml.
func ReadSource(name string, text []byte) *SourceFile {
	text = yamlfile.WithoutMark(text)
	s := &SourceFile{File: yamlfile.Parse(name, text)}
	var secrets []clearSecret
	if root := s.File.Root(); root.Present() {
		s.Connection = readConnection(Source, root, Redis, &secrets)
	} else if s.File.Errors() == 0 {
		root.Error("write host: and port: of the Redis that changes come from, or remove the file", "the file is empty")
	}
	if s.File.Errors() > 0 {
		s.Connection = nil
	}
	s.Text = mask(text, secrets)
	return s
}

// overrideSource puts the source of a file of its own in the place of the one written here.
func (c *Config) overrideSource(s *SourceFile) {
	if s == nil {
		return
	}
	c.Declared[Source], c.written[Source] = s.Connection.GetType(), s.File.Root()
	if s.Connection == nil {
		delete(c.Connections, Source)
		return
	}
	c.Connections[Source] = s.Connection
}
