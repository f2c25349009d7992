package stream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"slipstream/proto/keyspace"
)

// Fields of the header beside those that keyspace names.
const (
	fieldSideTrimmedTo = "side_trimmed_to"
	fieldSideLast      = "side_last"
	fieldSelection     = "selection"
	fieldAdded         = "added" // foreign streams: entries ever added, when a position was last published
)

// refusal codes and texts of the server that mean something here.
const noSuchKey = "no such key"

func missing(err error) bool {
	return err != nil && (errors.Is(err, redis.Nil) || strings.Contains(err.Error(), noSuchKey))
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
	if s.Foreign && fields[fieldAdded] != "" {
		before, err := ParseID(fields[fieldAdded])
		if err != nil {
			return Header{}, err
		}
		h.Lost = h.Lost || h.added < int64(before.Ms)
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

// Create begins a new incarnation of a stream, complete after since, which must not be lower than any ID the main stream
// ever had. Entries left of an older incarnation are dropped: no lane may read them.
func (st *Store) Create(ctx context.Context, s Stream, since ID, selection string) (Header, error) {
	h := Header{
		Exists: true, Incarnation: rand.Text(), Since: since, Last: since, Selection: selection, foreign: s.Foreign,
	}
	_, err := st.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, s.Header)
		fields := []any{keyspace.FieldIncarnation, h.Incarnation, fieldSelection, selection}
		if !s.Foreign {
			fields = append(fields, keyspace.FieldSince, since.String(), keyspace.FieldLast, since.String())
			// An entry that is trimmed at once leaves a stream that exists and remembers the ID. The groups go with the
			// old stream; lanes that open create theirs.
			p.Del(ctx, s.Main)
			p.Do(ctx, "XADD", s.Main, "MAXLEN", "0", since.Next().String(), "begin", h.Incarnation)
		}
		p.Del(ctx, s.Side)
		p.Do(ctx, "XADD", s.Side, "MAXLEN", "0", "*", "begin", h.Incarnation)
		p.HSet(ctx, s.Header, fields...)
		return nil
	})
	if err != nil {
		return Header{}, fmt.Errorf("creating stream %q: %w", s.Main, err)
	}
	return st.Header(ctx, s)
}
