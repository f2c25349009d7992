package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"

	"slipstream/applier"
	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// defaultRowTable is the name where the settings give none.
const defaultRowTable = "slipstream_row"

// rowTable is the row index (design D8). Keys are bytes, since Redis does not require text.
type rowTable struct {
	schema, name string // schema is empty for the connection's database
	quoted       string
	create       string
}

// newRowTable reads "name" or "database.name". An index here takes neither keys of any length nor four names as its
// beginning, so rows and owners are found by what shortID makes of them, within an output's digest.
func newRowTable(name string) rowTable {
	if name == "" {
		name = defaultRowTable
	}
	r := rowTable{name: name, quoted: quote(name)}
	if schema, table, ok := strings.Cut(name, "."); ok {
		r.schema, r.name = schema, table
		r.quoted = quote(schema) + "." + quote(table)
	}
	r.create = "CREATE TABLE IF NOT EXISTS " + r.quoted + " (\n" +
		"  `output_id` binary(16) NOT NULL, `row_id` varbinary(64) NOT NULL, `owner_id` varbinary(64) NOT NULL,\n" +
		"  `pipeline` varchar(180) NOT NULL, `job` varchar(180) NOT NULL, `connection` varchar(180) NOT NULL, `output` varchar(180) NOT NULL,\n" +
		"  `row_key` longblob NOT NULL, `redis_key` longblob NOT NULL, `last_ms` bigint unsigned NOT NULL, `last_seq` bigint unsigned NOT NULL,\n" +
		"  `before` longblob,\n" +
		"  PRIMARY KEY (`output_id`, `row_id`), KEY `owner` (`output_id`, `owner_id`)\n" +
		") ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;"
	return r
}

// indexColumns are what the statements on the row index use.
var indexColumns = []string{
	"output_id", "row_id", "owner_id", "pipeline", "job", "connection", "output", "row_key", "redis_key", "last_ms", "last_seq", "before",
}

// idLength is how long a row or an owner may be to be found by itself.
const idLength = 64

// appendID spells what a row or an owner is found by: itself, or, where it is long, its beginning and its digest.
func appendID(dst, key []byte) []byte {
	if len(key) > idLength {
		digest := sha256.Sum256(key)
		key = append(append(make([]byte, 0, idLength), key[:idLength-len(digest)]...), digest[:]...)
	}
	return appendHex(dst, key)
}

func appendHex(dst, b []byte) []byte {
	return append(hex.AppendEncode(append(dst, 'x', '\''), b), '\'')
}

// outputID is the digest of an output's names, as SQL.
func (s *session) outputID(output string) string {
	digest := sha256.Sum256([]byte(s.lane.pipeline + "\n" + s.lane.job + "\n" + s.lane.connection + "\n" + output))
	return string(appendHex(nil, digest[:16]))
}

// rowDDL is what somebody who may create tables has to run.
func (t *target) rowDDL(s *server) string { return t.rows.create + "\n" + t.rowGrant(s) }

func (t *target) rowGrant(s *server) string {
	return grant([]string{"SELECT", "INSERT", "UPDATE", "DELETE"}, t.qualified(t.rows.schema, t.rows.name), s.account)
}

// rowFault makes a fault of an error in a statement on the row index; what is a fault already stays.
func (t *target) rowFault(doing string, err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return known
	}
	f := failed(doing+" the row index "+t.rows.quoted, err)
	server := t.server.Load()
	switch {
	case missesGrant(f.Code):
		return f.WithFix(t.rowGrant(server))
	case hasNumber(err, erNoSuchTable):
		return f.WithFix(t.rowDDL(server))
	case hasNumber(err, erNoColumn):
		return f.WithFix("set applier.row_table to another name: that table is not one of ours, which is made so:\n" + t.rowDDL(server))
	}
	return f
}

