package jmespath

import (
	"regexp"
	"testing"
	"time"

	"slipstream/transformer/eval"
)

func TestBuiltInFunctions(t *testing.T) {
	const given = `{"n":-1.50,"list":[3,1.5,"x"],"numbers":[3,1.5,10],"strings":["b","a","é"],"o":{"b":1,"a":2},` +
		`"people":[{"name":"b","age":30},{"name":"a","age":4.5},{"name":"c","age":30}],"mixed":[{"k":1},{"k":"x"}],"tie":[{"k":1,"v":1},{"k":1.0,"v":2}]}`
	run(t, "spec 6.1", []example{
		{"abs", "abs(n)", given, "1.50"},
		{"abs of a string", "abs('1')", given, "error: argument 1 is \"1\" (string); it accepts number"},
		{"avg", "avg(numbers)", given, "4.833333333333333"},
		{"avg is exact where a float is", "avg(`[0.1, 0.2]`)", given, "0.15"},
		{"avg of nothing", "avg(`[]`)", given, "null"},
		{"avg of strings", "avg(strings)", given, "error: it accepts an array of numbers"},
		{"ceil and floor", "[ceil(n), floor(n), ceil(`1.01`), floor(`2`), floor(`1e2`)]", given, "[-1,-2,2,2,100]"},
		{"contains in a list", "[contains(list, `1.50`), contains(list, 'y')]", given, "[true,false]"},
		{"contains in a string", "[contains('abc', 'b'), contains('abc', `1`)]", given, "[true,false]"},
		{"ends_with, starts_with", "[ends_with('abc', 'c'), starts_with('abc', 'b')]", given, "[true,false]"},
		{"join", "join('-', strings)", given, `"b-a-é"`},
		{"join of numbers", "join('-', numbers)", given, "error: join(): element 0 is 3 (number); it accepts an array of strings"},
		{"keys in name order", "keys(o)", given, `["a","b"]`},
		{"length", "[length('é😀'), length(list), length(o)]", given, "[2,3,2]"},
		{"length of null", "length(missing)", given, "error: length(): argument 1 is null (null); it accepts string, array, object"},
		{"map keeps nulls", "map(&k, [`{\"k\": 1}`, `{}`])", given, "[1,null]"},
		{"max, min", "[max(numbers), min(numbers), max(strings), min(`[]`)]", given, `[10,1.5,"é",null]`},
		{"max of mixed", "max(list)", given, "error: the elements must be all numbers or all strings"},
		{"max_by, min_by take the first", "[max_by(people, &age).name, min_by(people, &age).name]", given, `["b","a"]`},
		{"merge", "merge(o, `{\"b\": 3}`)", given, `{"a":2,"b":3}`},
		{"not_null", "not_null(missing, `null`, n)", given, "-1.50"},
		{"reverse", "[reverse(numbers), reverse('aé😀')]", given, `[[10,1.5,3],"😀éa"]`},
		{"sort numbers by value", "sort(numbers)", given, "[1.5,3,10]"},
		{"sort strings by code point", "sort(strings)", given, `["a","b","é"]`},
		{"sort_by is stable", "sort_by(tie, &k)[].v", given, "[1,2]"},
		{"sort_by", "sort_by(people, &age)[].name", given, `["a","b","c"]`},
		{"sort_by mixed", "sort_by(mixed, &k)", given, "error: element 1 is ordered by \"x\" (string)"},
		{"sort_by nulls", "sort_by(people, &x)", given, "error: element 0 is ordered by null"},
		{"sum", "sum(`[0.1, 0.2]`)", given, "0.3"},
		{"sum of nothing", "sum(`[]`)", given, "0"},
		{"to_array", "[to_array(n), to_array(numbers)]", given, "[[-1.50],[3,1.5,10]]"},
		{"to_number", "[to_number(' 41 '), to_number('1.10'), to_number('x'), to_number(n), to_number(`true`), to_number(o)]", given, "[41,1.10,null,-1.50,null,null]"},
		{"to_string", "[to_string(n), to_string('a'), to_string(o), to_string(missing)]", given, `["-1.50","a","{\"a\":2,\"b\":1}","null"]`},
		{"type", "[type(n), type('a'), type(o), type(list), type(missing), type(`true`)]", given, `["number","string","object","array","null","boolean"]`},
		{"values in name order", "values(o)", given, "[2,1]"},
	})
}

