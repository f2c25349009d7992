package jsonserver

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// queue is what a client sent since MULTI.
type queue struct {
	commands  [][]string
	documents bool // commands on documents are among them
	broken    bool // one was refused by us
	held      bool // the server underneath knows of none: the client watches
}

// mostTries bounds how often a document is read again because another client wrote it meanwhile.
const mostTries = 100

var (
	errWatching = fail("ERR the JSON double writes documents of a connection that has WATCHed keys within MULTI alone")
	errAborted  = fail("EXECABORT Transaction discarded because of previous errors.")
)

// takeDocument does a command on documents, outside of MULTI.
func (c *session) takeDocument(k *command, args []string) error {
	err := k.check(args)
	if err == nil && k.writes && c.watching {
		err = errWatching
	}
	if err != nil {
		return c.answer(func(a *answer) { a.refusal(err) })
	}
	if !k.writes {
		return c.read(k, args)
	}
	replies, err := c.transact([][]string{args})
	return c.answerUnless(err, func(a *answer) { a.raw(replies[0]) })
}

// read does a command that only reads.
func (c *session) read(k *command, args []string) error {
	frames, err := c.do(readDocument(args[1]))
	if err != nil {
		return err
	}
	x := &execution{answer: &answer{resp3: c.resp3}}
	d, err := documentOf(frames[0])
	if err == nil {
		x.found = map[string]document{args[1]: d}
		err = k.run(x, args)
	}
	return c.answerUnless(err, func(a *answer) { a.raw(x.answer.Bytes()) })
}

// answerUnless answers, or tells why it was refused; other errors end the session.
func (c *session) answerUnless(err error, write func(*answer)) error {
	var r refusal
	if errors.As(err, &r) {
		return c.answer(func(a *answer) { a.refusal(r) })
	}
	if err != nil {
		return err
	}
	return c.answer(write)
}

// takeQueued takes a command after MULTI. The server underneath queues the client's commands too, and does them if none
// is on documents; otherwise its queue is discarded and all of it done in a transaction of ours.
func (c *session) takeQueued(name string, args []string) error {
	q := c.queue
	if q.held {
		return c.takeHeld(name, args)
	}
	switch name {
	case "EXEC":
		c.queue = nil
		switch {
		case q.broken:
			return c.discard(errAborted)
		case !q.documents:
			return c.alone(args)
		}
		return c.exec(q)
	case "DISCARD", "RESET":
		c.queue, c.watching = nil, false
		c.resp3 = c.resp3 && name == "DISCARD"
		return c.forward(args)
	}
	q.commands = append(q.commands, args)
	k, ok := c.server.module.commands[name]
	if !ok {
		return c.forward(args)
	}
	q.documents = true
	if err := k.check(args); err != nil {
		q.broken = true
		return c.answer(func(a *answer) { a.refusal(err) })
	}
	return c.answer(func(a *answer) { a.simple("QUEUED") })
}

// discard empties the queue of the server underneath and refuses EXEC.
func (c *session) discard(why error) error {
	if _, err := c.do([]string{"DISCARD"}); err != nil {
		return err
	}
	return c.answer(func(a *answer) { a.refusal(why) })
}

func (c *session) exec(q *queue) error {
	if _, err := c.do([]string{"DISCARD"}); err != nil {
		return err
	}
	replies, err := c.transact(q.commands)
	return c.answerUnless(err, func(a *answer) {
		a.list(len(replies))
		a.raw(bytes.Join(replies, nil))
	})
}

// transact does commands in one transaction and gives the answer of each. A refusal is of all of them.
func (c *session) transact(commands [][]string) ([][]byte, error) {
	keys, err := c.keys(commands)
	if err != nil {
		return nil, err
	}
	c.server.writing.Lock()
	defer c.server.writing.Unlock()
	for range mostTries {
		replies, again, err := c.try(commands, keys)
		if err != nil || !again {
			return replies, err
		}
	}
	return nil, fail("ERR others write the documents all the time")
}

