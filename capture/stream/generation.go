package stream

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Fields of the header that tell which generation reads the stream.
const (
	fieldFalls       = "falls"
	generationPrefix = "generation:" // and the connection of the lane
)

// takeScript notes the generation of a lane that was opened. KEYS: the header. ARGV: field, generation, the field that
// counts falls. A stream that is gone gets no header by it.
var takeScript = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local before = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if before > tonumber(ARGV[2]) then redis.call('HINCRBY', KEYS[1], ARGV[3], 1) end
if before ~= tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return 1`)

// Take notes that the lane of a connection reads the stream with a generation from now on. Call it when the target has
// issued the fence: no lane that was opened before can commit any more (design D4).
func (st *Store) Take(ctx context.Context, s Stream, connection string, generation uint64) error {
	err := takeScript.Run(ctx, st.rdb, []string{s.Header}, generationPrefix+connection, generation, fieldFalls).Err()
	if err != nil {
		return fmt.Errorf("noting generation %d of the lane of %q on stream %q: %w", generation, connection, s.Main, err)
	}
	return nil
}

// Generation is the lowest that the lanes of these connections took up; 0 while one of them is not known to have any.
func (h Header) Generation(connections []string) uint64 {
	lowest := uint64(0)
	for i, c := range connections {
		g := h.generations[c]
		if i == 0 || g < lowest {
			lowest = g
		}
	}
	return lowest
}

// generationsOf reads what Take noted.
func (h *Header) generationsOf(fields map[string]string) error {
	h.generations = map[string]uint64{}
	for name, text := range fields {
		connection, ok := strings.CutPrefix(name, generationPrefix)
		if !ok && name != fieldFalls {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return fmt.Errorf("reading the field %q: %w", name, err)
		}
		if ok {
			h.generations[connection] = n
		} else {
			h.Falls = n
		}
	}
	return nil
}
