package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"slipstream/applier"
)

// The row index of an output (design D8) is two hashes: rows has the entry of each row, owners the rows of each Redis key.
// Both are watched from the first look at them, and lanes of one process take turns, since all write to them.

// index is what a transaction knows of the row index of one output.
type index struct {
	rows, owners string
	entries      map[string]applier.Entry
	lists        map[string][]string // the rows of each owner
}

// appendEntry is the form of an entry in its hash.
func appendEntry(e *applier.Entry) []byte {
	b := binary.AppendUvarint(nil, e.Ms)
	b = binary.AppendUvarint(b, e.Seq)
	b = binary.AppendUvarint(b, uint64(len(e.Owner)))
	b = append(b, e.Owner...)
	if e.Before != nil {
		b = append(append(b, 1), e.Before...)
	}
	return b
}

var errEntry = errors.New("the row index holds an entry that it did not write")

func parseEntry(row string, text []byte) (e applier.Entry, err error) {
	e.Row = []byte(row)
	var length uint64
	for _, into := range []*uint64{&e.Ms, &e.Seq, &length} {
		v, n := binary.Uvarint(text)
		if n <= 0 {
			return e, errEntry
		}
		*into, text = v, text[n:]
	}
	if uint64(len(text)) < length {
		return e, errEntry
	}
	e.Owner = text[:length:length]
	if rest := text[length:]; len(rest) > 0 {
		e.Before = rest[1:]
	}
	return e, nil
}

func appendList(rows []string) []byte {
	var b []byte
	for _, row := range rows {
		b = binary.AppendUvarint(b, uint64(len(row)))
		b = append(b, row...)
	}
	return b
}

func parseList(text []byte) (rows []string, err error) {
	for len(text) > 0 {
		length, n := binary.Uvarint(text)
		if n <= 0 || uint64(len(text)-n) < length {
			return nil, errEntry
		}
		rows = append(rows, string(text[n:n+int(length)]))
		text = text[n+int(length):]
	}
	return rows, nil
}

// fields is HMGET of some fields; a hash is never asked for none.
func fields(key string, names []string) command {
	args := make([]any, 0, len(names)+2)
	args = append(args, "HMGET", key)
	for _, n := range names {
		args = append(args, n)
	}
	return command{key: []byte(key), args: args}
}

func texts(list [][]byte) []string {
	out := make([]string, len(list))
	for i, b := range list {
		out[i] = string(b)
	}
	return out
}

// Owned reads entries. Who changes one meanwhile makes EXEC do nothing.
func (t *txn) Owned(ctx context.Context, output string, owners, rows [][]byte) ([]applier.Entry, error) {
	if err := t.take(ctx); err != nil {
		return nil, err
	}
	x := &index{entries: map[string]applier.Entry{}, lists: map[string][]string{}}
	x.rows, x.owners = t.target.indexKeys(t.session.lane, output)
	if t.index == nil {
		t.index = map[string]*index{}
	}
	t.index[output] = x
	watch := command{key: []byte(x.rows), args: []any{"WATCH", x.rows, x.owners}}
	if err := t.read(ctx, x, texts(owners), texts(rows), watch); err != nil {
		return nil, err
	}
	// Entries of the owners' other rows, and the lists of those that own the rows.
	var more, lists []string
	for _, list := range x.lists {
		for _, row := range list {
			if _, known := x.entries[row]; !known {
				more = append(more, row)
			}
		}
	}
	for _, e := range x.entries {
		if _, known := x.lists[string(e.Owner)]; !known {
			lists = append(lists, string(e.Owner))
		}
	}
	if err := t.read(ctx, x, distinct(lists), distinct(more)); err != nil {
		return nil, err
	}
	entries := make([]applier.Entry, 0, len(x.entries))
	for _, row := range slices.Sorted(maps.Keys(x.entries)) {
		entries = append(entries, x.entries[row])
	}
	return entries, nil
}

