package mysql

import (
	"context"
	"errors"
	"strconv"
	"strings"
)

// relation is a table as the catalogue describes it now.
type relation struct {
	schema, name string
	byDefault    bool   // it is in the connection's database
	kind         string // as the catalogue calls it: BASE TABLE, VIEW …
	engine       string
	columns      []column
	unique       []uniqueIndex
}

// uniqueIndex is an index that lets a value in once.
type uniqueIndex struct {
	name    string
	columns []string
	whole   bool // it is made of whole columns: neither parts of texts nor expressions
}

// column is a column of the catalogue.
type column struct {
	name       string
	data       string // DATA_TYPE: "int"
	shown      string // COLUMN_TYPE: "int(10) unsigned"
	characters int    // most characters, or bytes of a binary type; 0: none
	precision  int
	scale      int
	hasScale   bool
	fraction   int // digits of a second's fraction
	charset    string
	collation  string
	notNull    bool
	hasDefault bool
	generated  bool // the server computes it from other columns
	auto       bool // AUTO_INCREMENT
	document   bool // MariaDB's JSON: a text with a check
	unique     bool // it is in a unique index
	referred   bool // another table refers to it
}

// quoted is the table's name as SQL.
func (r *relation) quoted() string { return quote(r.schema) + "." + quote(r.name) }

// label is the table's name in messages, and what tells it from others.
func (r *relation) label() string {
	if r.byDefault {
		return r.name
	}
	return r.schema + "." + r.name
}

// find returns the column of a name. The server matches names of columns without case, so there is at most one.
func (r *relation) find(name string) (int, bool) {
	for i := range r.columns {
		if strings.EqualFold(r.columns[i].name, name) {
			return i, true
		}
	}
	return 0, false
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

func subset(a, b []string) bool {
	for _, x := range a {
		found := false
		for _, y := range b {
			found = found || x == y
		}
		if !found {
			return false
		}
	}
	return true
}

// errNoRelation says that the catalogue shows no such table: it is not there, or the account has no right on it.
var errNoRelation = errors.New("the table does not exist")

// readRelation reads a table from the catalogue. An empty schema is the connection's database.
func (t *target) readRelation(ctx context.Context, l *link, schema, table string) (*relation, error) {
	r := &relation{byDefault: schema == "" || strings.EqualFold(schema, t.database)}
	if schema == "" {
		schema = t.database
	}
	if err := l.findRelation(ctx, r, schema, table); err != nil {
		return nil, err
	}
	if r.name == "" {
		return nil, errNoRelation
	}
	at := "TABLE_SCHEMA = " + literal(r.schema) + " AND TABLE_NAME = " + literal(r.name)
	err := l.query(ctx, "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE,"+
		" DATETIME_PRECISION, CHARACTER_SET_NAME, COLLATION_NAME, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, GENERATION_EXPRESSION"+
		" FROM information_schema.COLUMNS WHERE "+at+" ORDER BY ORDINAL_POSITION", func(v [][]byte) {
		r.columns = append(r.columns, readColumn(v))
	})
	if err != nil {
		return nil, err
	}
	index := map[string]int{}
	err = l.query(ctx, "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS WHERE NON_UNIQUE = 0 AND "+at+
		" ORDER BY INDEX_NAME, SEQ_IN_INDEX", func(v [][]byte) {
		i, ok := index[string(v[0])]
		if !ok {
			i = len(r.unique)
			index[string(v[0])] = i
			r.unique = append(r.unique, uniqueIndex{name: string(v[0]), whole: true})
		}
		r.unique[i].whole = r.unique[i].whole && v[1] != nil && v[2] == nil
		r.unique[i].columns = append(r.unique[i].columns, string(v[1]))
	})
	if err == nil {
		err = l.findReferred(ctx, r)
	}
	if err != nil || !l.server.maria {
		return r, err
	}
	return r, l.findDocuments(ctx, r)
}

// findReferred marks the columns of unique indexes and, where there is more than one index, those that a foreign key names.
func (l *link) findReferred(ctx context.Context, r *relation) error {
	for _, u := range r.unique {
		for _, name := range u.columns {
			if at, ok := r.find(name); ok {
				r.columns[at].unique = true
			}
		}
	}
	if len(r.unique) < 2 {
		return nil
	}
	return l.query(ctx, "SELECT REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_SCHEMA = "+
		literal(r.schema)+" AND REFERENCED_TABLE_NAME = "+literal(r.name), func(v [][]byte) {
		if at, ok := r.find(string(v[0])); ok {
			r.columns[at].referred = true
		}
	})
}

// findRelation finds a table by its name, the exact one first, then one that is equal without case.
func (l *link) findRelation(ctx context.Context, r *relation, schema, table string) error {
	exact := func(schema, table string) error {
		return l.query(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = "+
			literal(schema)+" AND TABLE_NAME = "+literal(table), func(v [][]byte) {
			if r.name == "" || string(v[1]) == table {
				r.schema, r.name, r.kind, r.engine = string(v[0]), string(v[1]), string(v[2]), string(v[3])
			}
		})
	}
	if err := exact(schema, table); err != nil || r.name != "" {
		return err
	}
	var other [][2]string
	err := l.query(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE LOWER(TABLE_SCHEMA) = LOWER("+
		literal(schema)+") AND LOWER(TABLE_NAME) = LOWER("+literal(table)+") ORDER BY 1, 2", func(v [][]byte) {
		other = append(other, [2]string{string(v[0]), string(v[1])})
	})
	if err != nil || len(other) == 0 {
		return err
	}
	return exact(other[0][0], other[0][1])
}

// readColumn reads a row of information_schema.COLUMNS.
func readColumn(v [][]byte) column {
	number := func(b []byte) int {
		n, err := strconv.ParseUint(string(b), 10, 63) // absent or larger than we count: no limit
		if err != nil || n > maxLength {
			return 0
		}
		return int(n)
	}
	extra := strings.ToLower(string(v[11]))
	return column{
		name: string(v[0]), data: strings.ToLower(string(v[1])), shown: string(v[2]),
		characters: number(v[3]), precision: number(v[4]), scale: number(v[5]), hasScale: v[5] != nil, fraction: number(v[6]),
		charset: string(v[7]), collation: string(v[8]), notNull: string(v[9]) == "NO",
		hasDefault: v[10] != nil && (string(v[10]) != "NULL" || string(v[9]) == "NO"),
		generated:  len(v[12]) > 0, auto: strings.Contains(extra, "auto_increment"),
	}
}

// maxLength is the longest text of a column that is not without limit.
const maxLength = 1<<32 - 2

// findDocuments marks the columns that MariaDB declares as JSON, which are texts with a check (json_valid).
func (l *link) findDocuments(ctx context.Context, r *relation) error {
	return l.query(ctx, "SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = "+literal(r.schema)+
		" AND TABLE_NAME = "+literal(r.name), func(v [][]byte) {
		for i := range r.columns {
			if strings.EqualFold(string(v[0]), "json_valid("+quote(r.columns[i].name)+")") {
				r.columns[i].document = true
			}
		}
	})
}

// quote makes an identifier.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// literal makes a string constant for sessions of ours, in which a backslash is a backslash.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
