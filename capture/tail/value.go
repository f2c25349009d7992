package tail

import (
	"context"
	"fmt"
	"strings"

	"slipstream/capture/resp"
	"slipstream/capture/stream"
	changev1 "slipstream/proto/slipstream/change/v1"
)

// kind is what was found at a key.
type kind byte

const (
	kindMissing kind = iota
	kindHash
	kindJSON
	kindOther // some other type
)

// value is what was found at a key when it was read.
type value struct {
	kind   kind
	shape  uint32   // hash: index of its shape
	values []byte   // hash: the values one behind the other
	ends   []uint32 // hash: where each ends
	doc    []byte   // JSON
}

func (v *value) size() int { return len(v.values) + 4*len(v.ends) + len(v.doc) }

// probe is a key to read and the command to try next.
type probe struct {
	key   []byte
	ask   question
	tries int
	value value
	done  bool
	// presence says that only the presence of the key is asked for.
	presence bool
}

// name is what is asked of which key.
func (p *probe) name() string {
	if p.presence {
		return "?" + string(p.key)
	}
	return "=" + string(p.key)
}

type question byte

const (
	askHash   question = iota // HGETALL: the value, or WRONGTYPE
	askJSON                   // JSON.GET: the value, or a refusal
	askType                   // TYPE: after a refusal
	askExists                 // EXISTS: whether there is a key, of whatever type
)

const (
	firstChunk  = 16  // keys in the first pipeline, before anything is known of their size
	mostChunk   = 512 // keys in one pipeline: bounds what Redis must buffer when values are suddenly large (G8)
	mostTries   = 6   // refusals of one key in a row: its type changes faster than it can be read
	keyOverhead = 64  // bytes a change takes beside its value, roughly
)

// values reads the current values of keys, many in one round trip. A command that the key's type refuses is followed by
// TYPE and the right command in a further round, so that on a server without JSON nothing breaks; the current type
// decides, whatever the entry said.
type values struct {
	average float64 // bytes a value, of the last chunks
	shapes  shapes
	arena   resp.Arena

	sig  []byte   // field names of the hash being read
	text []byte   // its values
	ends []uint32 // and their ends
}

// begin starts a batch. The memory of the last one belongs to that batch for good.
func (v *values) begin() {
	v.arena = resp.Arena{}
	v.shapes = shapes{index: v.shapes.index}
	clear(v.shapes.index)
}

// read reads the values of probes in order until their bytes reach limit, and returns how many it read: at least one.
func (v *values) read(ctx context.Context, conn *resp.Conn, probes []probe, limit int) (int, error) {
	defer conn.Interrupt(ctx)()
	n, bytes := 0, 0
	for n < len(probes) && (n == 0 || bytes < limit) {
		c := min(v.chunk(limit-bytes), len(probes)-n)
		part := probes[n : n+c]
		if err := v.readAll(conn, part); err != nil {
			if ctx.Err() != nil {
				return 0, context.Cause(ctx)
			}
			return 0, fmt.Errorf("reading the values of %d keys: %w", c, err)
		}
		got := 0
		for i := range part {
			got += part[i].value.size()
		}
		v.average = (v.average + float64(got)/float64(c)) / 2
		bytes += got + c*keyOverhead
		n += c
	}
	return n, nil
}

// chunk is how many values are likely to fit into the bytes left.
func (v *values) chunk(left int) int {
	if v.average == 0 {
		return firstChunk
	}
	return max(1, min(mostChunk, int(float64(left)/(v.average+keyOverhead))))
}

// readAll reads every probe of a chunk.
func (v *values) readAll(conn *resp.Conn, part []probe) error {
	open := len(part)
	for open > 0 {
		for i := range part {
			if p := &part[i]; !p.done {
				ask(conn.Out, p)
			}
		}
		if err := conn.Out.Flush(); err != nil {
			return err
		}
		var refusal error // the other answers are read all the same, so that the connection stays usable
		for i := range part {
			p := &part[i]
			if p.done {
				continue
			}
			err := v.answer(conn.In, p)
			switch {
			case err == nil:
			case resp.Refused(err) == "":
				return err
			case refusal == nil:
				refusal = err
			}
			if p.done {
				open--
			}
		}
		if refusal != nil {
			return refusal
		}
	}
	return nil
}

func ask(out *resp.Writer, p *probe) {
	out.Begin(2)
	switch p.ask {
	case askHash:
		out.String("HGETALL")
	case askJSON:
		out.String("JSON.GET")
	case askType:
		out.String("TYPE")
	case askExists:
		out.String("EXISTS")
	}
	out.Bytes(p.key)
}

