package configfile

import (
	"slices"

	"slipstream/gateway/yamlfile"
)

// readTargets reads targets, as the newer generation calls connections (spec 2.1): each is {connection: {…}, name: …}. An
// intermediate generation had all of them one level deeper: {connection: {<name>: {…}}}.
func (c *Config) readTargets(v yamlfile.Value, secrets *[]clearSecret) {
	m, ok := v.Map()
	if !ok {
		return
	}
	v.Deprecated("write connections: <name>: with the attributes directly below", "targets is another generation's name of connections")
	entries := m.Entries()
	if len(entries) == 1 && entries[0].Key == "connection" {
		if inner, ok := entries[0].Value.Map(); ok && len(inner.Entries()) > 0 && !slices.ContainsFunc(inner.Entries(), scalar) {
			for _, e := range inner.Entries() {
				c.declare(e.Key, e.Value, "", secrets)
			}
			return
		}
	}
	for _, e := range entries {
		target, ok := e.Value.Map()
		if !ok {
			continue
		}
		nested := target.Take("connection")
		if !nested.Written() {
			c.declare(e.Key, e.Value, "", secrets)
			continue
		}
		if name := target.Take("name"); name.Present() {
			name.Text() // for people
		}
		target.Done(yamlfile.Hints{})
		c.declare(e.Key, nested, "", secrets)
	}
}

func scalar(e yamlfile.Entry) bool { return e.Value.Kind() != yamlfile.Mapping }

// readSettings reads applier, or processors as the newer generation calls it.
func (c *Config) readSettings(top *yamlfile.Map, resolve Resolve) {
	v, newer := top.Take("applier"), top.Take("processors")
	if newer.Present() {
		if v.Written() {
			newer.Error("remove one of the two", "applier and processors mean the same")
		} else {
			newer.Deprecated("write applier:", "processors is another generation's name of applier")
			v = newer
		}
	}
	if !v.Present() {
		return
	}
	if m, ok := v.Map(); ok {
		s := readSettings(m, resolve)
		c.Settings, c.DataType, c.OnUpdate = s.out, s.dataType, s.onUpdate
	}
}

// readNewer accepts what files of the newer generation say and nothing here depends on.
func (c *Config) readNewer(top *yamlfile.Map) {
	if v := top.Take("metadata"); v.Present() {
		v.Map() // a name and tags for people
	}
	if v := top.Take("secret-providers"); v.Present() {
		v.Warn("remove it, and write ${file:<path>} or ${env:<NAME>} where a secret stands",
			"secret-providers has no effect: the services read secrets from files and their environment")
	}
}
