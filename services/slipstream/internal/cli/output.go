package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// outputFlag adds -o: table for people, json and yaml for programs.
func outputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "table", "table, json or yaml")
}

// printAs prints a value as json or yaml; both have the same members in the same order.
func printAs(w io.Writer, output string, v any) error {
	if output == "json" {
		return printJSON(w, v)
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	var ordered any
	if err := yaml.UnmarshalWithOptions(text.Bytes(), &ordered, yaml.UseOrderedMap()); err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	out, err := yaml.Marshal(escaped(ordered))
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	_, err = w.Write(out)
	return err
}

// quoted is a string that YAML holds in double quotes only, with escapes.
type quoted string

// MarshalYAML implements yaml.BytesMarshaler.
func (q quoted) MarshalYAML() ([]byte, error) { return []byte(strconv.Quote(string(q))), nil }

// escaped has strings with control characters quoted: records hold any, YAML allows few, and a terminal obeys them. A name with
// such is shown as Go writes it, quotes included.
func escaped(v any) any {
	switch v := v.(type) {
	case string:
		if strings.ContainsFunc(v, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			return quoted(v)
		}
	case []any:
		for i := range v {
			v[i] = escaped(v[i])
		}
	case yaml.MapSlice:
		for i := range v {
			if name, is := v[i].Key.(string); is && strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
				v[i].Key = strconv.Quote(name)
			}
			v[i].Value = escaped(v[i].Value)
		}
	}
	return v
}

// results is where results go. Whatever prints them may leave an error of writing aside: it is kept here, and a command whose
// result was not written has failed.
type results struct {
	w    io.Writer
	lost error
}

func (r *results) Write(p []byte) (int, error) {
	n, err := r.w.Write(p)
	if r.lost == nil {
		r.lost = err
	}
	return n, err
}
