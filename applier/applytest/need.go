package applytest

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// Need is something about a target without which a case means nothing.
type Need string

// What cases need. A harness says which of them its target lacks, and why (Harness.Lacks).
const (
	// NeedTables: tables and columns in a catalogue, which can be missing, have defaults, be several in a key.
	NeedTables Need = "tables"
	// NeedTypes: columns that take values of their type alone.
	NeedTypes Need = "types"
	// NeedConstraints: rules about several rows or columns: foreign keys, unique values, CHECK.
	NeedConstraints Need = "constraints"
	// NeedForeach: several rows of a table for one record.
	NeedForeach Need = "foreach"
	// NeedStrategies: histories and the other load strategies.
	NeedStrategies Need = "strategies"
	// NeedTogether: rows and position commit together, behind the fence (G3).
	NeedTogether Need = "together"
)

// needs are the groups, and the cases as group/name, that need something.
var needs = map[Need][]string{
	NeedTables: {
		"check", "create", "preview",
		"write/columns not mapped keep their value and take their default", "write/composite keys", "write/a table of keys only",
		"write/columns a row does not touch", "write/names with blanks, quotes and other case",
		"trouble/a missing table is waited for", "trouble/a missing column is waited for",
		"trouble/a column that changes its type under way", "trouble/a table that goes under way",
		"index/rows that a key no longer writes go",
	},
	NeedTypes: {
		"type", "choice", "write/keys are one when their values are", "value/numbers", "value/booleans", "value/dates and times",
		"value/bytes, documents and UUIDs", "reject/values that do not fit",
	},
	NeedConstraints: {
		"reference", "write/outputs in order", "reject/an older change stands when the newer is refused",
		"lanes/a unique value moves by another lane", "lanes/a chain of unique values moves in one batch",
		"lanes/unique values are swapped in one batch", "lanes/a swap of unique values that must be, and one that cannot be",
		"lanes/a unique value that is taken for good rejects its record alone",
	},
	NeedForeach:    {"foreach", "trace/statements about the rows of a parent"},
	NeedStrategies: {"strategy"},
	NeedTogether: {
		"position/a new lane begins at the beginning", "fence/opening waits for a commit under way", "lanes/a deadlock between two lanes",
	},
}

// lacks says why a group or case means nothing for the harness; empty where it means something.
func (f *fixture) lacks(name string) string {
	for _, need := range slices.Sorted(maps.Keys(f.Lacks)) {
		if slices.Contains(needs[need], name) {
			return string(need) + ": " + f.Lacks[need]
		}
	}
	return ""
}

// left lists what was left out, with the reason: nothing is left out in silence.
func left(t *testing.T, out map[string][]string) {
	t.Helper()
	for _, why := range slices.Sorted(maps.Keys(out)) {
		t.Logf("left out, as the target lacks %s:\n\t%s", why, strings.Join(out[why], "\n\t"))
	}
}

// named makes sure that what needs something is there.
func named(t *testing.T, groups []group) {
	t.Helper()
	known := map[string]bool{}
	for _, g := range groups {
		known[g.name] = true
		for _, c := range g.cases {
			known[g.name+"/"+c.name] = true
		}
	}
	for need, list := range needs {
		for _, name := range list {
			if !known[name] {
				t.Errorf("%q needs %s, and is no case of the suite", name, need)
			}
		}
	}
}