// answer reads the answer to a probe: its value, or what to ask next.
func (v *values) answer(in *resp.Reader, p *probe) error {
	var err error
	switch p.ask {
	case askHash:
		err = v.hash(in, p)
	case askJSON:
		err = v.document(in, p)
	case askType:
		err = typeOf(in, p)
	case askExists:
		err = exists(in, p)
	}
	if err == nil {
		return nil
	}
	if p.ask == askType || p.ask == askExists || !wrongCommand(err) || p.tries >= mostTries {
		return err
	}
	p.tries++
	p.ask = askType
	return nil
}

// wrongCommand says whether the server refused a command because of the key's type, or because it does not know it.
func wrongCommand(err error) bool {
	switch resp.Refused(err) {
	case "":
		return false
	case "WRONGTYPE":
		return true
	case "ERR", "Existing", "unknown":
		text := strings.ToLower(err.Error())
		return strings.Contains(text, "unknown command") || strings.Contains(text, "wrong redis type") ||
			strings.Contains(text, "wrong kind of value") || strings.Contains(text, "wrong type")
	}
	return false
}

func typeOf(in *resp.Reader, p *probe) error {
	name, err := in.Bulk()
	if err != nil {
		return err
	}
	switch string(name) {
	case "hash":
		p.ask = askHash
	case "ReJSON-RL":
		p.ask = askJSON
	case "none":
		p.value, p.done = value{kind: kindMissing}, true
	default:
		p.value, p.done = value{kind: kindOther}, true
	}
	return nil
}

func exists(in *resp.Reader, p *probe) error {
	n, err := in.Int()
	if err != nil {
		return err
	}
	p.value, p.done = value{kind: kindOther}, true
	if n == 0 {
		p.value.kind = kindMissing
	}
	return nil
}

func (v *values) document(in *resp.Reader, p *probe) error {
	b, err := in.Bulk()
	if err != nil {
		return err
	}
	p.done = true
	if b != nil {
		p.value = value{kind: kindJSON, doc: v.arena.Copy(b)}
	}
	return nil
}

func (v *values) hash(in *resp.Reader, p *probe) error {
	n, err := in.Array()
	if err != nil {
		return err
	}
	p.done = true
	if n <= 0 {
		return nil // a hash is never empty: the key is missing
	}
	v.sig, v.text, v.ends = v.sig[:0], v.text[:0], v.ends[:0]
	for range n / 2 {
		field, err := in.Bulk()
		if err != nil {
			return err
		}
		v.sig = appendField(v.sig, field)
		text, err := in.Bulk()
		if err != nil {
			return err
		}
		v.text = append(v.text, text...)
		v.ends = append(v.ends, uint32(len(v.text)))
	}
	p.value = value{
		kind: kindHash, shape: v.shapes.of(v.sig), values: v.arena.Copy(v.text), ends: append([]uint32(nil), v.ends...),
	}
	return nil
}

// unpack is the value of a hash that an entry carries.
func (v *values) unpack(packed []byte) value {
	v.sig, v.text, v.ends = v.sig[:0], v.text[:0], v.ends[:0]
	for field, text := range stream.Unpack(packed) {
		v.sig = appendField(v.sig, field)
		v.text = append(v.text, text...)
		v.ends = append(v.ends, uint32(len(v.text)))
	}
	return value{
		kind: kindHash, shape: v.shapes.of(v.sig), values: v.arena.Copy(v.text), ends: append([]uint32(nil), v.ends...),
	}
}

// shapes are the lists of field names of a batch, each once (design D7).
type shapes struct {
	index map[string]uint32 // by the concatenated names, each behind its length
	list  []*changev1.Shape
}

func appendField(sig, field []byte) []byte {
	n := len(field)
	sig = append(sig, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	return append(sig, field...)
}

// of is the index of the shape with these field names.
func (s *shapes) of(sig []byte) uint32 {
	if at, ok := s.index[string(sig)]; ok {
		return at
	}
	if s.index == nil {
		s.index = make(map[string]uint32)
	}
	at := uint32(len(s.list))
	own := append([]byte(nil), sig...)
	s.index[string(own)] = at
	shape := &changev1.Shape{}
	for len(own) > 0 {
		n := int(own[0]) | int(own[1])<<8 | int(own[2])<<16 | int(own[3])<<24
		shape.Fields = append(shape.Fields, own[4:4+n:4+n])
		own = own[4+n:]
	}
	s.list = append(s.list, shape)
	return at
}
