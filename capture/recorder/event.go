package recorder

import (
	"strconv"
	"strings"

	"slipstream/capture/stream"
)

// kind says which type of key an event is about.
type kind byte

const (
	ofAny kind = iota
	ofHash
	ofJSON
)

// event is a keyspace event and what it means for a hash or a JSON document (spec 1.4, 1.5).
type event struct {
	name string
	op   stream.Op
	kind kind
	// fields are the fields op and command and the name of the field key, ready to send; created has op c.
	fields, created []byte
}

func newEvent(name string, op stream.Op, k kind) *event {
	e := &event{name: name, op: op, kind: k, fields: encodeFields(op, name)}
	e.created = e.fields
	if op == stream.OpUpdate {
		e.created = encodeFields(stream.OpCreate, name)
	}
	return e
}

func encodeFields(op stream.Op, command string) []byte {
	var b []byte
	for _, s := range []string{stream.FieldOp, string(rune(op)), stream.FieldCommand, command, stream.FieldKey} {
		b = append(b, '$')
		b = strconv.AppendInt(b, int64(len(s)), 10)
		b = append(b, "\r\n"+s+"\r\n"...)
	}
	return b
}

// eventNew precedes the event of the command that made a key; it is sent where the operator turned on class n.
const eventNew = "new"

// events are those that can change, replace or remove a hash or a JSON document. What needs a key of another type (INCR,
// SADD, LPUSH) and what leaves the value alone (EXPIRE, PERSIST) is not among them.
var events = func() map[string]*event {
	all := map[string]*event{}
	add := func(op stream.Op, k kind, names ...string) {
		for _, name := range names {
			all[name] = newEvent(name, op, k)
		}
	}
	add(stream.OpUpdate, ofHash, "hset", "hincrby", "hincrbyfloat", "hdel", "hexpired")
	add(stream.OpUpdate, ofAny, "rename_to", "copy_to", "restore", "move_to")
	// They replace the key by one of another type: the reader of the value finds that out.
	add(stream.OpUpdate, ofAny, "set", "sinterstore", "sunionstore", "sdiffstore", "zrangestore", "zinterstore",
		"zunionstore", "zdiffstore", "georadiusstore", "geosearchstore", "sortstore")
	add(stream.OpDelete, ofAny, "del", "rename_from", "move_from")
	add(stream.OpExpire, ofAny, "expired")
	add(stream.OpEvict, ofAny, "evicted")
	add(stream.OpMayDelete, ofJSON, "json.del", "json.forget")
	return all
}()

// modules bounds how many names of JSON events are remembered.
const modules = 256

// eventOf returns the event of a name, nil for those that do not matter. Names of JSON events beyond the table are
// updates, and remembered in extra.
func eventOf(name []byte, extra map[string]*event) *event {
	if e, ok := events[string(name)]; ok {
		return e
	}
	if len(name) < 6 || string(name[:5]) != "json." {
		return nil
	}
	if e, ok := extra[string(name)]; ok {
		return e
	}
	e := newEvent(strings.ToLower(string(name)), stream.OpUpdate, ofJSON)
	if len(extra) < modules {
		extra[e.name] = e
	}
	return e
}