// probe reads nothing of the row index, but as all statements on it do.
func (r *rowTable) probe() string {
	return "SELECT `" + strings.Join(indexColumns, "`, `") + "` FROM " + r.quoted + " WHERE FALSE FOR UPDATE"
}

// OpenIndex implements applier.Session.
func (s *session) OpenIndex(ctx context.Context) error {
	t := s.target
	ctx, cancel := t.limited(ctx)
	defer cancel()
	l, err := t.link(ctx)
	if err != nil {
		return err
	}
	defer l.release()
	err = l.query(ctx, t.rows.probe(), func([][]byte) {})
	switch {
	case err == nil:
		return nil
	case !hasNumber(err, erNoSuchTable, erNoDatabase):
		return t.rowFault("reading", err)
	}
	t.creating.Lock()
	defer t.creating.Unlock()
	if _, err = l.exec(ctx, t.rows.create); err == nil || hasNumber(err, erTableExists) {
		return nil
	}
	f := failed("creating the row index "+t.rows.quoted, err)
	if missesGrant(f.Code) || hasNumber(err, erNoDatabase) {
		f.Class = flowv1.FaultClass_FAULT_CLASS_PERMISSION
		return f.WithFix(t.rowDDL(l.server))
	}
	return f
}

// keysPerStatement is how many rows or owners are looked for at a time.
const keysPerStatement = 1000

// inIDs runs a statement for lists of IDs: before, the list, after.
func inIDs(keys [][]byte, before, after string, run func(text string) error) error {
	for part := range slices.Chunk(keys, keysPerStatement) {
		text := append([]byte(before), " IN ("...)
		for i, key := range part {
			if i > 0 {
				text = append(text, ',')
			}
			text = appendID(text, key)
		}
		if err := run(string(append(append(text, ')'), after...))); err != nil {
			return err
		}
	}
	return nil
}

// Images implements applier.Session.
func (s *session) Images(ctx context.Context, output string, owners [][]byte) ([][]byte, error) {
	t := s.target
	ctx, cancel := t.limited(ctx)
	defer cancel()
	l, err := t.link(ctx)
	if err != nil {
		return nil, err
	}
	defer l.release()
	found := map[string][]byte{}
	err = inIDs(owners, "SELECT `redis_key`, `before` FROM "+t.rows.quoted+" WHERE `output_id` = "+s.outputID(output)+" AND `owner_id`",
		" AND `before` IS NOT NULL ORDER BY `last_ms`, `last_seq`", func(text string) error {
			return l.query(ctx, text, func(v [][]byte) { found[string(v[0])] = clone(v[1]) })
		})
	if err != nil {
		return nil, t.rowFault("reading", err)
	}
	images := make([][]byte, len(owners))
	for i, owner := range owners {
		images[i] = found[string(owner)]
	}
	return images, nil
}

// Owned implements applier.Txn: by owner and by row, each through its index. An entry that was waited for is read as it has
// become meanwhile, or not at all.
func (x *txn) Owned(ctx context.Context, output string, owners, rows [][]byte) ([]applier.Entry, error) {
	if x.memory != nil {
		return x.memory.owned(output, owners, rows), nil
	}
	t := x.session.target
	var entries []applier.Entry
	seen := map[string]bool{}
	for _, by := range []struct {
		column string
		keys   [][]byte
	}{{"owner_id", owners}, {"row_id", rows}} {
		err := inIDs(by.keys, "SELECT `row_key`, `redis_key`, `last_ms`, `last_seq` FROM "+t.rows.quoted+" WHERE `output_id` = "+
			x.session.outputID(output)+" AND `"+by.column+"`", " ORDER BY `row_id` FOR UPDATE", func(text string) error {
			var unreadable error
			err := x.query(ctx, text, func(v [][]byte) {
				if seen[string(v[0])] {
					return
				}
				seen[string(v[0])] = true
				ms, err1 := strconv.ParseUint(string(v[2]), 10, 64)
				seq, err2 := strconv.ParseUint(string(v[3]), 10, 64)
				unreadable = errors.Join(unreadable, err1, err2)
				entries = append(entries, applier.Entry{Row: clone(v[0]), Owner: clone(v[1]), Ms: ms, Seq: seq})
			})
			return errors.Join(err, unreadable)
		})
		if err != nil {
			return nil, t.rowFault("reading", err)
		}
	}
	return entries, nil
}

