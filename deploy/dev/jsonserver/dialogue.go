package jsonserver

import "strings"

// take does a command, or forwards it.
func (c *session) take(args []string) error {
	name := strings.ToUpper(args[0])
	switch {
	case endsDialogue(name, args):
		c.verbatim.Store(true)
		return c.forward(args)
	case c.queue != nil:
		return c.takeQueued(name, args)
	}
	if command, ok := c.server.module.commands[name]; ok {
		return c.takeDocument(command, args)
	}
	switch name {
	case "MULTI":
		c.queue = &queue{held: c.watching}
		if c.watching {
			return c.answer(func(a *answer) { a.simple("OK") })
		}
	case "WATCH":
		c.watching = true
	case "UNWATCH":
		c.watching = false
	case "RESET":
		c.watching, c.resp3 = false, false
	case "CONFIG":
		return c.alone(args)
	case "HELLO":
		return c.hello(args)
	case "TYPE", "SCAN", "COMMAND", "MODULE":
		if done, err := c.takeQuestion(name, args); done || err != nil {
			return err
		}
	}
	return c.forward(args)
}

// endsDialogue says whether, from a command on, an answer a command is not what the server gives.
func endsDialogue(name string, args []string) bool {
	switch name {
	case "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR", "SYNC", "PSYNC", "REPLCONF":
		return true
	case "CLIENT":
		return len(args) > 1 && strings.EqualFold(args[1], "REPLY")
	}
	return false
}

// hello notes which version of the protocol is spoken.
func (c *session) hello(args []string) error {
	frame, v, err := c.doOne(args...)
	if err != nil {
		return err
	}
	if v.refused() == nil && len(args) > 1 {
		c.resp3 = args[1] == "3"
	}
	return c.answer(func(a *answer) { a.raw(frame) })
}