// keys are those of the documents that commands name. Commands without documents must leave them alone.
func (c *session) keys(commands [][]string) ([]string, error) {
	all := map[string]bool{}
	for _, args := range commands {
		if k := c.server.module.commands[strings.ToUpper(args[0])]; k != nil {
			for _, key := range k.keys(args) {
				all[key] = true
			}
		}
	}
	for _, args := range commands {
		name := strings.ToUpper(args[0])
		switch name {
		case "SELECT", "SWAPDB", "FLUSHDB", "FLUSHALL", "CONFIG":
			return nil, fail("ERR the JSON double knows no %s beside documents within MULTI", name)
		}
		if c.server.module.commands[name] != nil || len(args) < 2 || !all[args[1]] {
			continue
		}
		switch name {
		case "DEL", "UNLINK", "EXISTS", "TOUCH", "EXPIRE", "EXPIREAT", "PEXPIRE", "PEXPIREAT", "PERSIST", "TTL", "PTTL",
			"EXPIRETIME", "PEXPIRETIME", "PUBLISH":
		default:
			return nil, fail("ERR the JSON double knows no %s of a document within MULTI", name)
		}
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// surroundings are what a transaction finds.
type surroundings struct {
	found    map[string]document
	setting  string // notify-keyspace-events
	database string
}

// look begins a transaction: the keys are watched and read.
func (c *session) look(keys []string) (s surroundings, err error) {
	ask := [][]string{append([]string{"WATCH"}, keys...), {"CONFIG", "GET", setting}, {"CLIENT", "INFO"}}
	for _, key := range keys {
		ask = append(ask, readDocument(key))
	}
	frames, err := c.do(ask...)
	if err != nil {
		return s, err
	}
	var values [3]value
	for i := range values {
		if values[i], err = readValue(frames[i]); err != nil {
			return s, err
		}
		if err := values[i].refused(); err != nil {
			return s, err
		}
	}
	if len(values[1].items) != 2 {
		return s, fmt.Errorf("the server underneath does not tell %s", setting)
	}
	s.setting = values[1].items[1].text
	for _, word := range strings.Fields(values[2].text) {
		if n, ok := strings.CutPrefix(word, "db="); ok {
			s.database = n
		}
	}
	s.found = make(map[string]document, len(keys))
	for i, key := range keys {
		if s.found[key], err = documentOf(frames[len(values)+i]); err != nil {
			return s, err
		}
	}
	return s, nil
}

// try does the transaction once; again says that another client was faster.
func (c *session) try(commands [][]string, keys []string) (replies [][]byte, again bool, err error) {
	s, err := c.look(keys)
	var r refusal
	if errors.As(err, &r) {
		_, unwatched := c.do([]string{"UNWATCH"})
		return nil, false, errors.Join(err, unwatched)
	}
	if err != nil {
		return nil, false, err
	}
	p := &program{session: c, surroundings: s}
	for _, args := range commands {
		p.add(args)
	}
	if len(p.lines) == 0 {
		_, err := c.do([]string{"UNWATCH"})
		return p.replies, false, err
	}
	lines := append([][]string{{"MULTI"}}, p.lines...)
	frames, err := c.do(append(lines, []string{"EXEC"})...)
	if err != nil {
		return nil, false, err
	}
	last := frames[len(frames)-1]
	v, err := readValue(last)
	switch {
	case err != nil:
		return nil, false, err
	case v.null:
		return nil, true, nil
	case v.refused() != nil:
		for _, frame := range frames {
			if v, err := readValue(frame); err == nil && v.refused() != nil {
				return nil, false, v.refused() // the first tells why
			}
		}
	}
	done, err := parts(last)
	if err != nil {
		return nil, false, err
	}
	replies, err = p.collect(done)
	return replies, false, err
}