// Own implements applier.Txn.
func (x *txn) Own(ctx context.Context, output string, entries []applier.Entry, gone [][]byte) error {
	if x.memory != nil {
		x.memory.own(output, entries, gone)
		return nil
	}
	t := x.session.target
	id := x.session.outputID(output)
	err := inIDs(gone, "DELETE FROM "+t.rows.quoted+" WHERE `output_id` = "+id+" AND `row_id`", "", func(text string) error {
		_, err := x.exec(ctx, text)
		return err
	})
	if err == nil {
		err = x.store(ctx, id, literal(output), entries)
	}
	if err != nil {
		return t.rowFault("writing", err)
	}
	return nil
}

// store upserts entries. The table has no other unique index than that of its rows.
func (x *txn) store(ctx context.Context, id, output string, entries []applier.Entry) error {
	k := x.session.lane
	names := "," + strings.Join([]string{k.pipeline, k.job, k.connection, output}, ",") + ","
	before := "INSERT INTO " + x.session.target.rows.quoted + " (`" + strings.Join(indexColumns, "`, `") + "`) VALUES "
	as, value := "", func(c string) string { return "VALUES(`" + c + "`)" }
	if x.link.server.rowAlias() {
		as, value = " AS "+alias, func(c string) string { return alias + ".`" + c + "`" }
	}
	var set []string
	for _, c := range []string{"owner_id", "row_key", "redis_key", "last_ms", "last_seq", "before"} {
		set = append(set, "`"+c+"` = "+value(c))
	}
	after := as + " ON DUPLICATE KEY UPDATE " + strings.Join(set, ", ")
	for len(entries) > 0 {
		text := []byte(before)
		n := 0
		for n < len(entries) && n < keysPerStatement {
			e, start := &entries[n], len(text)
			if n > 0 {
				text = append(text, ',')
			}
			text = appendID(append(append(append(text, '('), id...), ','), e.Row)
			text = append(appendID(append(text, ','), e.Owner), names...)
			text = append(appendHex(append(appendHex(text, e.Row), ','), e.Owner), ',')
			text = append(strconv.AppendUint(text, e.Ms, 10), ',')
			text = append(strconv.AppendUint(text, e.Seq, 10), ',')
			if e.Before == nil {
				text = append(text, "NULL)"...)
			} else {
				text = append(appendHex(text, e.Before), ')')
			}
			if size := len(text) + len(after); size > x.most() {
				if n == 0 {
					return tooLong(size, x.most())
				}
				text = text[:start]
				break
			}
			n++
		}
		if _, err := x.exec(ctx, string(append(text, after...))); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// checkIndex tells whether the row index can be used, or created.
func (t *target) checkIndex(ctx context.Context, l *link, response *applierv1.CheckResponse) error {
	return t.checkOwn(ctx, l, response, own{
		schema: t.rows.schema, name: t.rows.name, what: "row index", setting: "applier.row_table",
		columns: indexColumns, create: t.rows.create, ddl: t.rowDDL(l.server), grant: t.rowGrant(l.server),
		rights: []string{"SELECT", "INSERT", "UPDATE", "DELETE"},
	})
}

// keepsIndex tells whether any output to a connection keeps a row index.
func keepsIndex(jobs []*pipelinev1.Job, connection string) bool {
	for _, job := range jobs {
		for _, o := range job.GetOutputs() {
			if o.GetConnection() == connection && o.GetRelational().GetRowIndex() {
				return true
			}
		}
	}
	return false
}
