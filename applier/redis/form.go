package redis

import (
	"context"

	"slipstream/applier"
	"slipstream/applier/value"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// form is an output bound: what its rows are, and where each part of them is.
type form struct {
	kind   pipelinev1.RedisType
	merge  bool   // on_update: merge
	path   string // name of the map under nest; empty: none
	expire uint64 // seconds; 0: none
	native bool   // documents are merged by JSON.MERGE

	removesNulls bool // a merge takes a null for the wish to remove (use_native_json_merge)

	key, member, value, score, ttl int // columns; -1: there is none
}

// typeNames are the types as TYPE says them.
var typeNames = map[pipelinev1.RedisType]string{
	pipelinev1.RedisType_REDIS_TYPE_HASH: "hash", pipelinev1.RedisType_REDIS_TYPE_SET: "set",
	pipelinev1.RedisType_REDIS_TYPE_SORTED_SET: "zset", pipelinev1.RedisType_REDIS_TYPE_STREAM: "stream",
	pipelinev1.RedisType_REDIS_TYPE_STRING: "string", pipelinev1.RedisType_REDIS_TYPE_JSON: "ReJSON-RL",
}

// words are the types as jobs and people say them.
var words = map[string]string{"ReJSON-RL": "JSON document", "zset": "sorted set"}

func word(typeName string) string {
	if w := words[typeName]; w != "" {
		return w
	}
	return typeName
}

// typeName is what TYPE says of a key of the form.
func (f *form) typeName() string { return typeNames[f.kind] }

// shared tells whether rows of several lanes are in one key, as a rule.
func (f *form) shared() bool {
	switch f.kind {
	case pipelinev1.RedisType_REDIS_TYPE_SET, pipelinev1.RedisType_REDIS_TYPE_SORTED_SET, pipelinev1.RedisType_REDIS_TYPE_STREAM:
		return true
	}
	return f.path != ""
}

// roles are the names of the columns (pipelinev1.RedisForm).
const (
	roleKey    = "key"
	roleMember = "member"
	roleEntry  = "entry"
	roleValue  = "value"
	roleScore  = "score"
	roleExpire = "expire"
)

// Table binds an output. The name is that of the type, since two outputs that write to keys of one type may write to one
// key, and then the order of events counts.
func (t *target) Table(ctx context.Context, o *pipelinev1.Output) (*applier.Table, error) {
	f, table, err := bind(o)
	if err != nil {
		return nil, err
	}
	if f.kind == pipelinev1.RedisType_REDIS_TYPE_JSON {
		t.json.Store(true)
		has, err := t.documents(ctx)
		if err != nil {
			return nil, t.told(err)
		}
		if !has.set {
			return nil, schemaFault("the server of connection %q has no JSON documents", t.name).WithFix(jsonFix)
		}
		f.native, f.removesNulls = has.merge && t.options.nativeMerge, t.options.nativeMerge
	}
	if f.kind == pipelinev1.RedisType_REDIS_TYPE_STREAM && t.cluster != nil {
		return nil, schemaFault("a stream on a Redis Cluster would get entries twice: entries and position do not commit together").WithFix(streamFix)
	}
	return table, nil
}

const (
	jsonFix   = "use Redis 8, or load the JSON module into the server (loadmodule), or write data_type: hash"
	streamFix = "write the stream to a Redis that is no cluster"
)

// bind reads the form of an output.
func bind(o *pipelinev1.Output) (*form, *applier.Table, error) {
	r, w := o.GetRedis(), o.GetRelational()
	if r == nil || typeNames[r.GetDataType()] == "" {
		return nil, nil, schemaFault("%s: rows of a table cannot be written to a Redis", o.GetPath()).WithFix("write redis.write")
	}
	f := &form{
		kind: r.GetDataType(), merge: r.GetOnUpdate() == pipelinev1.OnUpdate_ON_UPDATE_MERGE, path: nestName(r.GetNestPath()),
		expire: r.GetExpireSeconds(), key: -1, member: -1, value: -1, score: -1, ttl: -1,
	}
	table := &applier.Table{Name: word(f.typeName()) + " keys", Native: f}
	for i, c := range w.GetColumns() {
		typ := value.Type{Kind: value.Raw, Name: "bytes", Column: c.GetColumn()}
		switch c.GetColumn() {
		case roleKey:
			f.key = i
		case roleMember, roleEntry:
			f.member = i
		case roleValue:
			f.value = i
		case roleScore:
			f.score = i
			typ = value.Type{Kind: value.Float, Bits: 64, Special: true, Name: "score", Column: roleScore}
		case roleExpire:
			f.ttl = i
		default:
			return nil, nil, schemaFault("%s: a row of a Redis has no column %s", o.GetPath(), c.GetColumn())
		}
		table.Columns = append(table.Columns, applier.TableColumn{Name: c.GetColumn(), Type: typ, Key: c.GetKey()})
		if c.GetKey() {
			table.Keys = append(table.Keys, i)
		}
	}
	if f.key < 0 || f.needs() {
		return nil, nil, schemaFault("%s: the output lacks a column that a %s needs", o.GetPath(), word(f.typeName()))
	}
	return f, table, nil
}

// needs tells whether a column is missing.
func (f *form) needs() bool {
	switch f.kind {
	case pipelinev1.RedisType_REDIS_TYPE_SET:
		return f.member < 0
	case pipelinev1.RedisType_REDIS_TYPE_SORTED_SET:
		return f.member < 0 || f.score < 0
	}
	return f.value < 0 || f.path != "" && f.member < 0
}

// nestName is the member that a path of one level names.
func nestName(path string) string {
	if len(path) > 2 && path[:2] == "$." {
		return path[2:]
	}
	return path
}
