package devserver

import "testing"

// Two statements of one client run in two sessions of the server, so that a session's settings are seen to be lost; after
// a restart the pooler is there again.
func TestPgBouncerPoolsByTransaction(t *testing.T) {
	t.Parallel()
	b := PgBouncer(t, SharedPostgres(t).Addr, PgBouncerOptions{Settings: []string{"min_pool_size = 2"}})
	for range 2 {
		if got, err := query(t.Context(), b.Addr, "postgres", "SELECT 42"); err != nil || got != "42" {
			t.Fatalf("got %q, %v", got, err)
		}
		if mode, err := b.Admin(t.Context(), "SHOW POOLS"); err != nil || mode == "" {
			t.Fatalf("the console says %q, %v", mode, err)
		}
		if err := b.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := query(t.Context(), b.Addr, "postgres", "SELECT 1"); err == nil {
		t.Error("a killed pooler answers")
	}
}
