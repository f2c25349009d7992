package devserver

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A small disk runs full, has room again, and is gone afterwards.
func TestSmallDisk(t *testing.T) {
	t.Parallel()
	var dir string
	t.Run("in use", func(t *testing.T) {
		d := SmallDisk(t, 1<<20, 64<<10)
		dir = d.Dir
		large := filepath.Join(dir, "large")
		if err := os.WriteFile(large, make([]byte, 256<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("writing more than fits: %v", err)
		}
		if err := d.Free(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(large, make([]byte, 256<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Give("of a server"); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the disk is still there: %v", err)
	}
}