func TestTextFunctions(t *testing.T) {
	run(t, "spec 6.2", []example{
		{"capitalize", "capitalize(a)", `{"a":"north  dock-B"}`, `"North Dock-b"`},
		{"capitalize trims", "capitalize(a)", `{"a":" \tÉTÉ x\n"}`, `"Été X"`},
		{"capitalize null", "capitalize(a)", ``, `null`},
		{"capitalize number", "capitalize(a)", `{"a":5}`, "error: capitalize(): argument 1 is 5 (number); it accepts null, string"},
		{"concat", "concat(['pump-', serial, '/', bay])", `{"serial":77,"bay":"B2"}`, `"pump-77/B2"`},
		{"concat words", "concat([a, `true`, `false`, `1.50`])", ``, `"NoneTrueFalse1.50"`},
		{"concat structures", "concat([o, l])", `{"o":{"b":1,"a":"<"},"l":[1,null]}`, `"{\"a\":\"<\",\"b\":1}[1,null]"`},
		{"concat null", "concat(a)", ``, "error: concat(): argument 1 is null (null); it accepts array"},
		{"left", "left(serial, `3`)", `{"serial":"PMP0077"}`, `"PMP"`},
		{"left too long", "left(serial, `30`)", `{"serial":"PMP0077"}`, `"PMP0077"`},
		{"left negative drops the last", "left(serial, `-2`)", `{"serial":"PMP0077"}`, `"PMP00"`},
		{"left of code points", "left('é😀x', `2`)", ``, `"é😀"`},
		{"left null", "left(a, `2`)", ``, `null`},
		{"left fraction", "left('abc', `1.5`)", ``, "error: left(): 1.5 is not an integer"},
		{"left whole fraction", "left('abc', `1.0`)", ``, `"a"`},
		{"left huge", "left('abc', `1e15`)", ``, `"abc"`},
		{"left without count", "left('abc', a)", ``, "error: left(): argument 2 is null (null); it accepts number"},
		{"right", "right(serial, `4`)", `{"serial":"PMP0077"}`, `"0077"`},
		{"right zero is everything", "right('abc', `0`)", ``, `"abc"`},
		{"right negative drops the first", "right('abcd', `-2`)", ``, `"cd"`},
		{"right too long", "right('abc', `9`)", ``, `"abc"`},
		{"right null", "right(a, `2`)", ``, `null`},
		{"lower, upper", "[lower('HX-200 É'), upper('hx-200 é'), lower(a), upper(a)]", ``, `["hx-200 é","HX-200 É",null,null]`},
		{"mid", "mid('PMP0077', `3`, `2`)", ``, `"00"`},
		{"mid from the end", "[mid('PMP0077', `-3`, `2`), mid('PMP0077', `-2`, `2`)]", ``, `["07",""]`},
		{"mid negative count", "mid('PMP0077', `3`, `-2`)", ``, `""`},
		{"mid beyond", "mid('abc', `5`, `2`)", ``, `""`},
		{"mid null", "mid(a, `0`, `1`)", ``, `null`},
		{"regex_replace", "regex_replace('bay 12 rack 3', '[0-9]+', '#')", ``, `"bay # rack #"`},
		{"regex_replace groups", `regex_replace('ab', '(?P<x>a)(b)', '\2\g<x>')`, ``, `"ba"`},
		{"regex_replace look-behind", `regex_replace(s, '(?<=:)\d+', '0')`, `{"s":"a:12 13"}`, `"a:0 13"`},
		{"regex_replace null rejects", "regex_replace(a, 'b', 'c')", ``, "error: regex_replace(): argument 1 is null (null); it accepts string"},
		{"regex_replace pattern of the record", "regex_replace('abc', p, '-')", `{"p":"("}`, "error: compiling regular expression"},
		{"replace", "replace('bay 12 bay 3', 'bay', 'slot')", ``, `"slot 12 slot 3"`},
		{"replace nothing", "replace('abc', '', 'x')", ``, `"abc"`},
		{"replace null", "replace(a, 'x', 'y')", ``, `null`},
		{"split", "split('hot|spare', '|')", ``, `["hot","spare"]`},
		{"split default", "split('a, b,,c')", ``, `["a"," b","","c"]`},
		{"split empty text", "split('')", ``, `[""]`},
		{"split null", "split(a)", ``, `null`},
		{"split empty separator", "split('abc', s)", `{"s":""}`, "error: split(): the separator is empty"},
	})
}

