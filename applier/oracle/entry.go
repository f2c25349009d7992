package oracle

import (
	"database/sql"
	"strconv"

	goora "github.com/sijms/go-ora/v2"

	"slipstream/applier"
)

// entryArrays are entries as parameters: the output, rows, owners, both parts of the IDs, images.
func entryArrays(l laneName, output string, entries []applier.Entry, long bool) []any {
	n := len(entries)
	rows, owners := make([][]byte, n), make([][]byte, n)
	ms, seq := make([]sql.NullString, n), make([]sql.NullString, n)
	images, objects := make([][]byte, n), make([]goora.Blob, n)
	for i := range entries {
		e := &entries[i]
		rows[i], owners[i], images[i], objects[i].Data = e.Row, e.Owner, e.Before, e.Before
		ms[i], seq[i] = optional(strconv.FormatUint(e.Ms, 10)), optional(strconv.FormatUint(e.Seq, 10))
	}
	args := append(arrays(l, output, rows), owners, ms, seq)
	if long {
		return append(args, objects)
	}
	return append(args, images)
}
