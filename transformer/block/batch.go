package block

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipstream/transformer/expression"
)

// Item is a record of a batch on its way through the blocks.
type Item struct {
	// Record goes in.
	Record *Record
	// Kept and Err are what Apply would have returned.
	Kept bool
	Err  error
	// Watch, where it is not nil, is told of each block that has run.
	Watch func(block string, kept bool)
}

// Looks tells whether a block reads from Redis, so that records should be run together.
func (c Chain) Looks() bool {
	return slices.ContainsFunc(c, func(s step) bool { _, is := s.block.(*lookup); return is })
}

// Together runs the blocks, one after the other, each on all the records that are left: so the lookups of a batch share
// their round trips. The error is that of ctx; what a record does is with its item.
func (c Chain) Together(ctx context.Context, r *expression.Runner, looker Looker, items []*Item) error {
	live := slices.Clone(items)
	for _, s := range c {
		var failed []error
		if l, is := s.block.(*lookup); is {
			var err error
			if failed, err = l.together(ctx, r, looker, live); err != nil {
				return err
			}
		}
		next := live[:0]
		for i, item := range live {
			keep, err := true, error(nil)
			if failed != nil {
				err = failed[i]
			} else {
				keep, err = s.apply(r, item.Record)
			}
			switch {
			case err != nil:
				item.Err = &Failure{Block: s.name, Err: err}
				continue
			case item.Watch != nil:
				item.Watch(s.name, keep)
			}
			if keep {
				next = append(next, item)
			}
		}
		live = next
	}
	for _, item := range live {
		item.Kept = true
	}
	return nil
}

// together looks up what the records ask for: the same question once, and none whose answer is kept. It gives an error
// or nil for each.
func (b *lookup) together(ctx context.Context, r *expression.Runner, looker Looker, items []*Item) ([]error, error) {
	failed := make([]error, len(items))
	asks := make([][]string, len(items)) // nil where nothing is looked up
	var commands [][]string
	index := map[string]int{}
	answers := map[string]Reply{}
	memo := r.Replies(b, b.replies)
	for i, item := range items {
		if !b.wanted(r, item.Record) {
			continue
		}
		command, err := b.command(r, item.Record)
		if errors.Is(err, errUnknown) {
			failed[i] = b.unknown(item.Record)
			continue
		}
		if err != nil {
			failed[i] = err
			continue
		}
		asks[i] = command
		key := question(command)
		if _, known := answers[key]; known {
			continue
		}
		if _, asked := index[key]; asked {
			continue
		}
		if value, kept := memo.Get(key); kept {
			answers[key] = Reply{Value: value}
			continue
		}
		index[key] = len(commands)
		commands = append(commands, command)
	}
	if len(commands) > 0 {
		if looker == nil {
			return nil, fmt.Errorf("nothing reads from connection %s here", b.connection)
		}
		replies, err := looker.Look(ctx, b.connection, commands, b.size)
		if err != nil {
			return nil, err
		}
		for key, n := range index {
			answers[key] = replies[n]
			if replies[n].Err == nil {
				memo.Put(key, replies[n].Value)
			}
		}
	}
	for i, command := range asks {
		if command != nil {
			failed[i] = b.put(items[i].Record, answers[question(command)], command)
		}
	}
	return failed, nil
}

// question tells one command from all others.
func question(command []string) string {
	var key strings.Builder
	for _, arg := range command {
		fmt.Fprintf(&key, "%d:%s", len(arg), arg)
	}
	return key.String()
}
