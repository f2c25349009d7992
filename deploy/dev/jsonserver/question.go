package jsonserver

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// typeName is the type of documents, of every module.
const typeName = "ReJSON-RL"

// takeQuestion answers what a server is asked about types, commands and modules; done is false where the server
// underneath knows the answer.
func (c *session) takeQuestion(name string, args []string) (done bool, err error) {
	switch {
	case name == "TYPE" && len(args) == 2:
		return true, c.takeType(args)
	case name == "SCAN":
		for i := 2; i+1 < len(args); i += 2 {
			if !strings.EqualFold(args[i], "TYPE") {
				continue
			}
			if strings.EqualFold(args[i+1], typeName) || strings.EqualFold(args[i+1], "stream") {
				return true, c.scan(args, i+1)
			}
		}
	case name == "COMMAND":
		return c.takeCommand(args)
	case name == "MODULE" && len(args) == 2 && strings.EqualFold(args[1], "LIST"):
		m := c.server.module
		return true, c.answer(func(a *answer) {
			a.list(1)
			a.list(4)
			a.bulk("name")
			a.bulk(m.name)
			a.bulk("ver")
			a.number(m.version)
		})
	}
	return false, nil
}

func (c *session) takeType(args []string) error {
	frame, v, err := c.doOne(args...)
	if err != nil {
		return err
	}
	if v.text != "stream" {
		return c.answer(func(a *answer) { a.raw(frame) })
	}
	found, err := c.documents(args[1])
	if err != nil {
		return err
	}
	return c.answer(func(a *answer) {
		if found[0] {
			a.simple(typeName)
			return
		}
		a.raw(frame)
	})
}

// documents says of each key whether a document is there.
func (c *session) documents(keys ...string) ([]bool, error) {
	var commands [][]string
	for _, key := range keys {
		commands = append(commands, readDocument(key))
	}
	frames, err := c.do(commands...)
	if err != nil {
		return nil, err
	}
	found := make([]bool, len(keys))
	for i, frame := range frames {
		d, err := documentOf(frame)
		if err != nil {
			return nil, err
		}
		found[i] = d.state == present
	}
	return found, nil
}

// scan does SCAN for documents or for streams, of which documents are made.
func (c *session) scan(args []string, at int) error {
	wanted := strings.EqualFold(args[at], typeName)
	args = slices.Clone(args)
	args[at] = "stream"
	frame, v, err := c.doOne(args...)
	if err != nil {
		return err
	}
	if v.refused() != nil || len(v.items) != 2 {
		return c.answer(func(a *answer) { a.raw(frame) })
	}
	var keys []string
	for _, key := range v.items[1].items {
		keys = append(keys, key.text)
	}
	found, err := c.documents(keys...)
	if err != nil {
		return err
	}
	var list []string
	for i, key := range keys {
		if found[i] == wanted {
			list = append(list, key)
		}
	}
	return c.answer(func(a *answer) {
		a.list(2)
		a.bulk(v.items[0].text)
		a.words(list...)
	})
}

// takeCommand answers COMMAND, COMMAND COUNT, INFO and LIST with the commands of the module among the others.
func (c *session) takeCommand(args []string) (done bool, err error) {
	sub := ""
	if len(args) > 1 {
		sub = strings.ToUpper(args[1])
	}
	commands := c.server.module.commands
	names := slices.Sorted(maps.Keys(commands))
	switch {
	case sub == "INFO" && len(args) > 2:
		return true, c.commandInfo(args[2:])
	case sub == "COUNT" && len(args) == 2:
		_, v, err := c.doOne(args...)
		if err != nil {
			return true, err
		}
		n, err := strconv.Atoi(v.text)
		if err != nil {
			return true, err
		}
		return true, c.answer(func(a *answer) { a.number(n + len(names)) })
	case sub == "", sub == "INFO", sub == "LIST" && len(args) == 2:
		frame, _, err := c.doOne(args...)
		if err != nil {
			return true, err
		}
		list, err := parts(frame)
		if err != nil {
			return true, err
		}
		return true, c.answer(func(a *answer) {
			a.Write(frame[:1]) // a list or, in RESP3, a set
			fmt.Fprintf(a, "%d\r\n", len(list)+len(names))
			a.raw(bytes.Join(list, nil))
			for _, name := range names {
				if sub == "LIST" {
					a.bulk(name)
				} else {
					commands[name].describe(a)
				}
			}
		})
	}
	return false, nil
}

func (c *session) commandInfo(names []string) error {
	commands := c.server.module.commands
	var others [][]string
	for _, name := range names {
		if commands[strings.ToUpper(name)] == nil {
			others = append(others, []string{"COMMAND", "INFO", name})
		}
	}
	frames, err := c.do(others...)
	if err != nil {
		return err
	}
	return c.answer(func(a *answer) {
		a.list(len(names))
		for _, name := range names {
			if command := commands[strings.ToUpper(name)]; command != nil {
				command.describe(a)
				continue
			}
			list, err := parts(frames[0])
			frames = frames[1:]
			if err != nil || len(list) != 1 {
				a.null()
				continue
			}
			a.raw(list[0])
		}
	})
}

// describe answers what COMMAND INFO says of a command: its name, its arity, its flags, and where its keys are.
func (k *command) describe(a *answer) {
	flags, category := []string{"write", "denyoom", "module"}, "@write"
	if !k.writes {
		flags, category = []string{"readonly", "module", "fast"}, "@read"
	}
	last, every := 1, 1
	if k.stride > 0 {
		last, every = -k.stride, k.stride
	}
	a.list(10)
	a.bulk(k.name)
	a.number(k.arity)
	a.list(len(flags))
	for _, flag := range flags {
		a.simple(flag)
	}
	a.number(1)
	a.number(last)
	a.number(every)
	a.list(2)
	a.simple(category)
	a.simple("@json")
	for range 3 { // hints, key specifications, subcommands
		a.list(0)
	}
}
