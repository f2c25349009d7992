package job

import (
	"bytes"
	"regexp"
	"slices"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/transformer/finding"
)

// keyFields cuts fields out of the Redis key (spec 3.4). They are on every record, deletes included, and win over fields
// of the value with the same name: so a delete reaches the row that the updates wrote.
type keyFields struct {
	names      []string
	parts      []int // of each name: the token or the group
	delimiter  []byte
	expression *regexp.Regexp
}

func compileKeys(k *pipelinev1.KeyFields, found *finding.List) *keyFields {
	const at = "source.keys"
	out := &keyFields{delimiter: []byte(k.GetDelimiter())}
	for name := range k.GetFields() {
		out.names = append(out.names, name)
	}
	slices.Sort(out.names)
	for _, name := range out.names {
		out.parts = append(out.parts, int(k.GetFields()[name]))
	}
	if k == nil || len(out.names) == 0 {
		return out
	}
	switch {
	case k.GetExpression() != "" && k.GetDelimiter() != "":
		found.Error(at, "leave one of the two out", "delimiter and expression exclude each other")
	case k.GetExpression() != "":
		var err error
		if out.expression, err = regexp.Compile(k.GetExpression()); err != nil {
			found.Error(at+".expression", "write a regular expression with groups; look-around is not supported here", "%v", err)
			return out
		}
		for i, name := range out.names {
			if groups := out.expression.NumSubexp(); out.parts[i] > groups {
				found.Error(at+".fields."+name, "use a group number from 0 to the number of groups", "group %d of %q does not exist: there are %d",
					out.parts[i], name, groups)
			}
		}
	case k.GetDelimiter() == "":
		out.delimiter = []byte(":")
	}
	return out
}

// cut adds the parts of a key, in the order of the names; nil for a part the key does not have.
func (k *keyFields) cut(into [][]byte, key []byte) [][]byte {
	if len(k.names) == 0 {
		return into
	}
	if k.expression == nil {
		for _, n := range k.parts {
			into = append(into, token(key, k.delimiter, n))
		}
		return into
	}
	groups := k.expression.FindSubmatchIndex(key)
	for _, n := range k.parts {
		if groups == nil || groups[2*n] < 0 {
			into = append(into, nil)
			continue
		}
		into = append(into, key[groups[2*n]:groups[2*n+1]])
	}
	return into
}

// token is the nth token of a key, nil beyond the last.
func token(key, delimiter []byte, n int) []byte {
	for ; n > 0; n-- {
		_, rest, found := bytes.Cut(key, delimiter)
		if !found {
			return nil
		}
		key = rest
	}
	part, _, _ := bytes.Cut(key, delimiter)
	return part
}