func TestStructureFunctions(t *testing.T) {
	run(t, "spec 6.2", []example{
		{"filter_entries", "filter_entries(@, `!starts_with(key, 'dbg_')`)", `{"rpm":900,"dbg_a":1}`, `{"rpm":900}`},
		{"filter_entries by value", "filter_entries(@, 'value')", `{"a":0,"b":"","c":null}`, `{"a":0}`},
		{"filter_entries drops what fails", "filter_entries(@, 'starts_with(value, `x`)')", `{"a":1,"b":"xy"}`, `{"b":"xy"}`},
		{"filter_entries with a computed predicate", "filter_entries(@, p)", `{"p":"key != 'p'","q":1}`, `{"q":1}`},
		{"filter_entries with a bad computed predicate", "filter_entries(@, p)", `{"p":"key !"}`, "error: predicate"},
		{"filter_entries null", "filter_entries(a, 'key')", ``, `null`},
		{"from_entries", "from_entries(@)", `[{"key":"rpm","value":900},{"key":"hot"},{"key":null,"value":1},5,{"value":2}]`, `{"hot":null,"rpm":900}`},
		{"from_entries null", "from_entries(a)", ``, `null`},
		{"to_entries", "to_entries(@)", `{"lo":1}`, `[{"key":"lo","value":1}]`},
		{"to_entries in name order", "to_entries(@)[].key", `{"z":1,"a":2,"B":3}`, `["B","a","z"]`},
		{"to_entries null", "to_entries(a)", ``, `null`},
		{"to_entries list", "to_entries(@)", `[]`, "error: it accepts null, object"},
		{"in", "in(state, `[\"idle\",\"run\"]`)", `{"state":"run"}`, `true`},
		{"in equals by value", "[in(`1`, `[1.0]`), in(`1`, `[\"1\"]`), in(a, `[null]`)]", ``, `[true,false,true]`},
		{"json_parse", "json_parse(s).psi", `{"s":"{\"psi\":40.0}"}`, `40.0`},
		{"parse_json is the same", "parse_json('[1]')", ``, `[1]`},
		{"json_parse null rejects", "json_parse(a)", ``, "error: json_parse(): argument 1 is null (null); it accepts string"},
		{"json_parse bad", "json_parse('{x')", ``, "error: json_parse(): parsing \"{x\""},
		{"base64_decode", "base64_decode(raw)", `{"raw":"UFVNUC03"}`, `"PUMP-7"`},
		{"base64_decode bad", "base64_decode('%')", ``, "error: base64_decode(): decoding \"%\""},
		{"base64_decode binary", "base64_decode('/w==')", ``, "error: the result is not UTF-8"},
		{"base64_decode null", "base64_decode(a)", ``, "error: argument 1 is null (null); it accepts string"},
		{"xml_to_dict", "xml_to_dict('<a><b>1</b></a>')", ``, `{"a":{"b":"1"}}`},
		{
			"xml_to_dict attributes, lists, text", `xml_to_dict('<p id="7">x<q/><q>2</q><n:r><![CDATA[<]]></n:r></p>')`, ``,
			`{"p":{"#text":"x","@id":"7","n:r":"<","q":[null,"2"]}}`,
		},
		{"xml_to_dict null and empty", "[xml_to_dict(a), xml_to_dict('')]", ``, `[null,""]`},
		{"xml_to_dict unclosed", "xml_to_dict('<a><b></a>')", ``, "error: xml_to_dict(): reading XML"},
		{"xml_to_dict two roots", "xml_to_dict('<a/><b/>')", ``, "error: there are two root elements"},
		{"xml_to_dict text only", "xml_to_dict('abc')", ``, "error: there is text outside the root element"},
	})
}

// The digests were computed with Python's hashlib.
func TestHash(t *testing.T) {
	run(t, "spec 6.2", []example{
		{"default", "hash(serial)", `{"serial":"P-77"}`, `"6b6b1006e43fd8528c01a5258ac7bf5fcfa1fa5a"`},
		{"md5", "hash('P-77', 'md5')", ``, `"49fc3a9ce86c15de4a7bf3eacf2849ef"`},
		{"sha1", "hash('P-77', 'sha1')", ``, `"6b6b1006e43fd8528c01a5258ac7bf5fcfa1fa5a"`},
		{"sha224", "hash('P-77', 'sha224')", ``, `"027e96da83aeb8d284aaaa7c61ec881c0d164ac235d63661e4597615"`},
		{"sha256", "hash('P-77', 'sha256')", ``, `"a31386b7df9efab63944514023adb59e91874fc2dd686aad50567582eaedadcf"`},
		{"sha384", "hash('P-77', 'sha384')", ``, `"f388f34109c5dcd51422b847133862849b3f268df93e3afd04c1c4af3570b05ce7554008474cabe3d610b9f1359cc97c"`},
		{"sha512", "hash('P-77', 'sha512')", ``, `"7d1f697379d079bfe60824b3455aad383873e88e3a43418276723f6df2f3f97c2fd1b2527595e26e5b85b567e23c544de5ffcac1996981ee9070a4f9f91ff798"`},
		{"sha3_224", "hash('P-77', 'sha3_224')", ``, `"94077920dca24c02a6297b1d651dc63de5f9aae0115de0e4b7768123"`},
		{"sha3_256", "hash('P-77', 'sha3_256')", ``, `"38e29379d59abdfbeb2cf7f64f63b4502e16ca9f7fb3a9c53e7288596d3011a6"`},
		{"sha3_384", "hash('P-77', 'sha3_384')", ``, `"ff9bf6deeb6a20e60962bc02b10324fd46b18781f3d94b4f991c02b966cce5cba2d6998fe63544e1f809c1d5b8c6de15"`},
		{"sha3_512", "hash('P-77', 'sha3_512')", ``, `"1bc26aa1d3374d888708ad2a517811403a2bd3b4a01f3695b859022c138fa3c21a32f446e9c9b6bf0fef2be8739d0792864e21bcd6ddb7d607b396f445aa1a9b"`},
		{"blake2b", "hash('P-77', 'blake2b')", ``, `"28423c571b3f7771285e014d01cfe4b062c2eb95ccd95beb814a54da62f1be719e3245fe5e961d4001ba72a699a5a4bb0d2df43e7060f0883d06404e55e5332d"`},
		{"blake2s", "hash('P-77', 'blake2s')", ``, `"889642d0d8587edeec82bdddbeca54a630f7be497c11077c7b2599b814259d04"`},
		{"null as empty", "hash(a)", ``, `"da39a3ee5e6b4b0d3255bfef95601890afd80709"`},
		{"UTF-8", "hash('é')", ``, `"bf15be717ac1b080b4f1c456692825891ff5073d"`},
		{"number", "hash(`77`)", ``, `"d321d6f7ccf98b51540ec9d933f20898af3bd71e"`},
		{"object with sorted keys", "hash(@)", `{"b":null,"a":[1,"x"]}`, `"370be2190ee37b3670590cdf59fefc93a97b27c6"`},
		{"unknown algorithm of the record", "hash('x', a)", `{"a":"crc32"}`, "error: hash(): unknown algorithm \"crc32\""},
	})
}

