package configfile

import (
	"bytes"

	"slipstream/gateway/yamlfile"
)

// clearSecret is a secret that is written in config.yaml itself instead of referred to.
type clearSecret struct {
	text string
	line int
}

// clear warns of a secret written in clear, and remembers it for mask.
func (r *reader) clear(key string, v yamlfile.Value) {
	if v.Kind() != yamlfile.String {
		return
	}
	text, ok := v.Text()
	if !ok || hasReference(text) {
		return
	}
	v.Warn("write "+key+": ${env:NAME} or "+key+": ${file:/path}, and keep the secret there",
		"the %s of connection %s is written in clear", key, r.out.GetName())
	*r.secrets = append(*r.secrets, clearSecret{text: text, line: v.Line()})
}

// mask hides secrets in the text that is stored beside the compiled pipeline (G10). A secret is looked for from its key's
// line on, in the spelling of the file; where that differs from the value (quotes, escapes, folded lines) the rest of
// the line and the lines that continue it are hidden.
func mask(text []byte, secrets []clearSecret) []byte {
	if len(secrets) == 0 {
		return text
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	for _, s := range secrets {
		if s.line < 1 || s.line > len(lines) {
			continue
		}
		i := s.line - 1
		colon := bytes.IndexByte(lines[i], ':')
		if at := bytes.LastIndex(lines[i], []byte(s.text)); at > colon {
			lines[i] = bytes.Join([][]byte{lines[i][:at], lines[i][at+len(s.text):]}, []byte("******"))
			continue
		}
		indent := len(lines[i]) - len(bytes.TrimLeft(lines[i], " "))
		lines[i] = append(bytes.Clone(lines[i][:colon+1]), " \"******\"\n"...)
		for i++; i < len(lines); i++ {
			if body := bytes.TrimLeft(lines[i], " "); len(bytes.TrimSpace(body)) > 0 && len(lines[i])-len(body) <= indent {
				break
			}
			lines[i] = nil
		}
	}
	return bytes.Join(lines, nil)
}
