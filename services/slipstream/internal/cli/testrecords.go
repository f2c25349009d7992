package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"

	"slipstream/gateway/yamlfile"
)

// testRecord is a record in a file: as `slipstream test` documents it, or as get-rejected prints one.
type testRecord struct {
	Key    json.RawMessage `json:"key"`
	Opcode string          `json:"opcode"`
	Value  json.RawMessage `json:"value"`
	After  json.RawMessage `json:"after"`
	Before json.RawMessage `json:"before"`
	Type   string          `json:"type"`
}

// readRecords reads the records of a file, or of stdin where it is called "-".
func readRecords(file string, stdin io.Reader) ([]*gatewayv1.TestRecord, error) {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(stdin)
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the records: %w", err)
	}
	values, err := jsonValues(file, text)
	if err != nil {
		return nil, fmt.Errorf("reading the records in %s: %w", file, err)
	}
	var out []*gatewayv1.TestRecord
	for i, value := range values {
		r, err := recordOf(value)
		if err != nil {
			return nil, fmt.Errorf("record %d in %s: %w", i+1, file, err)
		}
		out = append(out, r)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("there is no record in %s", file)
	}
	return out, nil
}

func recordOf(value json.RawMessage) (*gatewayv1.TestRecord, error) {
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	var r testRecord
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("%w; a record has key, opcode, value, before and type", err)
	}
	out := &gatewayv1.TestRecord{Opcode: r.Opcode, Type: r.Type, Before: present(r.Before), Value: present(r.Value)}
	if out.GetValue() == nil {
		out.Value = present(r.After)
	}
	if out.GetValue() == nil && r.Opcode != "d" {
		return nil, errors.New("it has no value; write value: {…}")
	}
	// The key of a full record is an object that holds it (spec 1.3).
	if json.Unmarshal(r.Key, &out.Key) != nil {
		var full struct {
			Key string `json:"key"`
		}
		if json.Unmarshal(r.Key, &full) != nil {
			return nil, errors.New("key is no text")
		}
		out.Key = full.Key
	}
	return out, nil
}

func present(value json.RawMessage) []byte {
	if string(value) == "null" {
		return nil
	}
	return value
}

// jsonValues are the values in a text: JSON values one behind the other, or YAML. Lists count as their elements.
func jsonValues(name string, text []byte) ([]json.RawMessage, error) {
	var out []json.RawMessage
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		var value json.RawMessage
		err := d.Decode(&value)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
				return nil, err
			}
			return yamlValues(name, text)
		}
		out = append(out, elements(value)...)
	}
}

func elements(value json.RawMessage) []json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(value, &list) == nil && list != nil {
		return list
	}
	return []json.RawMessage{value}
}

func yamlValues(name string, text []byte) ([]json.RawMessage, error) {
	f := yamlfile.Parse(name, text)
	value, ok := f.Root().JSON()
	for _, p := range f.Problems() {
		return nil, fmt.Errorf("line %d: %s", p.GetLine(), p.GetMessage())
	}
	if !ok {
		return nil, nil
	}
	return elements([]byte(value)), nil
}
