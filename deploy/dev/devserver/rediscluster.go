package devserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// RedisClusterServers are the nodes of a private Redis Cluster: first its primaries, each with as many of the 16,384 slots,
// then their replicas in the same order.
type RedisClusterServers struct {
	Nodes []*RedisServer
	// IDs are what the cluster calls the nodes.
	IDs []string
}

// RedisCluster starts a cluster of primaries, each with a replica if that is wanted, and ends it with the test.
func RedisCluster(t TB, primaries int, replicas bool, args ...string) *RedisClusterServers {
	t.Helper()
	c := &RedisClusterServers{}
	n := primaries
	if replicas {
		n *= 2
	}
	var bus int // of the first
	for i := range n {
		port, err := freePort()
		if err != nil {
			t.Fatalf("finding a port for the bus of a cluster: %v", err)
		}
		if i == 0 {
			bus = port
		}
		c.Nodes = append(c.Nodes, Redis(t, RedisOptions{Args: append([]string{
			"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(port), "--cluster-node-timeout", "1000",
			"--cluster-replica-validity-factor", "0",
		}, args...)}))
	}
	if err := c.join(t.Context(), primaries, bus); err != nil {
		t.Fatalf("making a Redis Cluster: %v", err)
	}
	return c
}

const slots = 16384

// join makes a cluster of the nodes and waits until each of them says that it is one.
func (c *RedisClusterServers) join(ctx context.Context, primaries, bus int) error {
	first := c.Nodes[0]
	for i, node := range c.Nodes {
		id, err := node.Command(ctx, "CLUSTER MYID")
		if err != nil {
			return err
		}
		c.IDs = append(c.IDs, id)
		if _, err := node.Command(ctx, fmt.Sprint("CLUSTER SET-CONFIG-EPOCH ", i+1)); err != nil {
			return err
		}
		if i < primaries {
			if _, err := node.Command(ctx, fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", i*slots/primaries, (i+1)*slots/primaries-1)); err != nil {
				return err
			}
		}
	}
	host, port, err := net.SplitHostPort(first.Addr)
	if err != nil {
		return err
	}
	for _, node := range c.Nodes[1:] {
		if _, err := node.Command(ctx, fmt.Sprintf("CLUSTER MEET %s %s %d", host, port, bus)); err != nil {
			return err
		}
	}
	for i, node := range c.Nodes {
		if i >= primaries { // once it knows its primary
			if err := until(ctx, node, "CLUSTER REPLICATE "+c.IDs[i-primaries], "OK"); err != nil {
				return err
			}
		}
	}
	for i, node := range c.Nodes {
		if err := until(ctx, node, "CLUSTER INFO", "cluster_state:ok"); err != nil {
			return err
		}
		if err := until(ctx, node, "CLUSTER INFO", fmt.Sprint("cluster_known_nodes:", len(c.Nodes))); err != nil {
			return err
		}
		if i >= primaries {
			if err := until(ctx, node, "INFO replication", "master_link_status:up"); err != nil {
				return err
			}
		}
	}
	return nil
}

// until repeats a command until its answer holds what it must.
func until(ctx context.Context, s *RedisServer, command, must string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		answer, err := s.Command(ctx, command)
		if err == nil && strings.Contains(answer, must) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %q to say %s: %w; it said %q, %w", command, must, ctx.Err(), answer, err)
		case <-tick.C:
		}
	}
}

// Command sends a command of words without blanks and gives its answer: a line, or a text.
func (s *RedisServer) Command(ctx context.Context, command string) (string, error) {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return "", fmt.Errorf("asking Redis: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", fmt.Errorf("asking Redis: %w", err)
	}
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return "", fmt.Errorf("asking Redis: %w", err)
	}
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("reading the answer to %s: %w", command, err)
	}
	line = strings.TrimSpace(line)
	switch {
	case strings.HasPrefix(line, "-"):
		return "", fmt.Errorf("%s: %w", command, errors.New(line[1:]))
	case !strings.HasPrefix(line, "$"):
		return line[1:], nil
	}
	length, err := strconv.Atoi(line[1:])
	if err != nil || length < 0 {
		return "", fmt.Errorf("%s: the answer is %q", command, line)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return "", fmt.Errorf("reading the answer to %s: %w", command, err)
	}
	return string(text), nil
}
