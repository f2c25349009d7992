package e2e_test

import (
	"context"
	encoding "encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"

	"slipstream/deploy/dev/devserver"
)

// browser is a Chromium and what its pages complained of.
type browser struct {
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// startBrowser starts a browser; the test fails where a script of a page failed, or the page did what its policy forbids.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	b := &browser{}
	allocator, cancel := remote.NewAllocator(context.WithoutCancel(t.Context()), devserver.Chromium(t).URL, remote.NoModifyURL)
	t.Cleanup(cancel)
	ctx, leave := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		leave()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range b.complaints {
			t.Error(c)
		}
	})
	must(t, chromedp.Do(ctx))
	b.ctx = ctx
	return b
}

// listen hears what a page complains of.
func (b *browser) listen(e any) {
	var text string
	switch e := e.(type) {
	case *runtime.EventExceptionThrown:
		text = "a script failed: " + e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text += " " + x.Description
		}
	case *log.EventEntryAdded:
		// What the network says is expected: services are stopped, and callers refused.
		if e.Entry.Source != log.EntrySourceNetwork && e.Entry.Level == log.EntryLevelError {
			text = "the browser complains: " + e.Entry.Text
		}
	}
	if text != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.complaints = append(b.complaints, text)
	}
}

// tab is a page as a user has it before him.
type tab struct {
	b   *browser
	t   *testing.T
	ctx context.Context
}

// open opens a page in a tab of its own, in a session of its own.
func (b *browser) open(t *testing.T, url string) *tab {
	t.Helper()
	ctx, leave := chromedp.NewContext(b.ctx, chromedp.WithListener(b.listen))
	t.Cleanup(leave)
	must(t, chromedp.Do(ctx))
	p := &tab{b: b, t: t, ctx: ctx}
	p.size(1280, 900)
	p.do(chromedp.Navigate(url))
	return p
}

// within is the tab for a part of the test.
func (p *tab) within(t *testing.T) *tab { return &tab{b: p.b, t: t, ctx: p.ctx} }

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("driving the browser: %v\n%s", err, p.words())
	}
}

// got runs an action of a tab for its value.
func got[T any](p *tab, action chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
	defer cancel()
	return chromedp.Run(ctx, action)
}

// run runs a statement in the page.
func (p *tab) run(statement string) {
	p.t.Helper()
	if _, err := got(p, chromedp.Evaluate[bool](statement+"; true")); err != nil {
		p.t.Fatalf("%s: %v", statement, err)
	}
}

// words are what can be read on the page.
func (p *tab) words() string {
	text, err := got(p, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return text
}

// until waits until an expression is true.
func (p *tab) until(what, expression string) {
	p.t.Helper()
	await(p.t, time.Minute, what, func() (bool, string) {
		ok, err := got(p, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err != nil {
			return false, err.Error()
		}
		if !ok {
			return false, "the page says:\n" + p.words()
		}
		return true, ""
	})
}

// says waits until the elements that a selector finds say all of the texts.
func (p *tab) says(selector string, texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		p.until(selector+" says "+text, fmt.Sprintf("[...document.querySelectorAll(%q)].map(e => e.innerText).join('\\n').includes(%q)", selector, text))
	}
}

// click clicks what a selector finds first, once it is there.
func (p *tab) click(selector string) {
	p.t.Helper()
	p.until(selector+" is there", fmt.Sprintf("document.querySelector(%q)?.checkVisibility()", selector))
	p.run(fmt.Sprintf("document.querySelector(%q).scrollIntoView({block: 'center'})", selector)) // from under what sticks to the top
	p.do(chromedp.Click(chromedp.CSS(selector)))
}

// fill types into a field.
func (p *tab) fill(selector, text string) {
	p.t.Helper()
	p.run(fmt.Sprintf("document.querySelector(%q).value = ''", selector))
	p.do(chromedp.SendKeys(chromedp.CSS(selector), text))
}

// size makes the window as large.
func (p *tab) size(width, height int64) {
	p.t.Helper()
	p.do(chromedp.EmulateViewport(width, height))
}

// colours asks for light or dark, as a system does.
func (p *tab) colours(scheme string) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	must(p.t, err)
}

// named: everything that can be operated, and every picture that means something, has a name for those who do not see it;
// and there are at least so many such things.
func (p *tab) named(least int) {
	p.t.Helper()
	tree, err := chromedp.Call(p.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	must(p.t, err)
	text := func(v *accessibility.Value) (s string) {
		if v != nil {
			_ = encoding.Unmarshal(v.Value, &s) // what is no text is none
		}
		return strings.TrimSpace(s)
	}
	operated := 0
	for _, n := range tree.Nodes {
		switch role := text(n.Role); role {
		case "button", "link", "textbox", "checkbox", "combobox", "spinbutton", "image", "img", "dialog", "table":
			operated++
			if !n.Ignored && text(n.Name) == "" {
				p.t.Errorf("a %s has no name", role)
			}
		}
	}
	if operated < least {
		p.t.Errorf("only %d things have a role", operated)
	}
}

// screenshots is the folder that they are written to; none where it is empty.
var screenshots = os.Getenv("SLIPSTREAM_SCREENSHOTS")

// shoot takes a picture of the window, where pictures are wanted.
func (p *tab) shoot(name string) {
	p.t.Helper()
	if screenshots == "" {
		return
	}
	picture, err := got(p, chromedp.CaptureScreenshot())
	must(p.t, err, os.WriteFile(filepath.Join(screenshots, name), picture, 0o644))
}
