package helm

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v3/pkg/chart"
)

// value is one of values.yaml.
type value struct {
	path     []string
	comment  string
	fallback string // its default, as written; empty for a group
}

func (v value) name() string { return strings.Join(v.path, ".") }

// documented are the values of values.yaml in their order: groups, and what schema says to be a value in one piece.
func documented(t *testing.T) []value {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Folder, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	s := schemaOf(t)
	var all []value
	var walk func(node *yaml.Node, path []string)
	walk = func(node *yaml.Node, path []string) {
		for i := 0; i < len(node.Content); i += 2 {
			key, at := node.Content[i], node.Content[i+1]
			v := value{path: append(slices.Clone(path), key.Value), comment: comment(key)}
			group := at.Kind == yaml.MappingNode && s.fixed(s.at(v.path))
			if !group {
				v.fallback = flow(t, at)
			}
			all = append(all, v)
			if group {
				walk(at, v.path)
			}
		}
	}
	walk(doc.Content[0], nil)
	return all
}

// comment is the paragraph right above a key.
func comment(key *yaml.Node) string {
	text := key.HeadComment
	if at := strings.LastIndex(text, "\n\n"); at >= 0 {
		text = text[at+2:]
	}
	var words []string
	for line := range strings.Lines(text) {
		words = append(words, strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "#"))...)
	}
	return strings.Join(words, " ")
}

// flow is a value on one line.
func flow(t *testing.T, node *yaml.Node) string {
	t.Helper()
	var v any
	if err := node.Decode(&v); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestEveryValueHasAnEffect: whatever value is changed, with one of the sets something else is rendered, and the schema takes
// the change.
func TestEveryValueHasAnEffect(t *testing.T) {
	c := loaded(t)
	before := map[string]string{}
	for _, name := range sets {
		before[name] = mustRender(t, c, set(t, name))
	}
	s := schemaOf(t)
	changed := 0
	for _, v := range documented(t) {
		if v.fallback == "" {
			continue
		}
		var def any
		if err := json.Unmarshal([]byte(v.fallback), &def); err != nil {
			t.Fatal(err)
		}
		effect := false
		for _, name := range sets {
			if effect {
				break
			}
			vals := set(t, name)
			put(vals, v.path, other(s.at(v.path), current(vals, v.path, def)))
			text, _, err := rendered(c, vals)
			// a value that another one makes needless may be refused together with it, such as an applier that is the only one
			effect = err == nil && text != before[name]
		}
		if changed++; !effect {
			t.Errorf("%s changes nothing", v.name())
		}
	}
	if changed < 80 {
		t.Errorf("only %d values were changed", changed)
	}
}

func mustRender(t *testing.T, c *chart.Chart, v values) string {
	t.Helper()
	text, _, err := rendered(c, v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// current is a value of a set, or what it is by default.
func current(v values, path []string, def any) any {
	var at any = v
	for _, key := range path {
		m, ok := at.(values)
		if !ok {
			return def
		}
		if at, ok = m[key]; !ok {
			return def
		}
	}
	return at
}

func put(v values, path []string, to any) {
	for _, key := range path[:len(path)-1] {
		next, ok := v[key].(values)
		if !ok {
			next = values{}
			v[key] = next
		}
		v = next
	}
	v[path[len(path)-1]] = to
}

// other is a value that a schema takes and that is not the one given.
func other(s node, is any) any {
	if all, ok := s["enum"].([]any); ok {
		return all[(slices.Index(all, is)+1)%len(all)]
	}
	switch is := is.(type) {
	case bool:
		return !is
	case float64:
		return is + 1
	case string:
		if s["pattern"] == "^[0-9]+(ms|s|m|h)$" {
			return "17s"
		}
		return "changed"
	case []any:
		if items, _ := s["items"].(node); items["type"] == "object" {
			return append(slices.Clone(is), values{"changed": "yes"})
		}
		return append(slices.Clone(is), "changed")
	case values:
		is = maps.Clone(is)
		is["changed"] = "yes"
		return is
	default:
		panic(fmt.Sprintf("a value of type %T", is))
	}
}

// TestValuesAreExplained: each value has a comment, its own or that of the key of service or applier that it overrides.
func TestValuesAreExplained(t *testing.T) {
	all := documented(t)
	general := map[string]bool{}
	for _, v := range all {
		if len(v.path) > 1 && (v.path[0] == "service" || v.path[0] == "applier") {
			general[strings.Join(v.path[1:], ".")] = true
		}
	}
	for _, v := range all {
		overrides := len(v.path) > 1 && general[strings.Join(v.path[1:], ".")] || len(v.path) > 2 && general[strings.Join(v.path[2:], ".")]
		if v.comment == "" && !overrides {
			t.Errorf("%s is not explained", v.name())
		}
		if v.comment != "" && !strings.HasSuffix(v.comment, ".") && !strings.HasSuffix(v.comment, "}") {
			t.Errorf("the comment on %s is no sentence: %q", v.name(), v.comment)
		}
	}
}

// TestReadme: the table of README.md is made of values.yaml.
func TestReadme(t *testing.T) {
	const begin, end = "<!-- values: go test ./deploy/helm -update -->\n", "<!-- end of values -->\n"
	file := filepath.Join(Folder, "README.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	is, after, also := strings.Cut(rest, end)
	if !ok || !also {
		t.Fatal("README.md does not mark the table")
	}
	var table strings.Builder
	table.WriteString("\n| value | default | |\n|---|---|---|\n")
	for _, v := range documented(t) {
		fallback := ""
		if v.fallback != "" {
			fallback = "`" + strings.ReplaceAll(v.fallback, "|", `\|`) + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", v.name(), fallback, strings.ReplaceAll(v.comment, "|", `\|`))
	}
	table.WriteString("\n")
	if is == table.String() {
		return
	}
	if !*update {
		t.Fatal("the table of README.md is not that of values.yaml: go test ./deploy/helm -update")
	}
	if err := os.WriteFile(file, []byte(before+begin+table.String()+end+after), 0o600); err != nil {
		t.Fatal(err)
	}
}
