package layout

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// promql finds what may be the name of a metric in an expression: a word that is no function, keyword or label.
var (
	quotedText  = regexp.MustCompile(`"[^"]*"`)
	labelList   = regexp.MustCompile(`(?:\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\))|\{[^}]*\}|\[[^\]]*\]`)
	promWord    = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*\s*\(?`)
	promKeyword = []string{"and", "or", "unless", "bool", "offset"}
	duration    = regexp.MustCompile(`\b[0-9]+(ms|[smhdwy])\b`)
)

// metricsOf returns the names of metrics in a PromQL expression.
func metricsOf(expr string) []string {
	expr = labelList.ReplaceAllString(quotedText.ReplaceAllString(expr, `""`), " ")
	expr = duration.ReplaceAllString(expr, " ")
	var names []string
	for _, word := range promWord.FindAllString(expr, -1) {
		if name := strings.TrimSpace(word); !strings.HasSuffix(name, "(") && !slices.Contains(promKeyword, name) {
			names = append(names, name)
		}
	}
	return names
}

// known are the metrics that exist, by name; true for histograms, which have no series of the name itself.
type known map[string]bool

// fault says what is wrong with a name, "" where it is one that exists.
func (k known) fault(name string) string {
	histogram, there := k[name]
	switch {
	case there && !histogram:
		return ""
	case there:
		return fmt.Sprintf("%s is a histogram: its series are %s_bucket, _sum and _count", name, name)
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && k[base] {
			return ""
		}
	}
	return fmt.Sprintf("%s is no metric of ours", name)
}
