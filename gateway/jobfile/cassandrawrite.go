package jobfile

import (
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

// readCassandraWrite checks cassandra.write (spec 5.4).
func (j *Job) readCassandraWrite(with *yamlfile.Map) {
	for _, key := range []string{"connection", "keyspace", "table"} {
		if v := with.Require(key, "write "+key+": <name>"); v.Present() {
			v.Text()
		}
	}
	keys := with.Require("keys", "write keys: with the columns of the primary key, each after a hyphen")
	var columns []*pipelinev1.OutputColumn
	if keys.Present() {
		if items, ok := keys.Items(); ok && len(items) == 0 {
			keys.Error("write at least one column", "keys is empty")
		}
		columns = readList(keys, nil, true, 0)
	}
	if m := with.Take("mapping"); m.Written() {
		readList(m, columns, false, 0)
	}
	if v := with.Take("opcode_field"); v.Present() {
		if text, ok := v.Text(); ok {
			checkPath(v, text)
		}
	}
	if v := with.Take("skip_nulls"); v.Written() {
		v.Bool()
	}
	if v := with.Take("foreach"); v.Present() {
		v.Text()
	}
	with.Done(yamlfile.Hints{Elsewhere: map[string]string{"schema": "write keyspace:", "database": "write keyspace:"}})
}
