package mysql

import (
	"bytes"
	"maps"
	"slices"

	"slipstream/applier"
)

// memory is the row index of a rehearsal for which no table was made yet: a table that is created cannot be rolled back
// here. It holds what the rehearsal itself has stored, since nobody else has stored anything.
type memory struct {
	outputs map[string]map[string]applier.Entry // by output and row
}

func newMemory() *memory { return &memory{outputs: map[string]map[string]applier.Entry{}} }

// copy is the index as it is now; that of none is none.
func (m *memory) copy() *memory {
	if m == nil {
		return nil
	}
	c := newMemory()
	for output, rows := range m.outputs {
		c.outputs[output] = maps.Clone(rows)
	}
	return c
}

func (m *memory) owned(output string, owners, rows [][]byte) (entries []applier.Entry) {
	for _, row := range slices.Sorted(maps.Keys(m.outputs[output])) {
		e := m.outputs[output][row]
		is := func(key []byte) func([]byte) bool { return func(other []byte) bool { return bytes.Equal(key, other) } }
		if slices.ContainsFunc(owners, is(e.Owner)) || slices.ContainsFunc(rows, is(e.Row)) {
			entries = append(entries, e)
		}
	}
	return entries
}

func (m *memory) own(output string, entries []applier.Entry, gone [][]byte) {
	if m.outputs[output] == nil {
		m.outputs[output] = map[string]applier.Entry{}
	}
	for _, row := range gone {
		delete(m.outputs[output], string(row))
	}
	for _, e := range entries {
		e.Row, e.Owner, e.Before = bytes.Clone(e.Row), bytes.Clone(e.Owner), bytes.Clone(e.Before)
		m.outputs[output][string(e.Row)] = e
	}
}
