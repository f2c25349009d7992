// Package nearest finds the name somebody meant when they wrote one that does not exist.
package nearest

import "strings"

// Name is the known name that differs least from the written one in letters added, left out or replaced, the case of
// letters apart. It reports false when none is close enough to be what was meant.
func Name(written string, known []string) (string, bool) {
	best, distance := "", len(written)/3+2
	for _, candidate := range known {
		if d := edits(strings.ToLower(written), strings.ToLower(candidate)); d < distance {
			best, distance = candidate, d
		}
	}
	return best, best != ""
}

// edits counts the letters to insert, delete or replace to turn a into b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
