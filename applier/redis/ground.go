package redis

import (
	"context"

	"slipstream/applier"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// ground is what a transaction knows of the keys it touches: what type each has once the commands buffered so far have
// run, and the documents that it merges itself. Changes can be taken back to a mark.
type ground struct {
	types     map[string]string
	documents map[string][]byte
	undo      []func()
}

// none is what TYPE says of a key that is not there.
const none = "none"

func newGround() *ground {
	return &ground{types: map[string]string{}, documents: map[string][]byte{}}
}

func (g *ground) mark() int { return len(g.undo) }

func (g *ground) back(mark int) {
	for i := len(g.undo) - 1; i >= mark; i-- {
		g.undo[i]()
	}
	g.undo = g.undo[:mark]
}

// becomes says what a command makes of a key.
func (g *ground) becomes(key []byte, typeName string) {
	k := string(key)
	old := g.types[k]
	if old == typeName {
		return
	}
	g.types[k] = typeName
	g.undo = append(g.undo, func() { g.types[k] = old })
}

// holds says what document a command leaves at a key; nil: none.
func (g *ground) holds(key, document []byte) {
	k := string(key)
	old, had := g.documents[k]
	g.documents[k] = document
	g.undo = append(g.undo, func() {
		if had {
			g.documents[k] = old
		} else {
			delete(g.documents, k)
		}
	})
}

// look learns of the keys of rows what is not known yet. On a single server the keys are watched first, so what it says
// still holds at EXEC.
func (t *txn) look(ctx context.Context, f *form, w *applier.Write) error {
	var keys [][]byte
	merges := f.mergesItself(w.Verb)
	for _, row := range w.Rows {
		key := w.Values.Columns[f.key].At(row)
		_, known := t.ground.types[string(key)]
		if known && merges && t.ground.types[string(key)] == f.typeName() {
			_, known = t.ground.documents[string(key)]
		}
		if !known {
			keys = append(keys, key)
			t.ground.types[string(key)] = "" // asked once
		}
	}
	if len(keys) == 0 {
		_, err := t.check(ctx)
		return err
	}
	if err := t.ask(ctx, f, keys, merges); err != nil {
		for _, key := range keys {
			delete(t.ground.types, string(key))
		}
		return err
	}
	return nil
}

func (t *txn) ask(ctx context.Context, f *form, keys [][]byte, merges bool) error {
	each := 1
	commands := make([]command, 0, 2*len(keys)+1)
	for _, key := range keys {
		commands = append(commands, command{key, []any{"TYPE", key}})
	}
	if merges {
		each = 2
		for _, key := range keys {
			commands = append(commands, command{key, []any{"JSON.GET", key}})
		}
	}
	answers, err := t.asked(ctx, keys, commands)
	if err != nil {
		return err
	}
	for i, key := range keys {
		if answers[i].err != nil {
			return answers[i].err
		}
		typeName := answers[i].text()
		t.ground.types[string(key)] = typeName
		if each == 1 || typeName != f.typeName() {
			continue
		}
		a := answers[len(keys)+i]
		if a.err != nil {
			return a.err
		}
		t.ground.documents[string(key)] = []byte(a.text())
	}
	return nil
}

// asked sends questions about keys: with WATCH in front and with the fence on a single server, to all of them on a cluster.
func (t *txn) asked(ctx context.Context, keys [][]byte, commands []command) ([]answer, error) {
	if t.target.cluster != nil {
		if _, err := t.check(ctx); err != nil {
			return nil, err
		}
		return t.target.spread(ctx, commands, false)
	}
	watch := make([]any, 0, len(keys)+1)
	watch = append(watch, "WATCH")
	for _, key := range keys {
		watch = append(watch, key)
	}
	answers, err := t.check(ctx, append([]command{{args: watch}}, commands...)...)
	if err != nil {
		return nil, err
	}
	return answers[1:], answers[0].err
}

// fits tells whether a key is free for a form, or has its type already. What has another type belongs to somebody else.
func (g *ground) fits(f *form, key []byte) error {
	switch typeName := g.types[string(key)]; typeName {
	case none, f.typeName():
		return nil
	default:
		return dataFault("key %s holds a %s, not a %s", shown(key), word(typeName), word(f.typeName())).WithCode("WRONGTYPE")
	}
}

// mergesItself tells whether documents are read, merged here and written as a whole.
func (f *form) mergesItself(verb applier.Verb) bool {
	if f.kind != pipelinev1.RedisType_REDIS_TYPE_JSON || f.native {
		return false
	}
	return f.path != "" || f.merge && verb == applier.Upsert
}
