package sweep

import (
	"bytes"
	"context"

	"slipstream/capture/glob"
	"slipstream/capture/resp"
)

// mostScanned bounds how many keys a sample looks at.
const mostScanned = 2_000_000

// Sample finds at most most keys of a target, on a connection to its logical database, and tells how many keys it looked
// at. A pattern narrows the target's own; empty: it does not. JSON says that the server knows JSON documents.
func Sample(ctx context.Context, conn *resp.Conn, t Target, json bool, pattern string, most int) ([][]byte, uint64, error) {
	own := []byte(t.Pattern)
	if pattern != "" {
		t.Pattern = pattern
	}
	s := &scanner{conn: conn, target: t, json: json}
	var keys [][]byte
	seen := map[string]bool{} // SCAN may tell of a key twice
	scanned, cursor := uint64(0), uint64(0)
	for {
		found, next, err := s.next(ctx, cursor, round)
		if err != nil {
			return nil, scanned, err
		}
		scanned += round
		if t.exact() {
			scanned = 1
		}
		for _, key := range found {
			if seen[string(key)] || !glob.Match(own, key) {
				continue
			}
			if len(keys) == most {
				return keys, scanned, nil
			}
			seen[string(key)] = true
			keys = append(keys, bytes.Clone(key))
		}
		if cursor = next; cursor == 0 || len(keys) == most || scanned >= mostScanned {
			return keys, scanned, nil
		}
	}
}
