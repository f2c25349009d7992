package main

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// settleWithin is how long the last changes may take to arrive before a difference counts.
const settleWithin = 60 * time.Second

// row is a city as it stands in the table; pointers are NULL where nil.
type row struct {
	name, region, hemisphere *string
	latitude, longitude      *float64
	visits, changed          *int64
}

// comparison is the result: how many of each, and the first differences.
type comparison struct {
	keys, rows, differ int
	examples           []string
}

func (c *comparison) equal() bool { return c.differ == 0 && c.keys == c.rows }

func (c *comparison) String() string {
	if c.equal() {
		return fmt.Sprintf("EQUAL: all %d keys in Redis and all %d rows in SQLite agree in every column.", c.keys, c.rows)
	}
	return fmt.Sprintf("DIFFERENT: %d keys, %d rows, %d differences, for example:\n  %s", c.keys, c.rows, c.differ, strings.Join(c.examples, "\n  "))
}

// settle compares until both ends are equal or the time is up.
func settle(ctx context.Context, p *processes) (*comparison, error) {
	for end := time.Now().Add(settleWithin); ; {
		c, err := compare(ctx, p.client, p.rows)
		if err != nil || c.equal() || time.Now().After(end) {
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-p.ended:
			return nil, fmt.Errorf("the pipeline ended: %w\n%s", p.result, p.tail())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// compare holds every key against every row. It shares no code with the pipeline.
func compare(ctx context.Context, client *redis.Client, db *sql.DB) (*comparison, error) {
	rows, err := readRows(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("reading the table: %w", err)
	}
	c := &comparison{rows: len(rows)}
	note := func(format string, args ...any) {
		c.differ++
		if len(c.examples) < 5 {
			c.examples = append(c.examples, fmt.Sprintf(format, args...))
		}
	}
	seen := map[string]bool{}
	for cursor := uint64(0); ; {
		keys, next, err := client.Scan(ctx, cursor, "city:*", 1000).Result()
		if err != nil {
			return nil, fmt.Errorf("scanning Redis: %w", err)
		}
		pipe := client.Pipeline()
		values := make([]*redis.MapStringStringCmd, len(keys))
		for i, key := range keys {
			values[i] = pipe.HGetAll(ctx, key)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, fmt.Errorf("reading Redis: %w", err)
		}
		for i, key := range keys {
			if seen[key] {
				continue
			}
			seen[key] = true
			r, ok := rows[key]
			if !ok {
				note("%s has no row", key)
				continue
			}
			if d := r.differs(values[i].Val()); d != "" {
				note("%s: %s", key, d)
			}
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	c.keys = len(seen)
	for key := range rows {
		if !seen[key] {
			note("%s has a row and no key", key)
		}
	}
	return c, nil
}

func readRows(ctx context.Context, db *sql.DB) (map[string]row, error) {
	rows, err := db.QueryContext(ctx, "SELECT country, no, name, region, latitude, longitude, hemisphere, visits, changed_ms FROM city")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	all := map[string]row{}
	for rows.Next() {
		var country string
		var no int64
		var r row
		if err := rows.Scan(&country, &no, &r.name, &r.region, &r.latitude, &r.longitude, &r.hemisphere, &r.visits, &r.changed); err != nil {
			return nil, err
		}
		all["city:"+country+":"+strconv.FormatInt(no, 10)] = r
	}
	return all, rows.Err()
}

// differs says which column does not hold what the hash says; empty where all do.
func (r row) differs(hash map[string]string) string {
	hemisphere := "north"
	if strings.HasPrefix(hash["lat"], "-") {
		hemisphere = "south"
	}
	for _, c := range []struct {
		column string
		got    *string
		want   string
		exists bool
	}{
		{"name", r.name, hash["name"], true},
		{"region", r.region, hash["region"], has(hash, "region")},
		{"latitude", number(r.latitude), plain(hash["lat"]), true},
		{"longitude", number(r.longitude), plain(hash["lng"]), true},
		{"hemisphere", r.hemisphere, hemisphere, true},
		{"visits", integer(r.visits), hash["visits"], has(hash, "visits")},
		{"changed_ms", integer(r.changed), hash["changed_ms"], true},
	} {
		switch {
		case !c.exists && c.got != nil:
			return fmt.Sprintf("%s is %q, should be NULL", c.column, *c.got)
		case c.exists && c.got == nil:
			return fmt.Sprintf("%s is NULL, should be %q", c.column, c.want)
		case c.exists && *c.got != c.want:
			return fmt.Sprintf("%s is %q, should be %q", c.column, *c.got, c.want)
		}
	}
	return ""
}

func has(hash map[string]string, field string) bool { _, ok := hash[field]; return ok }

func number(f *float64) *string {
	if f == nil {
		return nil
	}
	s := strconv.FormatFloat(*f, 'g', -1, 64)
	return &s
}

func integer(n *int64) *string {
	if n == nil {
		return nil
	}
	s := strconv.FormatInt(*n, 10)
	return &s
}

// plain is the shortest text of the same number.
func plain(text string) string {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}
