package cassandra

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
)

// relation is a table as system_schema describes it now.
type relation struct {
	keyspace, name string
	view           bool
	byDefault      bool // it is in the keyspace that names without one mean
	columns        []column
	partition      []int // the columns of the partition key, in its order
	clustering     []int
}

// column is a column of the catalogue.
type column struct {
	name   string
	typ    *cqlType // nil where this applier does not know it
	shown  string   // the type as the catalogue writes it
	static bool
	kind   string // partition_key, clustering, regular, static
	place  int    // in its part of the key
}

// quoted is the table's name as CQL.
func (r *relation) quoted() string { return quote(r.keyspace) + "." + quote(r.name) }

// label is the table's name in messages, and what tells it from others.
func (r *relation) label() string {
	if r.byDefault {
		return r.name
	}
	return r.keyspace + "." + r.name
}

// primary are the columns of the primary key.
func (r *relation) primary() []int { return append(slices.Clone(r.partition), r.clustering...) }

// find returns the column of a name: the same spelling first, else the only one equal without case.
func (r *relation) find(name string) (int, bool) {
	found, matches := 0, 0
	for i := range r.columns {
		if r.columns[i].name == name {
			return i, true
		}
		if strings.EqualFold(r.columns[i].name, name) {
			found = i
			matches++
		}
	}
	return found, matches == 1
}

// lacks lists the names that no column has.
func (r *relation) lacks(names []string) (missing []string) {
	for _, name := range names {
		if _, ok := r.find(name); !ok {
			missing = append(missing, name)
		}
	}
	return missing
}

// same tells whether two readings of a table found the same columns.
func (r *relation) same(o *relation) bool {
	return r.view == o.view && slices.EqualFunc(r.columns, o.columns, func(a, b column) bool {
		return a.name == b.name && a.shown == b.shown && a.kind == b.kind && a.place == b.place
	})
}

const (
	readKeyspaces = `SELECT keyspace_name FROM system_schema.keyspaces`
	readTables    = `SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?`
	readViews     = `SELECT view_name FROM system_schema.views WHERE keyspace_name = ?`
	readColumns   = `SELECT column_name, type, kind, position FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?`
	readTypes     = `SELECT type_name, field_names, field_types FROM system_schema.types WHERE keyspace_name = ?`
	readServer    = `SELECT release_version, cluster_name FROM system.local`
)

var (
	errNoKeyspace = errors.New("the keyspace does not exist")
	errNoRelation = errors.New("the table does not exist")
)

// names reads the first column of a query.
func (t *target) names(ctx context.Context, text string, args ...any) ([]string, error) {
	rows, err := t.cluster.rows(ctx, catalogue, cql{text, args})
	if err != nil {
		return nil, err
	}
	out := make([]string, len(rows))
	for i := range rows {
		out[i] = string(rows[i][0])
	}
	return out, nil
}

// match finds a name: the same spelling first, else one that is equal without case.
func match(names []string, name string) (string, bool) {
	if slices.Contains(names, name) {
		return name, true
	}
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return n, true
		}
	}
	return "", false
}

// readRelation reads a table from the catalogue. Its error is errNoKeyspace or errNoRelation where there is none.
func (t *target) readRelation(ctx context.Context, keyspace, table string) (*relation, error) {
	keyspaces, err := t.names(ctx, readKeyspaces)
	if err != nil {
		return nil, err
	}
	r := &relation{}
	var ok bool
	if r.keyspace, ok = match(keyspaces, keyspace); !ok {
		return nil, errors.Join(errNoKeyspace, errNoRelation)
	}
	tables, err := t.names(ctx, readTables, wire(r.keyspace))
	if err != nil {
		return nil, err
	}
	if r.name, ok = match(tables, table); !ok {
		views, err := t.names(ctx, readViews, wire(r.keyspace))
		if err != nil {
			return nil, err
		}
		if r.name, r.view = match(views, table); !r.view {
			return nil, errNoRelation
		}
	}
	r.byDefault = strings.EqualFold(r.keyspace, t.keyspace)
	user, err := t.readTypes(ctx, r.keyspace)
	if err != nil {
		return nil, err
	}
	rows, err := t.cluster.rows(ctx, catalogue, cql{readColumns, []any{wire(r.keyspace), wire(r.name)}})
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		c := column{name: string(row[0]), shown: string(row[1]), kind: string(row[2]), static: string(row[2]) == "static"}
		if len(row[3]) == 4 {
			c.place = int(int32(binary.BigEndian.Uint32(row[3])))
		}
		if typ, err := parseType(c.shown, user); err == nil { // one that is not known may not be written, and need not be
			c.typ = typ
		}
		r.columns = append(r.columns, c)
	}
	r.partition, r.clustering = r.keyPart("partition_key"), r.keyPart("clustering")
	return r, nil
}

// keyPart lists the columns of a part of the key, in its order.
func (r *relation) keyPart(kind string) []int {
	var part []int
	for i := range r.columns {
		if r.columns[i].kind == kind {
			part = append(part, i)
		}
	}
	slices.SortFunc(part, func(a, b int) int { return r.columns[a].place - r.columns[b].place })
	return part
}

// readTypes reads the user-defined types of a keyspace.
func (t *target) readTypes(ctx context.Context, keyspace string) (map[string]userType, error) {
	rows, err := t.cluster.rows(ctx, catalogue, cql{readTypes, []any{wire(keyspace)}})
	if err != nil {
		return nil, err
	}
	user := map[string]userType{}
	for _, row := range rows {
		u := userType{names: texts(row[1]), types: texts(row[2])}
		if len(u.names) == len(u.types) {
			user[string(row[0])] = u
		}
	}
	return user, nil
}

// texts reads a list of texts.
func texts(b wire) []string {
	if len(b) < 4 {
		return nil
	}
	var out []string
	l := &cqlType{name: list}
	for b = b[4:]; len(b) > 0; {
		part, rest, ok := l.cut(b, nil)
		if !ok {
			return nil
		}
		out = append(out, string(part))
		b = rest
	}
	return out
}
