package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"

	"slipstream/applier"
)

// indexDDL makes the row index (design D8). Keys are bytes: Redis does not require text.
func indexDDL(table string) []string {
	name := quote(table)
	return []string{
		`CREATE TABLE IF NOT EXISTS ` + name + ` (
  pipeline TEXT NOT NULL,
  job TEXT NOT NULL,
  connection TEXT NOT NULL,
  output TEXT NOT NULL,
  row_key BLOB NOT NULL,
  redis_key BLOB NOT NULL,
  last_ms INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  before BLOB,
  PRIMARY KEY (pipeline, job, connection, output, row_key)
) WITHOUT ROWID`,
		`CREATE INDEX IF NOT EXISTS ` + quote(table+"_owner") + ` ON ` + name + ` (pipeline, job, connection, output, redis_key)`,
	}
}

const ofOutput = `pipeline = ? AND job = ? AND connection = ? AND output = ?`

// OpenIndex creates the row index where it is missing.
func (s *session) OpenIndex(ctx context.Context) error {
	w := s.target.writer
	if err := w.take(ctx); err != nil {
		return err
	}
	defer w.give()
	for _, text := range indexDDL(s.target.options.rowTable) {
		if err := w.exec(ctx, text); err != nil {
			return fmt.Errorf("creating the row index: %w", err)
		}
	}
	return nil
}

func (s *session) outputArgs(output string) []any {
	return []any{s.lane.GetPipeline(), s.lane.GetJob(), s.lane.GetConnection(), output}
}

// Images reads before images beside the writer. Where a key has several, the newest counts.
func (s *session) Images(ctx context.Context, output string, owners [][]byte) ([][]byte, error) {
	r := s.target.reader
	if err := r.take(ctx); err != nil {
		return nil, err
	}
	defer r.give()
	found := map[string][]byte{}
	err := inPieces(owners, func(piece [][]byte) error {
		return r.query(ctx, func(v []driver.Value) error {
			found[string(raw(v[0]))] = raw(v[1])
			return nil
		}, `SELECT redis_key, before FROM `+quote(s.target.options.rowTable)+` WHERE `+ofOutput+
			` AND redis_key IN `+tuples(1, len(piece))+` AND before IS NOT NULL ORDER BY last_ms, last_seq`,
			append(s.outputArgs(output), blobs(piece)...)...)
	})
	images := make([][]byte, len(owners))
	for i, owner := range owners {
		images[i] = found[string(owner)]
	}
	return images, err
}

// Owned reads entries. The writer's turn is the lock: nobody else writes while it is held.
func (t *txn) Owned(ctx context.Context, output string, owners, rows [][]byte) ([]applier.Entry, error) {
	seen := map[string]bool{}
	var entries []applier.Entry
	read := func(column string, keys [][]byte) error {
		return inPieces(keys, func(piece [][]byte) error {
			return t.handle.query(ctx, func(v []driver.Value) error {
				e := applier.Entry{Row: raw(v[0]), Owner: raw(v[1])}
				if seen[string(e.Row)] {
					return nil
				}
				seen[string(e.Row)] = true
				ms, _ := v[2].(int64)
				seq, _ := v[3].(int64)
				e.Ms, e.Seq = uint64(ms), uint64(seq)
				entries = append(entries, e)
				return nil
			}, `SELECT row_key, redis_key, last_ms, last_seq FROM `+quote(t.session.target.options.rowTable)+` WHERE `+ofOutput+
				` AND `+column+` IN `+tuples(1, len(piece)), append(t.session.outputArgs(output), blobs(piece)...)...)
		})
	}
	if err := read("redis_key", owners); err != nil {
		return nil, err
	}
	return entries, read("row_key", rows)
}

// Own stores and deletes entries.
func (t *txn) Own(ctx context.Context, output string, entries []applier.Entry, gone [][]byte) error {
	table := quote(t.session.target.options.rowTable)
	err := inPieces(gone, func(piece [][]byte) error {
		_, err := t.handle.run(ctx, `DELETE FROM `+table+` WHERE `+ofOutput+` AND row_key IN `+tuples(1, len(piece)),
			t.handle.named(append(t.session.outputArgs(output), blobs(piece)...)))
		return err
	})
	if err != nil {
		return err
	}
	args := t.handle.named(append(t.session.outputArgs(output), nil, nil, nil, nil, nil))
	for i := range entries {
		e := &entries[i]
		args[4].Value, args[5].Value, args[6].Value, args[7].Value = e.Row, e.Owner, int64(e.Ms), int64(e.Seq)
		args[8].Value = nil
		if e.Before != nil {
			args[8].Value = e.Before
		}
		if _, err := t.handle.run(ctx, `INSERT INTO `+table+` (pipeline, job, connection, output, row_key, redis_key, last_ms, last_seq, before)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (pipeline, job, connection, output, row_key) DO UPDATE
			SET redis_key = excluded.redis_key, last_ms = excluded.last_ms, last_seq = excluded.last_seq, before = excluded.before`, args); err != nil {
			return err
		}
	}
	return nil
}

// inPieces hands over a list in pieces that a statement has room for.
func inPieces(keys [][]byte, each func([][]byte) error) error {
	const most = 1024
	for len(keys) > 0 {
		n := min(most, len(keys))
		if err := each(keys[:n]); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

func blobs(keys [][]byte) []any {
	out := make([]any, len(keys))
	for i, k := range keys {
		out[i] = k
	}
	return out
}

// raw is a copy of a value's bytes, since the driver uses its memory again.
func raw(v driver.Value) []byte {
	switch v := v.(type) {
	case []byte:
		return append([]byte{}, v...)
	case string:
		return []byte(strings.Clone(v))
	}
	return nil
}
