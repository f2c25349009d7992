package jsonserver

import (
	"bytes"
	"fmt"
)

// answer builds what a client is answered.
type answer struct {
	resp3 bool
	bytes.Buffer
}

func (a *answer) simple(text string) { fmt.Fprintf(a, "+%s\r\n", text) }
func (a *answer) number(n int)       { fmt.Fprintf(a, ":%d\r\n", n) }
func (a *answer) bulk(text string)   { fmt.Fprintf(a, "$%d\r\n%s\r\n", len(text), text) }
func (a *answer) list(count int)     { fmt.Fprintf(a, "*%d\r\n", count) }
func (a *answer) refusal(e error)    { fmt.Fprintf(a, "-%s\r\n", e) }
func (a *answer) raw(frame []byte)   { a.Write(frame) }
func (a *answer) words(text ...string) {
	a.list(len(text))
	for _, t := range text {
		a.bulk(t)
	}
}

// null answers that there is nothing.
func (a *answer) null() {
	if a.resp3 {
		a.WriteString("_\r\n")
		return
	}
	a.WriteString("$-1\r\n")
}
