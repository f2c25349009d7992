package jsonserver

import (
	"bufio"
	"bytes"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipstream/deploy/dev/devserver"
)

// client is a client of a server under test.
type client struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &client{t: t, conn: conn, in: bufio.NewReaderSize(conn, bufferSize)}
}

func (c *client) send(commands ...string) {
	c.t.Helper()
	var all []byte
	for _, command := range commands {
		all = appendCommand(all, words(command)...)
	}
	if _, err := c.conn.Write(all); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) read() string {
	c.t.Helper()
	var frame bytes.Buffer
	if _, err := copyFrame(&frame, c.in); err != nil {
		c.t.Fatalf("reading an answer: %v", err)
	}
	v, err := readValue(frame.Bytes())
	if err != nil {
		c.t.Fatal(err)
	}
	return show(v)
}

// do sends a command and gives its answer.
func (c *client) do(command string) string {
	c.t.Helper()
	c.send(command)
	return c.read()
}

// want fails the test unless a command is answered so.
func (c *client) want(command, answer string) {
	c.t.Helper()
	if got := c.do(command); got != answer {
		c.t.Errorf("%s: %s, want %s", command, got, answer)
	}
}

// words are those of a command, each as it stands or in single quotes.
func words(command string) (args []string) {
	for command = strings.TrimSpace(command); command != ""; command = strings.TrimSpace(command) {
		if command[0] == '\'' {
			word, rest, _ := strings.Cut(command[1:], "'")
			args, command = append(args, word), rest
			continue
		}
		word, rest, _ := strings.Cut(command, " ")
		args, command = append(args, word), rest
	}
	return args
}

// show writes an answer: strings as they are, numbers with a colon, refusals with a minus.
func show(v value) string {
	switch {
	case v.null:
		return "nil"
	case v.kind == '-', v.kind == ':':
		return string(v.kind) + v.text
	case v.kind == '*', v.kind == '~', v.kind == '%', v.kind == '>':
		texts := make([]string, len(v.items))
		for i, item := range v.items {
			texts[i] = show(item)
		}
		return "[" + strings.Join(texts, " ") + "]"
	}
	return v.text
}

// events listens to the keyspace events of a server.
type events struct {
	*client
	mark *client
	n    int
}

func listen(t *testing.T, addr, pattern string) *events {
	t.Helper()
	e := &events{client: dial(t, addr), mark: dial(t, addr)}
	e.send("PSUBSCRIBE " + pattern)
	e.read()
	return e
}

// since gives the events since the last call, each as channel and message without what they all have in common.
func (e *events) since() string {
	e.t.Helper()
	e.n++
	end := strconv.Itoa(e.n)
	e.mark.do("PUBLISH __keyspace@end " + end)
	var list []string
	for {
		var frame bytes.Buffer
		if _, err := copyFrame(&frame, e.in); err != nil {
			e.t.Fatalf("reading events: %v", err)
		}
		v, err := readValue(frame.Bytes())
		if err != nil || len(v.items) != 4 {
			e.t.Fatalf("an event that reads %v: %v", v, err)
		}
		channel, message := v.items[2].text, v.items[3].text
		if channel == "__keyspace@end" && message == end {
			return strings.Join(list, ", ")
		}
		_, at, _ := strings.Cut(channel, "__:")
		list = append(list, at+" "+message)
	}
}

// servers are those that a test of answers runs against: the double, and a real module where one is at hand.
func servers(t *testing.T, test func(t *testing.T, addr string)) {
	t.Run("double", func(t *testing.T) { test(t, Redis(t, ValkeyJSON, devserver.RedisOptions{}).Addr) })
	if addr, ok := Real(); ok {
		t.Run("real", func(t *testing.T) {
			c := dial(t, addr)
			c.want("FLUSHALL", "OK")
			c.want("CONFIG SET "+setting+" ''", "OK")
			test(t, addr)
		})
	}
}