func TestTimeFunctions(t *testing.T) {
	// It is 2026-01-11 12:00:00.5 UTC.
	run(t, "spec 6.2", []example{
		{"days ago", "time_delta_days('2026-01-01T12:00:00Z')", ``, `10`},
		{"days are rounded down", "[time_delta_days('2026-01-01T12:00:01Z'), time_delta_days('2026-01-11T13:00:00Z')]", ``, `[9,-1]`},
		{"an hour ago", "time_delta_seconds('2026-01-11 11:00:00Z')", ``, `3600`},
		{"the future is negative and rounded down", "time_delta_seconds('2026-01-11T12:00:01Z')", ``, `-1`},
		{"fraction", "[time_delta_seconds('2026-01-11T12:00:00.6Z'), time_delta_seconds('2026-01-11T11:59:59.4Z')]", ``, `[-1,1]`},
		{"offset", "time_delta_seconds('2026-01-11T13:00:00+02:00')", ``, `3600`},
		{"offset without colon", "time_delta_seconds('2026-01-11T13:00:00.0+0200')", ``, `3600`},
		{"date", "time_delta_days('2026-01-10')", ``, `1`},
		{"Unix seconds", "time_delta_seconds(`1768132800`)", ``, `0`},
		{"Unix seconds with a fraction", "[time_delta_seconds(`1768132800.75`), time_delta_seconds(`-0.5`)]", ``, `[-1,1768132801]`},
		{"no time", "time_delta_days('yesterday')", ``, "error: time_delta_days(): \"yesterday\" is not an ISO 8601 time"},
		{"no number", "time_delta_seconds(`1e300`)", ``, "error: is no time in seconds"},
		{"null rejects", "time_delta_days(a)", ``, "error: argument 1 is null (null); it accepts string, number"},
	})
}

func TestTimesWithoutOffsetAreLocal(t *testing.T) {
	compiled, err := Compile("time_delta_seconds('2026-01-11T13:00:00')")
	if err != nil {
		t.Fatal(err)
	}
	local := eval.Env{Now: world.Now.In(time.FixedZone("two hours east", 2*60*60))}
	if got, err := compiled.Evaluate(local, nil); err != nil || got != decode(t, "3600") {
		t.Errorf("spec 6.2: got %v, %v", got, err)
	}
}

func TestUUID(t *testing.T) {
	compiled, err := Compile("[uuid(), uuid()]")
	if err != nil {
		t.Fatal(err)
	}
	evaluate := func(env eval.Env) []any {
		t.Helper()
		got, err := compiled.Evaluate(env, map[string]any{})
		if err != nil {
			t.Fatal(err)
		}
		return got.([]any)
	}
	version4 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	first, again, other := evaluate(world), evaluate(world), evaluate(eval.Env{Seed: "another"})
	if s := first[0].(string); !version4.MatchString(s) {
		t.Errorf("spec 6.2: %s is no version 4 UUID", s)
	}
	if first[0] == first[1] || first[0] == other[0] {
		t.Errorf("UUIDs repeat: %v, %v", first, other)
	}
	if first[0] != again[0] || first[1] != again[1] {
		t.Errorf("design D5: a retry gives %v after %v", again, first)
	}
}
