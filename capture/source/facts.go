package source

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Facts is what a server is and can do.
type Facts struct {
	Server  string // "Redis 7.0.15", "Valkey 8.1.1"
	Major   int    // version of Redis whose commands it has; 0 when it does not tell
	RunID   string // changes with every start
	ReplID  string // the replication history
	Role    string // "master" or "slave"
	Cluster bool
	JSON    bool // JSON commands are there
	// MaxMemory in bytes, 0: no limit; Policy is maxmemory-policy.
	MaxMemory uint64
	// UsedMemory in bytes, as far as it counts.
	UsedMemory uint64
	Policy     string
	// Flushes counts FLUSHDB, FLUSHALL and SWAPDB since the server started; -1 when it does not tell.
	Flushes int64
}

// Evicts says whether the server may evict any key, ours too (design D2).
func (f Facts) Evicts() bool { return strings.HasPrefix(f.Policy, "allkeys-") }

// Probe asks a server for the facts. What a managed service refuses to tell stays empty.
func Probe(ctx context.Context, rdb redis.UniversalClient) (Facts, error) {
	text, err := rdb.Do(ctx, "INFO", "everything").Text()
	if err != nil {
		return Facts{}, fmt.Errorf("asking the server for its version: %w", err)
	}
	f := facts(text)
	infos, err := rdb.Do(ctx, "COMMAND", "INFO", "JSON.GET").Slice()
	f.JSON = err == nil && len(infos) == 1 && infos[0] != nil
	return f, nil
}

// Flushes counts the commands that empty a database, -1 when the server does not tell.
func Flushes(ctx context.Context, rdb redis.UniversalClient) (int64, error) {
	text, err := rdb.Info(ctx, "commandstats").Result()
	if err != nil {
		return -1, fmt.Errorf("asking the server for its command statistics: %w", err)
	}
	return facts(text).Flushes, nil
}

// MemoryLow says whether less than a tenth of the memory that a server may use is left; false when it does not tell.
func MemoryLow(ctx context.Context, rdb redis.UniversalClient) (bool, error) {
	text, err := rdb.Info(ctx, "memory").Result()
	var refusal redis.Error
	if errors.As(err, &refusal) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking the server for its memory: %w", err)
	}
	f := facts(text)
	return f.MaxMemory > 0 && f.UsedMemory > f.MaxMemory/10*9, nil
}

// facts reads the answer to INFO.
func facts(info string) Facts {
	var f Facts
	var redisVersion, valkeyVersion string
	stats := false
	for line := range strings.Lines(info) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		switch name {
		case "redis_version":
			redisVersion = value
			major, _, _ := strings.Cut(value, ".")
			f.Major, _ = strconv.Atoi(major) // 0 where it is no number
		case "valkey_version":
			valkeyVersion = value
		case "run_id":
			f.RunID = value
		case "master_replid":
			f.ReplID = value
		case "role":
			f.Role = value
		case "cluster_enabled":
			f.Cluster = value == "1"
		case "maxmemory":
			f.MaxMemory, _ = strconv.ParseUint(value, 10, 64) // a limit we cannot read is no limit
		case "used_memory":
			f.UsedMemory, _ = strconv.ParseUint(value, 10, 64)
		case "maxmemory_policy":
			f.Policy = value
		default:
			command, found := strings.CutPrefix(name, "cmdstat_")
			if !found {
				continue
			}
			stats = true
			switch command {
			case "flushall", "flushdb", "swapdb":
				f.Flushes += calls(value)
			}
		}
	}
	if !stats {
		f.Flushes = -1
	}
	switch {
	case valkeyVersion != "":
		f.Server = "Valkey " + valkeyVersion
	case redisVersion != "":
		f.Server = "Redis " + redisVersion
	}
	return f
}

// calls reads "calls=3,usec=…".
func calls(stat string) int64 {
	first, _, _ := strings.Cut(stat, ",")
	n, err := strconv.ParseInt(strings.TrimPrefix(first, "calls="), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
