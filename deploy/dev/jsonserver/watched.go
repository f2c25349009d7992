package jsonserver

import "errors"

// A transaction of a client that has WATCHed keys is kept here until EXEC: only so do its watches reach as far as the
// transaction in which its documents are written.

// takeHeld takes a command after MULTI of a client that watches.
func (c *session) takeHeld(name string, args []string) error {
	q := c.queue
	switch name {
	case "EXEC":
		c.queue, c.watching = nil, false
		if q.broken {
			return c.unwatch(func(a *answer) { a.refusal(errAborted) })
		}
		return c.execHeld(q)
	case "DISCARD":
		c.queue, c.watching = nil, false
		return c.unwatch(func(a *answer) { a.simple("OK") })
	case "RESET":
		c.queue, c.watching, c.resp3 = nil, false, false
		return c.forward(args)
	}
	q.commands = append(q.commands, args)
	if k, ok := c.server.module.commands[name]; ok {
		q.documents = true
		if err := k.check(args); err != nil {
			q.broken = true
			return c.answer(func(a *answer) { a.refusal(err) })
		}
	}
	return c.answer(func(a *answer) { a.simple("QUEUED") })
}

func (c *session) unwatch(say func(*answer)) error {
	if _, err := c.do([]string{"UNWATCH"}); err != nil {
		return err
	}
	return c.answer(say)
}

// execHeld does what was kept, if no key that the client watches has changed.
func (c *session) execHeld(q *queue) error {
	if !q.documents {
		all := append([][]string{{"MULTI"}}, q.commands...)
		frames, err := c.do(append(all, []string{"EXEC"})...)
		if err != nil {
			return err
		}
		return c.answer(func(a *answer) { a.raw(frames[len(frames)-1]) })
	}
	keys, err := c.keys(q.commands)
	var r refusal
	if errors.As(err, &r) {
		return c.unwatch(func(a *answer) { a.refusal(r) })
	}
	if err != nil {
		return err
	}
	c.server.writing.Lock()
	replies, changed, err := c.tryHeld(q.commands, keys)
	c.server.writing.Unlock()
	return c.answerUnless(err, func(a *answer) {
		if changed {
			a.list(-1)
			return
		}
		a.list(len(replies))
		for _, reply := range replies {
			a.raw(reply)
		}
	})
}

// tryHeld is try. One command is added, so that something is done: whether a watched key has changed only EXEC tells.
func (c *session) tryHeld(commands [][]string, keys []string) (replies [][]byte, changed bool, err error) {
	replies, changed, err = c.try(append(commands, []string{"EXISTS", keys[0]}), keys)
	if err != nil || changed {
		return nil, changed, err
	}
	return replies[:len(commands)], false, nil
}
