package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
)

// nameBehind is the fix for a view.
func (d *description) nameBehind() string {
	if d.behind == "" {
		return "name the table behind it"
	}
	return "name the table behind it: " + d.behind
}

// behind is the table that a view reads, empty where there are several, or none, or the view is broken: SQLite tells from
// which pages of the file a statement would read.
func (h *handle) behind(ctx context.Context, view string) string {
	pages := map[string]bool{}
	err := h.query(ctx, func(v []driver.Value) error {
		if text(v[1]) == "OpenRead" && v[4] == int64(0) { // of the main database
			pages[fmt.Sprint(v[3])] = true
		}
		return nil
	}, "EXPLAIN SELECT * FROM main."+quote(view))
	if err != nil {
		return ""
	}
	tables := map[string]bool{}
	err = h.query(ctx, func(v []driver.Value) error {
		if pages[fmt.Sprint(v[1])] {
			tables[text(v[0])] = true
		}
		return nil
	}, "SELECT tbl_name, rootpage FROM main.sqlite_schema")
	if err != nil || len(tables) != 1 {
		return ""
	}
	for name := range tables {
		return name
	}
	return ""
}
