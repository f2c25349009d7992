package jsonserver

import (
	"fmt"
	"maps"
	"strings"
)

// setting is the parameter that says which events are published.
const setting = "notify-keyspace-events"

// program is what the server underneath does in a transaction.
type program struct {
	*session
	surroundings
	lines   [][]string
	ours    []bool   // of each line: it is part of a command on documents
	replies [][]byte // of each command; nil: that of a line
}

func (p *program) line(ours bool, args ...string) {
	p.lines = append(p.lines, args)
	p.ours = append(p.ours, ours)
}

// add adds a command of the client.
func (p *program) add(args []string) {
	name := strings.ToUpper(args[0])
	k := p.server.module.commands[name]
	if k == nil {
		p.line(false, args...)
		p.replies = append(p.replies, nil)
		if name == "DEL" || name == "UNLINK" {
			for _, key := range args[1:] {
				p.found[key] = document{}
			}
		}
		return
	}
	x := &execution{found: maps.Clone(p.found), answer: &answer{resp3: p.resp3}}
	if err := k.run(x, args); err != nil {
		refused := &answer{}
		refused.refusal(err)
		p.replies = append(p.replies, refused.Bytes())
		return
	}
	p.found = x.found
	p.replies = append(p.replies, x.answer.Bytes())
	p.apply(x.changes)
}

// apply adds changes: with the events of the storage off, but "new", and the event of each by hand.
func (p *program) apply(changes []change) {
	quiet := false
	for _, ch := range changes {
		commands := ch.commands()
		if len(commands) > 0 && !quiet {
			quiet = true
			p.line(true, "CONFIG", "SET", setting, only("KEn", p.setting))
		}
		for _, command := range commands {
			p.line(true, command...)
		}
		if !strings.ContainsAny(p.setting, "A"+p.server.module.class) {
			continue
		}
		if strings.Contains(p.setting, "K") {
			p.line(true, "PUBLISH", fmt.Sprintf("__keyspace@%s__:%s", p.database, ch.key), ch.event)
		}
		if strings.Contains(p.setting, "E") {
			p.line(true, "PUBLISH", fmt.Sprintf("__keyevent@%s__:%s", p.database, ch.event), ch.key)
		}
	}
	if quiet {
		p.line(true, "CONFIG", "SET", setting, p.setting)
	}
}

// only is what of a setting is among some letters; a setting without class "n" publishes nothing then.
func only(letters, setting string) string {
	if !strings.Contains(setting, "n") {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(letters, r) {
			return r
		}
		return -1
	}, setting)
}

// collect puts the answers to the lines in the places of the commands they belong to.
func (p *program) collect(done [][]byte) ([][]byte, error) {
	if len(done) != len(p.lines) {
		return nil, fmt.Errorf("the server underneath answers %d commands, was sent %d", len(done), len(p.lines))
	}
	var theirs [][]byte
	for i, frame := range done {
		if !p.ours[i] {
			theirs = append(theirs, frame)
			continue
		}
		v, err := readValue(frame)
		if err != nil {
			return nil, err
		}
		if err := v.refused(); err != nil {
			return nil, fmt.Errorf("the server underneath refuses %q: %w", p.lines[i], err)
		}
	}
	for i, reply := range p.replies {
		if reply == nil {
			p.replies[i], theirs = theirs[0], theirs[1:]
		}
	}
	return p.replies, nil
}
