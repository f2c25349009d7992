package yamlfile

import (
	"slices"
	"strings"
)

// Nearest is the word that was probably meant, if one is near enough.
func Nearest(word string, among []string) (string, bool) {
	normal := normalize(word)
	best, least := "", 1+max(1, min(3, len(normal)/3))
	for _, candidate := range among {
		if n := normalize(candidate); min(len(n), len(normal)) >= 4 && (strings.HasPrefix(normal, n) || strings.HasPrefix(n, normal)) {
			return candidate, true
		}
	}
	for _, candidate := range among {
		if d := distance(normal, normalize(candidate)); d < least {
			best, least = candidate, d
		}
	}
	return best, best != ""
}

func didYouMean(word string, among []string, what string) string {
	words := slices.Sorted(slices.Values(among))
	list := what + ": " + strings.Join(words, ", ")
	if near, ok := Nearest(word, among); ok {
		return `did you mean "` + near + `"? ` + list
	}
	return list
}

// DidYouMean is a fix that names the nearest of the words and lists them all.
func DidYouMean(word string, among []string) string { return didYouMean(word, among, "known") }

// normalize makes spellings equal that users mix: case, hyphen and underscore.
func normalize(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), "-", "_")
}

// distance is the number of insertions, deletions, replacements and swaps of neighbours between two words.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 64 || len(y) > 64 {
		return 64
	}
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(x)][len(y)]
}
