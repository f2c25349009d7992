package tail

import (
	"context"

	"slipstream/capture/resp"
	"slipstream/capture/stream"
)

// Snapshot is what was at a key: a packed hash, a JSON document, or what else was found.
type Snapshot struct {
	Hash, JSON []byte
	Found      stream.Found
}

// Size is the memory it takes.
func (s *Snapshot) Size() int { return len(s.Hash) + len(s.JSON) }

// Wanted is a key whose value is wanted. JSON says that a document is expected there; what is there decides.
type Wanted struct {
	Key  []byte
	JSON bool
}

// Camera takes snapshots of keys, many in one round trip. It serves one goroutine.
type Camera struct {
	values values
	probes []probe
}

// Take returns snapshots of the first keys that are wanted, until their size reaches limit: at least one.
func (c *Camera) Take(ctx context.Context, conn *resp.Conn, wanted []Wanted, limit int) ([]Snapshot, error) {
	c.values.begin()
	c.probes = c.probes[:0]
	for _, w := range wanted {
		p := probe{key: w.Key}
		if w.JSON {
			p.ask = askJSON
		}
		c.probes = append(c.probes, p)
	}
	n, err := c.values.read(ctx, conn, c.probes, limit)
	if err != nil {
		return nil, err
	}
	out := make([]Snapshot, n)
	for i := range out {
		out[i] = c.develop(&c.probes[i].value)
	}
	return out, nil
}

func (c *Camera) develop(v *value) Snapshot {
	switch v.kind {
	case kindHash:
		var packed []byte
		from := uint32(0)
		for i, name := range c.values.shapes.list[v.shape].Fields {
			packed = stream.Pack(stream.Pack(packed, name), v.values[from:v.ends[i]])
			from = v.ends[i]
		}
		return Snapshot{Hash: packed}
	case kindJSON:
		return Snapshot{JSON: v.doc}
	case kindMissing:
		return Snapshot{Found: stream.FoundNothing}
	}
	return Snapshot{Found: stream.FoundOther}
}
