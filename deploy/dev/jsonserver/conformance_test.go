package jsonserver

import "testing"

// exchange is a command, what it is answered, and the events it makes.
type exchange struct{ command, answer, events string }

// TestConformance holds the double to what valkey-json answers and publishes (spec 1.4).
func TestConformance(t *testing.T) {
	const doc = `{"a":1,"b":{"c":[1,2,3],"s":"x"},"e":1.50,"t":true,"n":null}`
	const missing = "-NONEXISTENT JSON path does not exist"
	const noDocument = "-NONEXISTENT Document key does not exist"
	const outside = "-OUTOFBOUNDARIES Array index is out of bounds"
	tests := []struct {
		name  string
		steps []exchange
	}{
		{"set and get the root", []exchange{
			{"JSON.SET d . '" + doc + "'", "OK", "d new, d json.set"},
			{"JSON.GET d", doc, ""},
			{"JSON.GET d .", doc, ""},
			{"JSON.GET d $", "[" + doc + "]", ""},
			{"JSON.SET d $ ' [ 1, {} ] '", "OK", "d new, d json.set"},
			{"json.get d", "[1,{}]", ""},
			{"JSON.GET none", "nil", ""},
			{"JSON.GET none .a", "nil", ""},
			{"JSON.SET none $.a 1", "-SYNTAXERR A new Valkey key's path must be root", ""},
			{"JSON.SET d . {bad", "-SYNTAXERR Failed to parse JSON string due to syntax error", ""},
			{"JSON.SET d . '1 2'", "-SYNTAXERR Failed to parse JSON string due to syntax error", ""},
			{"JSON.SET d $", "-ERR wrong number of arguments for 'JSON.SET' command", ""},
			{"JSON.SET d $ 1 YY", "-SYNTAXERR Command syntax error", ""},
		}},
		{"get by path", []exchange{
			{"JSON.SET d . '" + doc + "'", "OK", "d new, d json.set"},
			{"JSON.GET d .b", `{"c":[1,2,3],"s":"x"}`, ""},
			{"JSON.GET d b.c", `[1,2,3]`, ""},
			{"JSON.GET d $.b.c[1]", `[2]`, ""},
			{"JSON.GET d $.b.c[-1]", `[3]`, ""},
			{`JSON.GET d $["b"]["s"]`, `["x"]`, ""},
			{`JSON.GET d .["b"].s`, `"x"`, ""},
			{"JSON.GET d .zz", missing, ""},
			{"JSON.GET d .a.zz", missing, ""},
			{"JSON.GET d .b.c[9]", outside, ""},
			{"JSON.GET d .b.s[0]", "-WRONGTYPE JSON element is not an array", ""},
			{"JSON.GET d $.zz", "[]", ""},
			{"JSON.GET d $.b.c[9]", "[]", ""},
			{"JSON.GET d .a .b.s", `{".a":1,".b.s":"x"}`, ""},
			{"JSON.GET d .a $.b.s", `{".a":[1],"$.b.s":["x"]}`, ""},
			{"JSON.GET d .a .zz", missing, ""},
			{"JSON.GET d $.a $.zz", `{"$.a":[1],"$.zz":[]}`, ""},
			{"JSON.GET d INDENT '  ' NEWLINE | SPACE _ .b", `{|  "c":_[|    1,|    2,|    3|  ],|  "s":_"x"|}`, ""},
			{"JSON.GET d INDENT", "-SYNTAXERR Command syntax error", ""},
		}},
		{"what is stored comes back", []exchange{
			{`JSON.SET u . '{"ü":"\u00fc\n\/\"\\\u001f\ud83d\ude00","a":1,"b":[ ],"a":2,"big":12345678901234567890,"f":1.10,"x":1E5,"z":-0}'`, "OK", "u new, u json.set"},
			{"JSON.GET u", `{"ü":"ü\n/\"\\\u001F😀","a":2,"b":[],"big":12345678901234567890,"f":1.10,"x":1E5,"z":0}`, ""},
			{"JSON.SET u . '\"\"'", "OK", "u new, u json.set"},
			{"JSON.GET u", `""`, ""},
		}},
		{"set by path", []exchange{
			{"JSON.SET d . '" + doc + "'", "OK", "d new, d json.set"},
			{"JSON.SET d $.a 5", "OK", "d json.set"},
			{"JSON.SET d .b.n '{}'", "OK", "d json.set"},
			{"JSON.SET d $.b.c[0] 11", "OK", "d json.set"},
			{"JSON.SET d .q.r 1", missing, ""},
			{"JSON.SET d $.q.r 1", missing, ""},
			{"JSON.SET d $.b.c[3] 1", outside, ""},
			{"JSON.SET d $.a.b 1", "-ERROR Cannot insert a member into a non-object value", ""},
			{"JSON.SET d $.b[0] 1", "-WRONGTYPE JSON element is not an array", ""},
			{"JSON.SET d $.a 6 NX", "nil", ""},
			{"JSON.SET d $.new 6 xx", "nil", ""},
			{"JSON.SET d $.new 6 nx", "OK", "d json.set"},
			{"JSON.SET d $.a 7 XX", "OK", "d json.set"},
			{"JSON.SET d . 1 NX", "nil", ""},
			{"JSON.SET none . 1 XX", "nil", ""},
			{"JSON.GET d", `{"a":7,"b":{"c":[11,2,3],"s":"x","n":{}},"e":1.50,"t":true,"n":null,"new":6}`, ""},
		}},
		{"numbers", []exchange{
			{"JSON.SET d . '" + doc + "'", "OK", "d new, d json.set"},
			{"JSON.NUMINCRBY d .a 2", "3", "d json.numincrby"},
			{"JSON.NUMINCRBY d $.a -4", "[-1]", "d json.numincrby"},
			{"JSON.NUMINCRBY d $.e 0.25", "[1.75]", "d json.numincrby"},
			{"JSON.NUMINCRBY d .e 0.25", "2", "d json.numincrby"},
			{"JSON.NUMMULTBY d .e 3", "6", "d json.nummultby"},
			{"JSON.NUMINCRBY d .b 1", "-WRONGTYPE JSON element is not a number", ""},
			{"JSON.NUMINCRBY d $.b 1", "[null]", "d json.numincrby"},
			{"JSON.NUMINCRBY d .zz 1", missing, ""},
			{"JSON.NUMINCRBY d $.zz 1", "[]", "d json.numincrby"},
			{"JSON.NUMINCRBY d .a x", "-WRONGTYPE Value is not a number", ""},
			{"JSON.NUMINCRBY none .a 1", noDocument, ""},
			{"JSON.SET d .a 9223372036854775807", "OK", "d json.set"},
			{"JSON.NUMINCRBY d .a 1", "9.2233720368547758e+18", "d json.numincrby"},
			{"JSON.SET d .a 0.1", "OK", "d json.set"},
			{"JSON.NUMINCRBY d .a 0.2", "0.30000000000000004", "d json.numincrby"},
			{"JSON.SET d .a 9007199254740993", "OK", "d json.set"},
			{"JSON.NUMINCRBY d .a 1", "9007199254740994", "d json.numincrby"},
		}},
		{"strings and booleans", []exchange{
			{"JSON.SET d . '" + doc + "'", "OK", "d new, d json.set"},
			{`JSON.STRAPPEND d .b.s '"yz"'`, ":3", "d json.strappend"},
			{`JSON.STRAPPEND d $.b.s '"ü"'`, "[:5]", "d json.strappend"},
			{`JSON.STRAPPEND d $.a '"z"'`, "[nil]", "d json.strappend"},
			{`JSON.STRAPPEND d .a '"z"'`, "-WRONGTYPE JSON element is not a string", ""},
			{"JSON.STRAPPEND d .b.s 1", "-WRONGTYPE Value is not a string", ""},
			{`JSON.STRAPPEND none .b.s '"x"'`, noDocument, ""},
			{"JSON.TOGGLE d .t", "false", "d json.toggle"},
			{"JSON.TOGGLE d $.t", "[:1]", "d json.toggle"},
			{"JSON.TOGGLE d $.a", "[nil]", "d json.toggle"},
			{"JSON.TOGGLE d .a", "-WRONGTYPE JSON element is not a bool", ""},
			{"JSON.CLEAR d $.b", ":1", "d json.clear"},
			{"JSON.CLEAR d .b", ":0", "d json.clear"},
			{"JSON.CLEAR d $.zz", ":0", "d json.clear"},
			{"JSON.GET d", `{"a":1,"b":{},"e":1.50,"t":true,"n":null}`, ""},
		}},
		{"arrays", []exchange{
			{"JSON.SET d . '" + doc + "'", "OK", "d new, d json.set"},
			{"JSON.ARRAPPEND d .b.c 4", ":4", "d json.arrappend"},
			{`JSON.ARRAPPEND d $.b.c 5 '{"k":1}'`, "[:6]", "d json.arrappend"},
			{"JSON.ARRAPPEND d $.b 5", "[nil]", "d json.arrappend"},
			{"JSON.ARRAPPEND d .b 5", "-WRONGTYPE JSON element is not an array", ""},
			{"JSON.ARRAPPEND d $.zz 5", "[]", "d json.arrappend"},
			{"JSON.ARRAPPEND none . 5", noDocument, ""},
			{"JSON.ARRINSERT d .b.c 1 99", ":7", "d json.arrinsert"},
			{"JSON.ARRINSERT d $.b.c -1 98", "[:8]", "d json.arrinsert"},
			{"JSON.ARRINSERT d $.b.c 100 98", outside, ""},
			{"JSON.ARRPOP d .b.c", `{"k":1}`, "d json.arrpop"},
			{"JSON.ARRPOP d $.b.c 0", "[1]", "d json.arrpop"},
			{"JSON.ARRPOP d $.b.c 99", "[98]", "d json.arrpop"},
			{"JSON.ARRTRIM d .b.c 1 2", ":2", "d json.arrtrim"},
			{"JSON.GET d .b.c", "[2,3]", ""},
			{"JSON.ARRTRIM d $.b.c 5 9", "[:0]", "d json.arrtrim"},
			{"JSON.ARRPOP d .b.c", "nil", "d json.arrpop"},
			{"JSON.ARRPOP d .a", "-WRONGTYPE JSON element is not an array", ""},
		}},
		{"delete", []exchange{
			{"JSON.SET d . '" + doc + "'", "OK", "d new, d json.set"},
			{"JSON.DEL d .b.c[1]", ":1", "d json.del"},
			{"JSON.DEL d $.b.s", ":1", "d json.del"},
			{"JSON.FORGET d .e", ":1", "d json.del"},
			{"JSON.DEL d .zz", ":0", ""},
			{"JSON.DEL d $.zz", ":0", "d json.del"},
			{"JSON.DEL d .b.c[9]", outside, ""},
			{"JSON.GET d", `{"a":1,"b":{"c":[1,3]},"t":true,"n":null}`, ""},
			{"JSON.DEL d $", ":1", "d json.del"},
			{"EXISTS d", ":0", ""},
			{"JSON.DEL d", ":0", ""},
			{"JSON.SET d . 1", "OK", "d new, d json.set"},
			{"JSON.FORGET d", ":1", "d json.del"},
			{`JSON.SET d . '{"a":1}'`, "OK", "d new, d json.set"},
			{"JSON.DEL d $.a", ":1", "d json.del"},
			{"JSON.GET d", "{}", ""},
		}},
		{"several documents", []exchange{
			{`JSON.MSET a . 1 b . '{"x":1}'`, "OK", "a new, a json.mset, b new, b json.mset"},
			{"JSON.MSET b .x 3 b $.y 4", "OK", "b json.mset, b json.mset"},
			{"JSON.GET b", `{"x":3,"y":4}`, ""},
			{"JSON.MSET a . 2 b .q.q 3", missing, ""},
			{"JSON.MSET a . 2 c .q 3", "-SYNTAXERR Command syntax error", ""},
			{"JSON.MSET a . 2 c", "-ERR wrong number of arguments for 'JSON.MSET' command", ""},
			{"JSON.GET a", "1", ""},
		}},
		{"the key is real", []exchange{
			{"JSON.SET a . '{}'", "OK", "a new, a json.set"},
			{"EXPIRE a 100", ":1", "a expire"},
			{"JSON.SET a .k 2", "OK", "a json.set"},
			{"TTL a", ":100", ""},
			{"RENAME a b", "OK", "b new, a rename_from, b rename_to"},
			{"COPY b c", ":1", "c new, c copy_to"},
			{"TTL c", ":100", ""},
			{"JSON.SET c . 3", "OK", "c new, c json.set"},
			{"TTL c", ":-1", ""},
			{"SET c str", "OK", "c set"},
			{"TYPE c", "string", ""},
			{"JSON.SET c . 1", "-WRONGTYPE Not a JSON document key", ""},
			{"UNLINK b", ":1", "b del"},
			{"JSON.SET b . 1", "OK", "b new, b json.set"},
			{"DEL b", ":1", "b del"},
			{"JSON.GET b", "nil", ""},
			{"PEXPIRE none 1", ":0", ""},
		}},
		{"types", []exchange{
			{"JSON.SET doc . 1", "OK", "doc new, doc json.set"},
			{"HSET hash a 1", ":1", "hash new, hash hset"},
			{"XADD stream 1-1 a 1", "1-1", "stream new"},
			{"TYPE doc", "ReJSON-RL", ""},
			{"TYPE hash", "hash", ""},
			{"TYPE stream", "stream", ""},
			{"TYPE none", "none", ""},
			{"SCAN 0 TYPE ReJSON-RL", "[0 [doc]]", ""},
			{"SCAN 0 MATCH h* COUNT 100 TYPE rejson-rl", "[0 []]", ""},
			{"SCAN 0 COUNT 100 type stream", "[0 [stream]]", ""},
			{"SCAN 0 TYPE hash", "[0 [hash]]", ""},
			{"HGETALL doc", "-WRONGTYPE Operation against a key holding the wrong kind of value", ""},
			{"GET doc", "-WRONGTYPE Operation against a key holding the wrong kind of value", ""},
			{"HSET doc a 1", "-WRONGTYPE Operation against a key holding the wrong kind of value", ""},
			{"JSON.GET hash", "-WRONGTYPE Not a JSON document key", ""},
			{"JSON.GET stream", "-WRONGTYPE Not a JSON document key", ""},
			{"JSON.SET hash . 1", "-WRONGTYPE Not a JSON document key", ""},
			{"JSON.DEL hash", "-WRONGTYPE Not a JSON document key", ""},
			{"JSON.NUMINCRBY hash .a 1", "-WRONGTYPE Not a JSON document key", ""},
			{"JSON.NOSUCH doc", "-ERR unknown command 'JSON.NOSUCH', with args beginning with: 'doc' ", ""},
		}},
		{"transactions", []exchange{
			{"MULTI", "OK", ""},
			{"JSON.SET m . '{\"n\":1}'", "QUEUED", ""},
			{"HSET h f v", "QUEUED", ""},
			{"JSON.NUMINCRBY m .n 1", "QUEUED", ""},
			{"JSON.NUMINCRBY m .zz 1", "QUEUED", ""},
			{"EXPIRE m 50", "QUEUED", ""},
			{"JSON.GET m", "QUEUED", ""},
			{"EXEC", "[OK :1 2 " + missing + " :1 {\"n\":2}]", "m new, m json.set, h new, h hset, m json.numincrby, m expire"},
			{"TTL m", ":50", ""},
			{"MULTI", "OK", ""},
			{"DEL m", "QUEUED", ""},
			{"JSON.SET m .n 1", "QUEUED", ""},
			{"EXEC", "[:1 -SYNTAXERR A new Valkey key's path must be root]", "m del"},
			{"MULTI", "OK", ""},
			{"JSON.SET m", "-ERR wrong number of arguments for 'JSON.SET' command", ""},
			{"JSON.SET m . 1", "QUEUED", ""},
			{"EXEC", "-EXECABORT Transaction discarded because of previous errors.", ""},
			{"MULTI", "OK", ""},
			{"JSON.SET m . 1", "QUEUED", ""},
			{"DISCARD", "OK", ""},
			{"EXISTS m", ":0", ""},
			{"MULTI", "OK", ""},
			{"HSET h f w", "QUEUED", ""},
			{"NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: ", ""},
			{"EXEC", "-EXECABORT Transaction discarded because of previous errors.", ""},
			{"HGET h f", "v", ""},
			{"EXEC", "-ERR EXEC without MULTI", ""},
		}},
		{"another database", []exchange{
			{"SELECT 3", "OK", ""},
			{"JSON.SET x . 1", "OK", "x new, x json.set"},
			{"SELECT 0", "OK", ""},
			{"EXISTS x", ":0", ""},
			{"JSON.GET x", "nil", ""},
		}},
	}
	servers(t, func(t *testing.T, addr string) {
		c := dial(t, addr)
		c.want("CONFIG SET "+setting+" KEghd$xen", "OK")
		e := listen(t, addr, "__keyspace@*")
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				c.want("FLUSHALL", "OK")
				e.since()
				for _, s := range test.steps {
					if got := c.do(s.command); got != s.answer {
						t.Errorf("%s: %s, want %s", s.command, got, s.answer)
					}
					if got := e.since(); got != s.events {
						t.Errorf("%s: events %q, want %q", s.command, got, s.events)
					}
				}
			})
		}
	})
}
