package stream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"slipstream/proto/keyspace"
)

// Fields of the header beside those that keyspace names.
const (
	fieldSideTrimmedTo = "side_trimmed_to"
	fieldSideLast      = "side_last"
	fieldSelection     = "selection"
	fieldRead          = "read" // foreign streams: entries ever added up to the position published last
)

// missing says whether an error means that there is no stream of that name. A key of another type under one of our names
// is no stream either: it has replaced one.
func missing(err error) bool {
	return errors.Is(err, redis.Nil) || code(err) == "WRONGTYPE" ||
		(code(err) == "ERR" && strings.Contains(err.Error(), "no such key"))
}

// Header reads all that is known of a stream, at one instant.
func (st *Store) Header(ctx context.Context, s Stream) (Header, error) {
	headers, err := st.Headers(ctx, []Stream{s})
	if err != nil {
		return Header{}, err
	}
	return headers[0], nil
}

// Headers reads the headers of several streams in one round trip.
func (st *Store) Headers(ctx context.Context, streams []Stream) ([]Header, error) {
	type asked struct {
		header     *redis.MapStringStringCmd
		main, side *redis.XInfoStreamCmd
		groups     [2]*redis.XInfoGroupsCmd
	}
	asks := make([]asked, len(streams))
	_, err := st.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, s := range streams {
			// The header first: whatever it says was recorded is in the streams by the time they are asked.
			asks[i].header = p.HGetAll(ctx, s.Header)
			asks[i].main = p.XInfoStream(ctx, s.Main)
			asks[i].side = p.XInfoStream(ctx, s.Side)
			asks[i].groups[0] = p.XInfoGroups(ctx, s.Main)
			asks[i].groups[1] = p.XInfoGroups(ctx, s.Side)
		}
		return nil
	})
	if err != nil && !missing(err) {
		return nil, fmt.Errorf("reading the headers of %d streams: %w", len(streams), err)
	}
	headers := make([]Header, len(streams))
	for i, s := range streams {
		a := asks[i]
		for _, err := range []error{a.header.Err(), a.main.Err(), a.side.Err(), a.groups[0].Err(), a.groups[1].Err()} {
			if err != nil && !missing(err) {
				return nil, fmt.Errorf("reading the header of stream %q: %w", s.Main, err)
			}
		}
		h, err := assemble(s, a.header.Val(), a.main.Val(), a.side.Val())
		if err != nil {
			return nil, fmt.Errorf("reading the header of stream %q: %w", s.Main, err)
		}
		if h.groups[0], err = groupsOf(a.groups[0].Val()); err == nil {
			h.groups[1], err = groupsOf(a.groups[1].Val())
		}
		if err != nil {
			return nil, fmt.Errorf("reading the groups of stream %q: %w", s.Main, err)
		}
		headers[i] = h
	}
	return headers, nil
}

// assemble builds a header from its hash and what the server knows of the two streams, nil where one does not exist.
func assemble(s Stream, fields map[string]string, main, side *redis.XInfoStream) (Header, error) {
	h := Header{
		Exists:      fields[keyspace.FieldIncarnation] != "",
		Incarnation: fields[keyspace.FieldIncarnation],
		Selection:   fields[fieldSelection],
		foreign:     s.Foreign,
	}
	if err := h.generationsOf(fields); err != nil {
		return Header{}, err
	}
	var recorded, sideRecorded, mainLast, sideLast ID
	for _, f := range []struct {
		text string
		id   *ID
	}{
		{fields[keyspace.FieldSince], &h.Since},
		{fields[keyspace.FieldTrimmedTo], &h.TrimmedTo},
		{fields[keyspace.FieldLast], &recorded},
		{fields[fieldSideTrimmedTo], &h.SideTrimmedTo},
		{fields[fieldSideLast], &sideRecorded},
		{lastGenerated(main), &mainLast},
		{lastGenerated(side), &sideLast},
	} {
		if f.text == "" {
			continue
		}
		id, err := ParseID(f.text)
		if err != nil {
			return Header{}, err
		}
		*f.id = id
	}
	h.Last, h.SideLast = Later(recorded, mainLast), Later(sideRecorded, sideLast)
	h.Lost = h.Exists && (mainLast.Less(recorded) || sideLast.Less(sideRecorded))
	if main != nil {
		h.added, h.length = main.EntriesAdded, main.Length
		if main.FirstEntry.ID != "" {
			first, err := ParseID(main.FirstEntry.ID)
			if err != nil {
				return Header{}, err
			}
			h.first = first
		}
	}
	if side != nil {
		h.sideAdded, h.sideLength = side.EntriesAdded, side.Length
	}
	if read := fields[fieldRead]; s.Foreign && read != "" {
		n, err := strconv.ParseInt(read, 10, 64)
		if err != nil {
			return Header{}, fmt.Errorf("reading the field %q: %w", fieldRead, err)
		}
		h.Lost = h.Lost || h.added < n // it began anew
	}
	return h, nil
}