func distinct(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// read adds lists and entries to what is known.
func (t *txn) read(ctx context.Context, x *index, owners, rows []string, before ...command) error {
	commands := before
	if len(owners) > 0 {
		commands = append(commands, fields(x.owners, owners))
	}
	if len(rows) > 0 {
		commands = append(commands, fields(x.rows, rows))
	}
	if len(commands) == 0 {
		return nil
	}
	answers, err := t.check(ctx, commands...)
	if err != nil {
		return err
	}
	for _, a := range answers {
		if a.err != nil {
			return fmt.Errorf("reading the row index: %w", t.target.told(a.err))
		}
	}
	answers = answers[len(before):]
	if len(owners) > 0 {
		for i, v := range answers[0].list() {
			text, _ := v.(string)
			if x.lists[owners[i]], err = parseList([]byte(text)); err != nil {
				return err
			}
		}
		answers = answers[1:]
	}
	if len(rows) > 0 {
		for i, v := range answers[0].list() {
			text, ok := v.(string)
			if !ok {
				continue
			}
			if x.entries[rows[i]], err = parseEntry(rows[i], []byte(text)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Own buffers what the row index becomes.
func (t *txn) Own(_ context.Context, output string, entries []applier.Entry, gone [][]byte) error {
	x := t.index[output]
	if x == nil {
		return schemaFault("the row index of %s was not read in this transaction", output)
	}
	changed := map[string]bool{}
	leave := func(row string) {
		old, had := x.entries[row]
		if !had {
			return
		}
		owner := string(old.Owner)
		x.lists[owner] = slices.DeleteFunc(slices.Clone(x.lists[owner]), func(r string) bool { return r == row })
		changed[owner] = true
		delete(x.entries, row)
	}
	del := []any{"HDEL", x.rows}
	for _, row := range gone {
		leave(string(row))
		del = append(del, row)
	}
	set := []any{"HSET", x.rows}
	for i := range entries {
		e := &entries[i]
		row, owner := string(e.Row), string(e.Owner)
		if old, had := x.entries[row]; !had || string(old.Owner) != owner {
			leave(row)
			x.lists[owner] = append(slices.Clone(x.lists[owner]), row)
			changed[owner] = true
		}
		x.entries[row] = *e
		set = append(set, e.Row, appendEntry(e))
	}
	lists, empty := []any{"HSET", x.owners}, []any{"HDEL", x.owners}
	for _, owner := range slices.Sorted(maps.Keys(changed)) {
		if list := x.lists[owner]; len(list) > 0 {
			lists = append(lists, owner, appendList(list))
		} else {
			empty = append(empty, owner)
		}
	}
	for _, args := range [][]any{del, set, empty, lists} {
		if len(args) > 2 {
			t.entries = append(t.entries, command{args: args})
		}
	}
	return nil
}

// Images reads before images. Where a key has several, the newest counts.
func (s *session) Images(ctx context.Context, output string, owners [][]byte) ([][]byte, error) {
	images := make([][]byte, len(owners))
	if len(owners) == 0 {
		return images, nil
	}
	conn, err := s.target.hold(ctx, s.key)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // it has nothing to say
	rows, byOwner := s.target.indexKeys(s.lane, output)
	answers, err := whole(ctx, conn, []command{fields(byOwner, texts(owners))})
	if err != nil {
		s.target.lost(ctx, err)
		return nil, err
	}
	lists := make([][]string, len(owners))
	var wanted []string
	for i, v := range answers[0].list() {
		text, _ := v.(string)
		if lists[i], err = parseList([]byte(text)); err != nil {
			return nil, err
		}
		wanted = append(wanted, lists[i]...)
	}
	if len(wanted) == 0 {
		return images, nil
	}
	if answers, err = whole(ctx, conn, []command{fields(rows, wanted)}); err != nil {
		return nil, err
	}
	found := answers[0].list()
	for i, list := range lists {
		var newest applier.Entry
		for range list {
			text, ok := found[0].(string)
			found = found[1:]
			if !ok {
				continue
			}
			e, err := parseEntry("", []byte(text))
			if err != nil {
				return nil, err
			}
			if e.Before != nil && (newest.Before == nil || e.Newer(newest.Ms, newest.Seq)) {
				newest = e
			}
		}
		images[i] = newest.Before
	}
	return images, nil
}
