package glob_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/glob"
	"slipstream/deploy/dev/devserver"
)

// TestMatch: the rules of spec 3.5, one by one.
func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		pattern, key string
		want         bool
	}{
		{"emp:*", "emp:7", true},
		{"emp:*", "emp:", true},
		{"emp:*", "emp:a:b", true},
		{"emp:*", "Emp:7", false},
		{"emp:*", "xemp:7", false},
		{"emp:7", "emp:7", true},
		{"emp:7", "emp:77", false},
		{"*:7", "emp:7:7", true},
		{"e?p", "exp", true},
		{"e?p", "ep", false},
		{"[a-c]x", "bx", true},
		{"[^a-c]x", "bx", false},
		{"[^a-c]x", "dx", true},
		{`\*x`, "*x", true},
		{`\*x`, "ax", false},
		{"a**b", "ab", true},
		{"*a*b*c", "xaybzbc", true},
		{"[abc", "b", true},
	} {
		if got := glob.Match([]byte(tc.pattern), []byte(tc.key)); got != tc.want {
			t.Errorf("%q against %q: %v", tc.pattern, tc.key, got)
		}
	}
}

// TestLongKeysEnd: many stars against a long key take no more than the product of the lengths.
func TestLongKeysEnd(t *testing.T) {
	if glob.Match([]byte(strings.Repeat("*a", 200)+"b"), []byte(strings.Repeat("a", 20_000))) {
		t.Error("matched")
	}
}

// TestServer compares random patterns and keys with KEYS of a real server.
func TestServer(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: devserver.Redis(t, devserver.RedisOptions{}).Addr, Protocol: 2})
	defer func() { _ = rdb.Close() }()
	random := rand.New(rand.NewPCG(1, 2))
	text := func(alphabet string, least, most int) string {
		b := make([]byte, least+random.IntN(most-least+1))
		for i := range b {
			b[i] = alphabet[random.IntN(len(alphabet))]
		}
		return string(b)
	}
	keys := map[string]bool{}
	for len(keys) < 200 {
		key := text("abc:-^]*\\\x80\xff", 1, 6)
		keys[key] = true
		if err := rdb.Set(t.Context(), key, "", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for range 5000 {
		// One closing bracket at the end: what a server makes of a class without one depends on its version.
		pattern := text("abc:-^*?[\\\x80\xff", 1, 7) + text("]a*", 0, 2)
		if strings.Contains(pattern, "[") {
			pattern += "]"
		}
		found, err := rdb.Keys(t.Context(), pattern).Result()
		if err != nil {
			t.Fatal(err)
		}
		there := map[string]bool{}
		for _, key := range found {
			there[key] = true
		}
		for key := range keys {
			if got := glob.Match([]byte(pattern), []byte(key)); got != there[key] {
				t.Fatalf("%q against %q: %v, the server says %v", pattern, key, got, there[key])
			}
		}
	}
}
