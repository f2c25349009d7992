package redis

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// command is what is sent to the server that has the key. Arguments are texts, bytes and numbers.
type command struct {
	key  []byte
	args []any
}

// answer is what comes back for a command: a value, or the server's refusal of it.
type answer struct {
	value any
	err   error
}

// asked is what a text answer says; empty for anything else.
func (a answer) text() string {
	switch v := a.value.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// list is what an answer of several parts says.
func (a answer) list() []any {
	v, _ := a.value.([]any)
	return v
}

// pipeliner is the part of the driver's connections and clients that sends commands together.
type pipeliner interface{ Pipeline() redis.Pipeliner }

// send sends commands in one round trip on one connection. The error is that of the connection, after which nothing is
// known of any of them; what the server has against one of them is in its answer.
func send(ctx context.Context, to pipeliner, commands []command) ([]answer, error) {
	pipe := to.Pipeline()
	sent := make([]*redis.Cmd, len(commands))
	for i := range commands {
		sent[i] = redis.NewCmd(ctx, commands[i].args...)
		if err := pipe.Process(ctx, sent[i]); err != nil {
			return nil, classed(err)
		}
	}
	// The error is that of the first command that has one; each is looked at below.
	_, failed := pipe.Exec(ctx)
	answers := make([]answer, len(sent))
	of := false // a command's own error
	for i, c := range sent {
		value, err := c.Result()
		switch {
		case err == nil, errors.Is(err, redis.Nil):
			answers[i].value = value
		case refused(err):
			answers[i].err, of = classed(err), true
		default:
			return nil, classed(err)
		}
	}
	// A server that does not let the connection in refuses none of the commands: none was sent.
	if failed != nil && !errors.Is(failed, redis.Nil) && !(of && refused(failed)) {
		return nil, classed(failed)
	}
	return answers, nil
}

// whole sends commands that must all be accepted.
func whole(ctx context.Context, to pipeliner, commands []command) ([]answer, error) {
	answers, err := send(ctx, to, commands)
	if err != nil {
		return nil, err
	}
	for i, a := range answers {
		if a.err != nil {
			return nil, fmt.Errorf("%v: %w", commands[i].args[0], a.err)
		}
	}
	return answers, nil
}

// spread sends commands to the servers of a cluster that have their keys, in one round trip a server, and waits for their
// replicas where it shall. Commands of one server keep their order.
func (t *target) spread(ctx context.Context, commands []command, wait bool) ([]answer, error) {
	type part struct {
		node     *redis.Client
		commands []command
		at       []int
	}
	var parts []*part
	byNode := map[*redis.Client]*part{}
	for i, c := range commands {
		node, err := t.cluster.MasterForKey(ctx, string(c.key))
		if err != nil {
			return nil, classed(err)
		}
		p := byNode[node]
		if p == nil {
			p = &part{node: node}
			byNode[node] = p
			parts = append(parts, p)
		}
		p.commands, p.at = append(p.commands, c), append(p.at, i)
	}
	answers := make([]answer, len(commands))
	for _, p := range parts {
		conn := p.node.Conn()
		got, err := send(ctx, conn, p.commands)
		if err == nil && wait {
			err = t.replicated(ctx, conn)
		}
		if cerr := conn.Close(); err == nil && cerr != nil {
			err = classed(cerr)
		}
		if err != nil {
			t.cluster.ReloadState(ctx)
			return nil, err
		}
		for i, a := range got {
			if word := code(a.err); word == "MOVED" || word == "ASK" || word == "TRYAGAIN" || word == "CLUSTERDOWN" || word == "READONLY" {
				t.cluster.ReloadState(ctx)
				return nil, conflictFault("the cluster moves keys: %w", a.err).WithCode(word)
			}
			answers[p.at[i]] = a
		}
	}
	return answers, nil
}