func lastGenerated(info *redis.XInfoStream) string {
	if info == nil {
		return ""
	}
	return info.LastGeneratedID
}

func groupsOf(infos []redis.XInfoGroup) (map[string]group, error) {
	groups := make(map[string]group, len(infos))
	for _, g := range infos {
		id, err := ParseID(g.LastDeliveredID)
		if err != nil {
			return nil, err
		}
		groups[g.Name] = group{at: id, read: g.EntriesRead, lag: g.Lag}
	}
	return groups, nil
}

// Creation returns the commands that begin a new incarnation of a stream, complete after since, which must not be lower
// than any ID the main stream ever had. What is left of an older incarnation is dropped: no lane may read it. The
// recorder sends them in a transaction guarded by its lease.
func Creation(s Stream, incarnation string, since ID, selection string) [][]string {
	fields := []string{"HSET", s.Header, keyspace.FieldIncarnation, incarnation, fieldSelection, selection}
	if s.Foreign {
		return [][]string{{"DEL", s.Header, s.Side}, begin(s.Side, "*", incarnation), fields}
	}
	fields = append(fields, keyspace.FieldSince, since.String(), keyspace.FieldLast, since.String())
	return [][]string{
		{"DEL", s.Header, s.Main, s.Side}, // the groups go with the streams; lanes that open make theirs anew
		begin(s.Main, since.Next().String(), incarnation), begin(s.Side, "*", incarnation), fields,
	}
}

// begin makes a stream that is empty, exists and remembers an ID: its one entry is trimmed at once.
func begin(key, id, incarnation string) []string {
	return []string{"XADD", key, "MAXLEN", "0", id, "begin", incarnation}
}

// Create begins a new incarnation of a stream outside a recorder: see Creation.
func (st *Store) Create(ctx context.Context, s Stream, since ID, selection string) (Header, error) {
	_, err := st.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for _, command := range Creation(s, rand.Text(), since, selection) {
			args := make([]any, len(command))
			for i, a := range command {
				args[i] = a
			}
			p.Do(ctx, args...)
		}
		return nil
	})
	if err != nil {
		return Header{}, fmt.Errorf("creating stream %q: %w", s.Main, err)
	}
	return st.Header(ctx, s)
}

// Adopt makes sure that the stream which an application writes has a header and a side stream, and returns the header. A
// header that was made for another stream of the job begins anew: positions in that one say nothing of this one. Two who
// adopt at once agree: the second finds what the first has made, or its lanes find a new incarnation.
func (st *Store) Adopt(ctx context.Context, s Stream) (Header, error) {
	h, err := st.Header(ctx, s)
	switch {
	case err != nil || h.Exists && h.Selection == s.Main:
		return h, err
	case h.Exists && h.Selection == "": // of a version that did not note the stream
		if err := st.rdb.HSet(ctx, s.Header, fieldSelection, s.Main).Err(); err != nil {
			return Header{}, fmt.Errorf("noting the stream %q: %w", s.Main, err)
		}
		h.Selection = s.Main
		return h, nil
	}
	return st.Create(ctx, s, ID{}, s.Main)
}
