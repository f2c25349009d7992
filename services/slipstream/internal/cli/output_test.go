package cli_test

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/goccy/go-yaml"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	"slipstream/services/slipstream/internal/cli"
)

var errFull = errors.New("no space left")

// full is a file on a disk that is full after some bytes.
type full struct{ left int }

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// TestResultNotWritten: a command whose result went nowhere has failed, also where what prints it does not look.
func TestResultNotWritten(t *testing.T) {
	l := newLine()
	l.gateway.list = func(*gatewayv1.ListJobsRequest) (*gatewayv1.ListJobsResponse, error) {
		return &gatewayv1.ListJobsResponse{Jobs: []*pipelinev1.Job{{Name: "emp", Source: &pipelinev1.Source{KeyPattern: "emp:*"}}}}, nil
	}
	l.gateway.status = func(*gatewayv1.StatusRequest) (*gatewayv1.StatusResponse, error) {
		return &gatewayv1.StatusResponse{}, nil
	}
	for _, args := range [][]string{{"status"}, {"list-jobs"}, {"list-jobs", "-o", "json"}, {"version"}, {"--help"}} {
		for _, room := range []int{0, 20} {
			if args[0] == "version" && room > 0 {
				continue
			}
			var errs strings.Builder
			code := cli.Main(t.Context(), l.deps, args, &full{room}, &errs)
			if code != 1 || !strings.Contains(errs.String(), errFull.Error()) || strings.Count(errs.String(), errFull.Error()) != 1 {
				t.Errorf("%v with room for %d: %d %s", args, room, code, errs.String())
			}
		}
		var errs strings.Builder
		if code := cli.Main(t.Context(), l.deps, args, io.Discard, &errs); code != 0 {
			t.Errorf("%v: %d %s", args, code, errs.String())
		}
	}
}

// TestControlCharacters: whatever is in a record, YAML stays YAML, says the same as JSON, and holds nothing that a terminal obeys.
func TestControlCharacters(t *testing.T) {
	l := newLine()
	for _, text := range []string{
		"plain", "two\nlines", "nul\x00", "\x1b[31mred", "a: b\x07", "line\r\nend", "tab\there", "\u0085\u2028\ufeff", "\x7f", "日本 'x' \"y\" \\z", "- \x01", "#\x02", "",
	} {
		record, err := json.Marshal(map[string]any{"after": map[string]any{"f": text, "list": []any{text}}, "name" + text: "\x1b"})
		if err != nil {
			t.Fatal(err)
		}
		l.gateway.rejected = func(*gatewayv1.ListRejectedRequest) (*gatewayv1.ListRejectedResponse, error) {
			return &gatewayv1.ListRejectedResponse{Streams: []*capturev1.DeadLetterStream{{
				Name: "dlq:a", Length: 1, Entries: []*capturev1.DeadLetter{{Id: "1-0", Reject: &flowv1.Reject{Record: record}}},
			}}}, nil
		}
		code, asJSON, errs := l.do(t, "get-rejected", "--output", "json")
		if code != 0 {
			t.Fatalf("%q: %d %s", text, code, errs)
		}
		code, asYAML, errs := l.do(t, "get-rejected", "--output", "yaml")
		if code != 0 {
			t.Fatalf("%q: %d %s", text, code, errs)
		}
		if i := strings.IndexFunc(asYAML, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q: the YAML holds %q", text, asYAML[i:])
		}
		var want, got any
		if err := json.Unmarshal([]byte(asJSON), &want); err != nil {
			t.Fatal(err)
		}
		if name := "name" + text; strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
			asYAML = strings.ReplaceAll(asYAML, strconv.Quote(strconv.Quote(name)), strconv.Quote(name)) // shown as Go writes it
		}
		if err := yaml.Unmarshal([]byte(asYAML), &got); err != nil {
			t.Fatalf("%q: %v\n%s", text, err, asYAML)
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(again, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: YAML says %v, JSON %v (%v)", text, got, want, err)
		}
	}
}
