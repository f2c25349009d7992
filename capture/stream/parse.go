package stream

import (
	"bytes"
	"fmt"
	"strconv"

	"slipstream/capture/resp"
)

// Names of the fields of an entry: docs/entry-format.md.
const (
	FieldKey         = "key"
	FieldOp          = "op"
	FieldCommand     = "command"
	FieldType        = "type"
	FieldTs          = "ts"
	FieldAfter       = "after"
	FieldBefore      = "before"
	FieldTraceparent = "traceparent"
	// Those below are Slipstream's own: applications' streams have no say in them.
	FieldHash       = "hash"       // a packed hash
	FieldFound      = "found"      // what the recorder found where that was no value
	FieldAsOf       = "as_of"      // side streams: the main ID whose value this is
	FieldConnection = "connection" // side streams: the only connection it is for
)

// entries reads the answer to an XREAD of one stream into b.
func (r *Reader) entries(b *Batch, side bool) error {
	in := r.conn.In
	streams, err := in.Array()
	if err != nil || streams <= 0 {
		return err
	}
	if err := members(in, 2); err != nil { // name and entries
		return err
	}
	if _, err := in.Bulk(); err != nil {
		return err
	}
	n, err := in.Array()
	if err != nil {
		return err
	}
	for range n {
		if err := members(in, 2); err != nil { // ID and fields
			return err
		}
		text, err := in.Bulk()
		if err != nil {
			return err
		}
		e := Entry{Side: side}
		if e.ID, err = parseBytes(text); err != nil {
			return err
		}
		if err := r.fields(b, &e); err != nil {
			return err
		}
		b.Entries = append(b.Entries, e)
		if side {
			b.Side++
			b.End.Side = e.ID
		} else {
			b.Main++
			b.End.Main = e.ID
		}
	}
	return nil
}

func members(in *resp.Reader, want int) error {
	n, err := in.Array()
	if err == nil && n != want {
		err = &resp.ProtocolError{Detail: fmt.Sprintf("%d members of a stream entry", n)}
	}
	return err
}

// fields reads the fields of an entry. What cannot be understood makes the entry faulty, never the read (G5).
func (r *Reader) fields(b *Batch, e *Entry) error {
	in := r.conn.In
	n, err := in.Array()
	if err != nil {
		return err
	}
	e.Op = OpUpdate
	e.Ms = int64(e.ID.Ms)
	hasKey := false
	for range n / 2 {
		name, err := in.Bulk()
		if err != nil {
			return err
		}
		f := fieldOf(name)
		value, err := in.Bulk()
		if err != nil {
			return err
		}
		switch f {
		case fKey:
			e.Key, hasKey = b.arena.Copy(value), true
		case fOp:
			if len(value) == 1 && Op(value[0]|0x20).Valid() {
				e.Op = Op(value[0] | 0x20)
			} else {
				e.fault("unknown op %q", value)
			}
		case fCommand:
			e.Command = r.intern(value)
		case fType:
			if e.Type = r.intern(value); e.Type != "hash" && e.Type != "json" && e.Type != "" {
				e.fault("unknown type %q", value)
			}
		case fTs:
			if ms, err := strconv.ParseInt(string(value), 10, 64); err == nil && ms >= 0 {
				e.Ms = ms
			} else {
				e.fault("ts %q is not a number of milliseconds", value)
			}
		case fAfter:
			e.After = b.arena.Copy(value)
		case fBefore:
			e.Before = b.arena.Copy(value)
		case fTraceparent:
			e.Traceparent = string(value)
		default:
			r.own(b, e, f, value)
		}
	}
	if !hasKey {
		e.fault("the entry has no field key")
	}
	e.Carries = e.After != nil || e.Hash != nil
	return nil
}

// own takes the fields that only Slipstream writes. In the stream of an application they are any other field.
func (r *Reader) own(b *Batch, e *Entry, f field, value []byte) {
	if r.stream.Foreign && !e.Side {
		return
	}
	switch f {
	case fHash:
		if err := checkPacked(value); err != nil {
			e.fault("%v", err)
			return
		}
		e.Hash = b.arena.Copy(value)
	case fFound:
		switch string(value) {
		case TextNothing:
			e.Found = FoundNothing
		case TextOther:
			e.Found = FoundOther
		default:
			e.fault("unknown finding %q", value)
		}
	case fAsOf:
		id, err := parseBytes(value)
		if err != nil || id.IsZero() || !e.Side {
			e.fault("as_of %q is not the ID of a change", value)
			return
		}
		e.AsOf = id
	case fConnection:
		if e.Side {
			e.Connection = r.intern(value)
		}
	}
}

// longest is how much of a value that is not understood is shown.
const longest = 64

func (e *Entry) fault(format string, value ...any) {
	if e.Fault != "" {
		return
	}
	for i, v := range value {
		if b, ok := v.([]byte); ok && len(b) > longest {
			value[i] = append(bytes.Clone(b[:longest]), "…"...)
		}
	}
	e.Fault = fmt.Sprintf(format, value...)
}

type field byte

const (
	fOther field = iota
	fKey
	fOp
	fCommand
	fType
	fTs
	fAfter
	fBefore
	fTraceparent
	fHash
	fFound
	fAsOf
	fConnection
)

func fieldOf(name []byte) field {
	switch string(name) {
	case FieldKey:
		return fKey
	case FieldOp:
		return fOp
	case FieldCommand:
		return fCommand
	case FieldType:
		return fType
	case FieldTs:
		return fTs
	case FieldAfter:
		return fAfter
	case FieldBefore:
		return fBefore
	case FieldTraceparent:
		return fTraceparent
	case FieldHash:
		return fHash
	case FieldFound:
		return fFound
	case FieldAsOf:
		return fAsOf
	case FieldConnection:
		return fConnection
	}
	return fOther
}

// interned bounds the memory for names: an application may send as many commands as it likes.
const interned = 256

// intern returns the string of b without an allocation where it was seen before.
func (r *Reader) intern(b []byte) string {
	if s, ok := r.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(r.names) < interned && len(s) <= longest {
		r.names[s] = s
	}
	return s
}
