package page_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"slipstream/gateway/page"
)

func get(t *testing.T, mux *http.ServeMux, method, path, tag string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	if tag != "" {
		r.Header.Set("If-None-Match", tag)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}

func serve(t *testing.T) *http.ServeMux {
	t.Helper()
	mux := http.NewServeMux()
	if err := page.Register(mux); err != nil {
		t.Fatal(err)
	}
	return mux
}

// TestFiles: each file comes with its type, the policy, and a tag that spares its text to who has it; nothing else is there.
func TestFiles(t *testing.T) {
	mux := serve(t)
	for name, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/page/main.js": "text/javascript; charset=utf-8", "/page/style.css": "text/css; charset=utf-8", "/page/icon.svg": "image/svg+xml",
	} {
		w := get(t, mux, http.MethodGet, name, "")
		h := w.Header()
		if w.Code != http.StatusOK || h.Get("Content-Type") != kind || w.Body.Len() == 0 {
			t.Errorf("%s: %d, %q, %d bytes", name, w.Code, h.Get("Content-Type"), w.Body.Len())
		}
		for header, wants := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; ", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "no-referrer", "Cache-Control": "no-cache", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if !strings.HasPrefix(h.Get(header), wants) {
				t.Errorf("%s: %s is %q", name, header, h.Get(header))
			}
		}
		for _, never := range []string{"unsafe-inline", "unsafe-eval", "*", "http:", "https:", "data:"} {
			if strings.Contains(h.Get("Content-Security-Policy"), never) {
				t.Errorf("the policy allows %s", never)
			}
		}
		for _, always := range []string{"frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(h.Get("Content-Security-Policy"), always) {
				t.Errorf("the policy lacks %s", always)
			}
		}
		if w := get(t, mux, http.MethodGet, name, h.Get("ETag")); w.Code != http.StatusNotModified || w.Body.Len() != 0 || h.Get("ETag") == "" {
			t.Errorf("%s again: %d, %d bytes", name, w.Code, w.Body.Len())
		}
		if w := get(t, mux, http.MethodHead, name, ""); w.Code != http.StatusOK || w.Body.Len() != 0 {
			t.Errorf("HEAD %s: %d, %d bytes", name, w.Code, w.Body.Len())
		}
		if w := get(t, mux, http.MethodPost, name, ""); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", name, w.Code)
		}
	}
	for _, name := range []string{"/page/", "/page/index.html", "/page/none.js", "/page/../page.go", "/index.html", "/favicon.ico"} {
		if w := get(t, mux, http.MethodGet, name, ""); w.Code == http.StatusOK {
			t.Errorf("%s is there", name)
		}
	}
}

var (
	// named finds what a file asks for.
	named = regexp.MustCompile(`(?:src|href)="([^"#][^"]*)"|from '([^']+)'`)
	// inline finds scripts, handlers and styles in the text of a page, which its policy would not run.
	inline = regexp.MustCompile(`(?i)<script(?:[^>]*[^"])?>[^<]|<style|\son[a-z]+=|\sstyle=`)
	// markup finds the ways from a string to markup or code.
	markup = regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|srcdoc|\beval\b|new Function|javascript:`)
	// elsewhere finds what is fetched from other places; the name of a namespace is not fetched.
	elsewhere = regexp.MustCompile(`(?:https?:)?//[a-z0-9.-]+\.[a-z]+`)
)

// TestNothingFromElsewhere: what the files ask for is among them or of the gateway, nothing is inline, and no code makes markup of text.
func TestNothingFromElsewhere(t *testing.T) {
	mux := serve(t)
	files := os.DirFS("site")
	names, err := fs.Glob(files, "*")
	if err != nil || len(names) < 10 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	asked := map[string]bool{"index.html": true}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			at := m[1]
			if m[2] != "" {
				at = path.Join("/page", m[2])
			}
			if at == "/slipstream.binpb" {
				continue // package jsonapi serves it
			}
			asked[path.Base(at)] = true
			if w := get(t, mux, http.MethodGet, at, ""); w.Code != http.StatusOK {
				t.Errorf("%s asks for %s, which is not there", name, at)
			}
		}
		if found := markup.Find(text); found != nil && path.Ext(name) == ".js" {
			t.Errorf("%s has a way to markup or code: %s", name, found)
		}
		if found := inline.Find(text); found != nil && path.Ext(name) == ".html" {
			t.Errorf("%s has something inline: %s", name, found)
		}
		for _, found := range elsewhere.FindAllString(string(text), -1) {
			if found != "http://www.w3.org" {
				t.Errorf("%s names another place: %s", name, found)
			}
		}
	}
	for _, name := range names {
		if !asked[name] {
			t.Errorf("nothing asks for %s", name)
		}
	}
}
