// Package lookup reads from Redis for the lookup blocks of the transformer (spec 4.8).
//
// A [Set] is the connections that one lane's blocks read, opened when they are first used. Commands of a batch travel in
// pipelines. What Redis has against a command alone, such as WRONGTYPE, is in the reply to it; whatever concerns the
// server as a whole (away, loading, a wrong password) is an error, which the transformer waits out.
package lookup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/source"
	"slipstream/proto/fault"
	"slipstream/proto/secret"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	"slipstream/transformer/block"
)

// Set is some connections to read from. It is safe for concurrent use.
type Set struct {
	connections map[string]*pipelinev1.Connection

	mu      sync.Mutex
	clients map[string]*redis.Client
}

// Open makes a set of connections, whose references are unresolved yet (G10). Nothing is connected to.
func Open(connections []*pipelinev1.Connection) *Set {
	s := &Set{connections: make(map[string]*pipelinev1.Connection), clients: make(map[string]*redis.Client)}
	for _, c := range connections {
		s.connections[c.GetName()] = c
	}
	return s
}

// Close closes what was opened.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, c := range s.clients {
		errs = append(errs, c.Close())
	}
	clear(s.clients)
	return errors.Join(errs...)
}

// Look runs commands on a connection, at most size in one round trip.
func (s *Set) Look(ctx context.Context, connection string, commands [][]string, size int) ([]block.Reply, error) {
	client, err := s.client(ctx, connection)
	if err != nil {
		return nil, err
	}
	replies := make([]block.Reply, 0, len(commands))
	for len(commands) > 0 {
		n := min(max(size, 1), len(commands))
		part, err := pipelined(ctx, client, commands[:n])
		if err != nil {
			s.forget(connection, client)
			return nil, fmt.Errorf("reading from connection %s: %w", connection, err)
		}
		replies = append(replies, part...)
		commands = commands[n:]
	}
	return replies, nil
}

func pipelined(ctx context.Context, client *redis.Client, commands [][]string) ([]block.Reply, error) {
	pipe := client.Pipeline()
	cmds := make([]*redis.Cmd, len(commands))
	for i, command := range commands {
		args := make([]any, len(command))
		for n, arg := range command {
			args[n] = arg
		}
		cmds[i] = pipe.Do(ctx, args...)
	}
	// The error is that of the first command that has one; each is looked at below.
	_, _ = pipe.Exec(ctx)
	replies := make([]block.Reply, len(cmds))
	for i, cmd := range cmds {
		value, err := cmd.Result()
		var refused redis.Error
		switch {
		case err == nil:
			replies[i].Value = value
		case errors.Is(err, redis.Nil):
		case errors.As(err, &refused) && !general(err):
			replies[i].Err = err
		case errors.As(err, &refused):
			return nil, fault.New(flowv1.FaultClass_FAULT_CLASS_PERMISSION, err)
		default:
			return nil, fault.New(flowv1.FaultClass_FAULT_CLASS_CONNECTION, err)
		}
	}
	return replies, nil
}

// general tells whether Redis would answer any other command so, too.
func general(err error) bool {
	word, _, _ := strings.Cut(err.Error(), " ")
	switch word {
	case "NOAUTH", "NOPERM", "WRONGPASS", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "MOVED", "ASK", "OOM", "NOREPLICAS", "UNBLOCKED":
		return true
	}
	return strings.Contains(err.Error(), "max number of clients")
}

// client opens a connection, its references resolved, or gives the open one.
func (s *Set) client(ctx context.Context, connection string) (*redis.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[connection]; c != nil {
		return c, nil
	}
	conn := s.connections[connection]
	if conn == nil {
		return nil, refused("connection %s is not in config.yaml", connection)
	}
	resolved, err := secret.Connection(conn)
	if err != nil {
		return nil, refused("connection %s: %w", connection, err)
	}
	config, err := source.Parse(resolved)
	if err != nil {
		return nil, refused("connection %s: %w", connection, err)
	}
	c := config.Client()
	// What the server says to a password or a database it says here, and not in the reply to a command.
	if err := c.Ping(ctx).Err(); err != nil {
		_ = c.Close() // what it says adds nothing to that
		var said redis.Error
		if errors.As(err, &said) {
			return nil, refused("connection %s: %w", connection, err)
		}
		return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONNECTION, "connection %s: %w", connection, err)
	}
	s.clients[connection] = c
	return c, nil
}

func refused(format string, args ...any) error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_PERMISSION, format, args...)
}

// forget closes a client that failed, so that the next one resolves the references anew: a password may have changed.
func (s *Set) forget(connection string, client *redis.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients[connection] == client {
		delete(s.clients, connection)
		_ = client.Close() // what it says adds nothing to what failed
	}
}
