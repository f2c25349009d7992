package cassandra

import (
	"context"
	"fmt"
	"strings"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// Canonical runs a query and gives every value as package value writes it.
func Canonical(ctx context.Context, s *gocql.Session, query string) ([][][]byte, error) {
	iter := s.Query(query).IterContext(ctx)
	var types []*cqlType
	for _, c := range iter.Columns() {
		name, ok := native[c.TypeInfo.Type()]
		if !ok {
			return nil, fmt.Errorf("column %s has a type that no case uses", c.Name)
		}
		types = append(types, &cqlType{name: name})
	}
	var out [][][]byte
	for {
		row := make([]wire, len(types))
		into := make([]any, len(types))
		for i := range row {
			into[i] = &row[i]
		}
		if len(types) == 0 || !iter.Scan(into...) {
			return out, iter.Close()
		}
		texts := make([][]byte, len(types))
		for i, t := range types {
			texts[i] = t.decode(row[i])
		}
		out = append(out, texts)
	}
}

// native are the words of the driver's numbers.
var native = func() map[gocql.Type]string {
	out := map[gocql.Type]string{}
	for name := range scalars {
		out[gocql.NewNativeType(4, gocql.TypeCustom, name).Type()] = strings.Replace(name, "varchar", "text", 1)
	}
	return out
}()
