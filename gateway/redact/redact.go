// Package redact takes secrets out of what leaves for support (G10).
//
// It hides three things: values that it was taught are secrets, as they stand in connections; the password in a URL; and
// what follows a name that only secrets have (password, secret, token and the like) in YAML, JSON, a log line or a query
// string. References such as ${env:NAME} stay: they tell where a secret is, not what it is. Rather too much is hidden than
// too little.
package redact

import (
	"bytes"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Hidden is what stands for a secret.
const Hidden = "******"

// shortest is the length from which on a secret is looked for anywhere: hiding "a" would hide everything.
const shortest = 4

// secretName is a name whose value is a secret.
const secretName = `[A-Za-z0-9_.-]*(?:password|passwd|passphrase|pwd|secret|token|api_?key|access_?key|private_?key|credential)[A-Za-z0-9_.-]*`

var (
	// named is name: value and name=value, with and without quotes.
	named = regexp.MustCompile(`(?i)("?` + secretName + `"?[ \t]*[:=][ \t]*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&}\]"']+)`)
	// inURL is the password of a URL.
	inURL = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@"']*:)([^\s@"']+)(@)`)
	name  = regexp.MustCompile(`(?i)^` + secretName + `$`)
)

// Redactor takes secrets out of texts. It serves one goroutine.
type Redactor struct{ known [][]byte }

// New makes one that knows no secret by its value.
func New() *Redactor { return &Redactor{} }

// Connection teaches the secrets that a connection holds in clear.
func (r *Redactor) Connection(c *pipelinev1.Connection) {
	for _, text := range secrets(c) {
		if len(text) < shortest || reference(text) {
			continue
		}
		for _, form := range []string{text, url.QueryEscape(text), url.PathEscape(text), inJSON(text)} {
			r.known = append(r.known, []byte(form))
		}
	}
}

// inJSON is a text as it stands in JSON, without the quotes.
func inJSON(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		return s // a string always encodes
	}
	return string(text[1 : len(text)-1])
}

// secrets are the values of a connection that are secrets, by the names of their attributes.
func secrets(c *pipelinev1.Connection) []string {
	out := []string{c.GetPassword()}
	for _, m := range []map[string]string{c.GetArgs(), c.GetOptions()} {
		for key, value := range m {
			if name.MatchString(key) {
				out = append(out, value)
			}
		}
	}
	return out
}

// Mask hides the secrets of a connection itself.
func Mask(c *pipelinev1.Connection) {
	if c.GetPassword() != "" && !reference(c.GetPassword()) {
		c.Password = Hidden
	}
	for _, m := range []map[string]string{c.GetArgs(), c.GetOptions()} {
		for key, value := range m {
			if name.MatchString(key) && !reference(value) {
				m[key] = Hidden
			}
		}
	}
}

// reference says whether a value is a reference and nothing else.
func reference(s string) bool {
	return strings.HasPrefix(s, "${") && strings.IndexByte(s, '}') == len(s)-1
}

// Text takes the secrets out of a text.
func (r *Redactor) Text(text []byte) []byte {
	for _, secret := range r.known {
		text = bytes.ReplaceAll(text, secret, []byte(Hidden))
	}
	text = inURL.ReplaceAllFunc(text, func(m []byte) []byte {
		part := inURL.FindSubmatch(m)
		if reference(string(part[2])) {
			return m
		}
		return bytes.Join([][]byte{part[1], []byte(Hidden), part[3]}, nil)
	})
	return named.ReplaceAllFunc(text, func(m []byte) []byte {
		part := named.FindSubmatch(m)
		value := string(part[2])
		bare := strings.Trim(value, `"'`)
		if bare == "" || bare == "null" || bare == Hidden || strings.HasPrefix(bare, "${") {
			return m
		}
		if quote := value[:1]; quote == `"` || quote == `'` {
			return append(bytes.Clone(part[1]), quote+Hidden+quote...)
		}
		return append(bytes.Clone(part[1]), Hidden...)
	})
}
