package jmespath

import (
	"crypto/md5"  //nolint:gosec // spec 6.2 names it
	"crypto/sha1" //nolint:gosec // spec 6.2 names it
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/blake2s"

	"slipstream/transformer/record"
)

var encodingFunctions = map[string]*function{
	"base64_decode": {parameters: []kind{text}, call: base64Decode},
	"hash":          {parameters: []kind{anything, text}, optional: 1, bind: bindHash},
	"json_parse":    {parameters: []kind{text}, call: jsonParse},
	"parse_json":    {parameters: []kind{text}, call: jsonParse},
	"xml_to_dict":   {parameters: []kind{text | null}, nullable: true, call: xmlToDict},
}

func base64Decode(_ *state, arguments []any) (any, error) {
	decoded, err := base64.StdEncoding.DecodeString(arguments[0].(string))
	if err != nil {
		return nil, fmt.Errorf("decoding %s: %w", shown(arguments[0]), err)
	}
	if !utf8.Valid(decoded) {
		return nil, fmt.Errorf("decoding %s: the result is not UTF-8", shown(arguments[0]))
	}
	return string(decoded), nil
}

func jsonParse(_ *state, arguments []any) (any, error) {
	value, err := record.Decode([]byte(arguments[0].(string)))
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", shown(arguments[0]), err)
	}
	return value, nil
}

var algorithms = map[string]func() hash.Hash{
	"md5":      md5.New,
	"sha1":     sha1.New,
	"sha224":   sha256.New224,
	"sha256":   sha256.New,
	"sha384":   sha512.New384,
	"sha512":   sha512.New,
	"sha3_224": func() hash.Hash { return sha3.New224() },
	"sha3_256": func() hash.Hash { return sha3.New256() },
	"sha3_384": func() hash.Hash { return sha3.New384() },
	"sha3_512": func() hash.Hash { return sha3.New512() },
	"blake2b":  func() hash.Hash { h, _ := blake2b.New512(nil); return h }, // fails for long keys only
	"blake2s":  func() hash.Hash { h, _ := blake2s.New256(nil); return h },
}

var errAlgorithm = errors.New("unknown algorithm")

func algorithm(name string) (func() hash.Hash, error) {
	if found, ok := algorithms[name]; ok {
		return found, nil
	}
	return nil, fmt.Errorf("%w %q; known are %s", errAlgorithm, name, strings.Join(slices.Sorted(maps.Keys(algorithms)), ", "))
}

func bindHash(_ *compiler, literals []constant) (func(*state, []any) (any, error), error) {
	if len(literals) > 1 && literals[1].known {
		if _, err := algorithm(literals[1].value.(string)); err != nil {
			return nil, err
		}
	}
	return func(_ *state, arguments []any) (any, error) {
		name := "sha1"
		if len(arguments) > 1 {
			name = arguments[1].(string)
		}
		found, err := algorithm(name)
		if err != nil {
			return nil, err
		}
		h := found()
		switch v := arguments[0].(type) {
		case nil: // as the empty text
		case string:
			_, _ = h.Write([]byte(v)) // a hash never fails to write
		default:
			_, _ = h.Write(record.Encode(v))
		}
		return hex.EncodeToString(h.Sum(nil)), nil
	}, nil
}
