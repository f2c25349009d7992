package glob_test

import (
	"bytes"
	"testing"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/glob"
	"slipstream/deploy/dev/devserver"
)

// asked asks the server in one step: a database with one key in it, and what KEYS finds there.
var asked = redis.NewScript(`
redis.call('SET', KEYS[1], '')
local n = #redis.call('KEYS', ARGV[1])
redis.call('DEL', KEYS[1])
return n`)

// FuzzGlob: any pattern against any key is what the server says (spec 3.5).
func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{
		{"emp:*", "emp:7"},
		{"e?p", "exp"},
		{"[a-c]x", "bx"},
		{"[^a-c]x", "dx"},
		{`\*x`, "*x"},
		{"a**b", "ab"},
		{"[]a", "a"},
		{"[a", "a"},
		{`[\]]`, "]"},
		{"[z-a]", "m"},
		{`a\`, `a\`},
		{"[a-]", "-"},
		{"[^]", "x"},
		{"\x00*\xff", "\x00\xff"},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	rdb := redis.NewClient(&redis.Options{Addr: devserver.Redis(f, devserver.RedisOptions{}).Addr, Protocol: 2})
	f.Cleanup(func() { _ = rdb.Close() })
	f.Fuzz(func(t *testing.T, pattern, key []byte) {
		if len(pattern) > 64 || len(key) > 64 { // the server gives up on patterns that nest too deeply
			return
		}
		got := glob.Match(pattern, key)
		if bytes.Equal(pattern, key) && !bytes.ContainsAny(pattern, `*?[\`) && !got {
			t.Fatalf("%q does not match itself", pattern)
		}
		if len(key) == 0 { // KEYS has its own mind of the empty key; the channels that are subscribed to are never empty
			pattern, key = append([]byte("k:"), pattern...), []byte("k:")
		}
		found, err := asked.Run(t.Context(), rdb, []string{string(key)}, pattern).Int()
		if err != nil {
			t.Fatal(err)
		}
		if want := found == 1; got != want {
			t.Fatalf("%q against %q: %v, the server says %v", pattern, key, got, want)
		}
	})
}
