// Package page is the web page of the gateway: the line drawn as it is, with what an operator does about it.
//
// It is files, embedded, without a build step and without anything from elsewhere: index.html, style sheets, modules of
// JavaScript, an icon. All that the page shows it asks of the API over HTTP with JSON (package jsonapi), with the credentials of
// who looks at it; the files themselves hold nothing of a pipeline and are given to everybody.
//
// What is true of it: nothing that the API answers is ever taken for markup. The page makes text of it, and the policy that comes
// with every file lets the browser run no script but these files and forbids it to parse markup from strings.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed site
var site embed.FS

// policy allows what the page needs, from where it came: nothing inline, nothing from elsewhere, in nobody's frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// kinds are the types of the files, which do not depend on the machine.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// file is one of the page's files.
type file struct {
	text []byte
	kind string
	tag  string // changes when the text does
}

// Register adds the page to a mux, at / and below /page/.
func Register(mux *http.ServeMux) error {
	names, err := fs.Glob(site, "site/*")
	if err != nil {
		return fmt.Errorf("reading the page: %w", err)
	}
	for _, name := range names {
		text, err := site.ReadFile(name)
		if err != nil {
			return fmt.Errorf("reading the page: %w", err)
		}
		sum := sha256.Sum256(text)
		f := &file{text: text, kind: kinds[path.Ext(name)], tag: `"` + hex.EncodeToString(sum[:12]) + `"`}
		if f.kind == "" {
			return fmt.Errorf("the page has a file of no known kind: %s", name)
		}
		at := "GET /page/" + path.Base(name)
		if path.Base(name) == "index.html" {
			at = "GET /{$}"
		}
		mux.Handle(at, f)
	}
	return nil
}

// ServeHTTP implements http.Handler. A browser may keep the file, and asks each time whether it is still this one.
func (f *file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.text))
}
