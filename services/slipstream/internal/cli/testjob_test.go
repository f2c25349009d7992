package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"
)

func tested() *gatewayv1.TestJobResponse {
	return &gatewayv1.TestJobResponse{
		Job: "emp", Keys: [][]byte{[]byte("emp:1"), []byte("emp:2"), {0xff}},
		Changes: []*transformerv1.PreviewedChange{
			{
				Record: []byte(`{"id":"1"}`), Opcode: "u", Blocks: []*transformerv1.PreviewedBlock{
					{Block: "transform[0] filter", Record: []byte(`{"id":"1"}`)},
					{Block: "transform[1] add_field", Record: []byte(`{"id":"1","a":2}`)},
				},
			},
			{Change: 1, Record: []byte(`{"id":"2"}`), FilteredBy: "transform[0] filter"},
			{Change: 2, Record: []byte(`{}`), Rejects: []*flowv1.Reject{{Change: 2, Block: "transform[1] add_field", Reason: "no number"}}},
		},
		Connections: []*gatewayv1.TestedConnection{
			{Connection: "hr", Preview: &applierv1.PreviewResponse{
				Statements: []*applierv1.Statement{{Text: "INSERT INTO emp\n  VALUES (1)"}},
				Differences: []*applierv1.RowDifference{
					{Table: "emp", Columns: []string{"id", "a"}, Before: []byte(`[1,"x"]`), After: []byte(`[1,"y"]`)},
					{Table: "emp", Columns: []string{"id", "a"}, After: []byte(`[2,null]`)},
					{Table: "emp", Columns: []string{"id", "a"}, Before: []byte(`[3,1.50]`)},
					{Table: "emp", Columns: []string{"id", "a"}, Before: []byte(`[4,1]`), After: []byte(`[4,1]`)},
				},
				Rejects: []*flowv1.Reject{{Column: "a", Reason: "does not fit"}},
			}},
			{Connection: "away", Preview: &applierv1.PreviewResponse{Fault: &flowv1.Fault{Message: "connection refused", Fix: "start it"}}},
			{Connection: "calm", Preview: &applierv1.PreviewResponse{}},
		},
	}
}

const testedText = `job emp on 3 records; nothing is written

emp:1  u
  record                        {"id":"1"}
  transform[0] filter           (unchanged)
  transform[1] add_field        {"id":"1","a":2}

emp:2
  record                        {"id":"2"}
  transform[0] filter           filtered: the record goes no further

"\xff"
  record                        {}
  rejected                      transform[1] add_field: no number

connection hr
  INSERT INTO emp
    VALUES (1)
  rejected: emp:1: column a: does not fit
  ~ changes in emp: id: 1, a: "x" → "y"
  + appears in emp: id: 2, a: null
  - goes in emp: id: 3, a: 1.50
  = stays in emp: id: 4, a: 1

connection away
  it cannot be tried: connection refused
    start it

connection calm
  no statement would run
`

func TestTestJob(t *testing.T) {
	dir := folder(t, "config.yaml", "C", "jobs/emp.yaml", "J")
	l := newLine()
	var asked *gatewayv1.TestJobRequest
	answer := tested()
	l.gateway.test = func(r *gatewayv1.TestJobRequest) (*gatewayv1.TestJobResponse, error) {
		asked = r
		return answer, nil
	}
	code, stdout, stderr := l.do(t, "test", "emp", "--dir", dir, "--keys", "emp:*", "--n", "3", "--diff")
	if code != 1 || stdout != testedText || stderr != "" {
		t.Errorf("code %d, stderr %q, stdout:\n%s\nwant:\n%s", code, stderr, stdout, testedText)
	}
	if asked.GetJob() != "emp" || asked.GetKeys() != "emp:*" || asked.GetMaxKeys() != 3 || !asked.GetDiff() || len(asked.GetFiles()) != 2 {
		t.Errorf("asked %v", asked)
	}
	if len(l.dialed) != 1 || l.dialed[0] != "here" {
		t.Errorf("asked %v: without a gateway's address this process does it", l.dialed)
	}
	code, stdout, _ = l.do(t, "test", "--deployed", "-o", "json")
	var parsed struct {
		Records []struct {
			Key        string
			FilteredBy string `json:"filtered_by"`
		}
		Connections []struct {
			Rows  []struct{ Before, After []any }
			Fault map[string]string
		}
	}
	if err := json.Unmarshal([]byte(stdout), &parsed); err != nil || code != 1 {
		t.Fatalf("code %d, %v: %s", code, err, stdout)
	}
	if parsed.Records[1].FilteredBy != "transform[0] filter" || fmt.Sprint(parsed.Connections[0].Rows[0].After) != "[1 y]" ||
		parsed.Connections[0].Rows[1].Before != nil || parsed.Connections[1].Fault["fix"] != "start it" {
		t.Errorf("parsed: %+v", parsed)
	}
	if len(asked.GetFiles()) != 0 || l.dialed[0] == "here" {
		t.Errorf("the deployed job was tested with files %v at %v", asked.GetFiles(), l.dialed)
	}
	// Nothing rejected: 0. Problems: 1.
	answer = &gatewayv1.TestJobResponse{Job: "emp"}
	if code, stdout, _ := l.do(t, "test", "--dir", dir); code != 0 || stdout != "job emp on no records; nothing is written\n" {
		t.Errorf("code %d, %q", code, stdout)
	}
	answer = &gatewayv1.TestJobResponse{Problems: problems}
	if code, stdout, _ := l.do(t, "test", "--dir", dir); code != 1 || !strings.HasSuffix(stdout, "3 errors, 1 warning\n") {
		t.Errorf("code %d, %q", code, stdout)
	}
}

func TestRecordFiles(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"JSON":       {`{"key": "a", "value": {"n": "1"}}`, `a  {"n": "1"} `},
		"JSON lines": {"{\"key\":\"a\",\"value\":1}\n{\"key\":\"b\",\"opcode\":\"d\"}\n", "a  1 |b d  "},
		"JSON list":  {`[{"key":"a","value":1.10,"before":{"x":1}},{"key":"b","value":null,"opcode":"d"}]`, `a  1.10 {"x":1}|b d  `},
		"full":       {`{"key":{"key":"a"},"opcode":"u","before":null,"after":{"n":1}}`, `a u {"n":1} `},
		"YAML":       {"- key: a\n  value: {n: 1.10, s: '2', l: [true, null]}\n- {key: b, opcode: d}\n", `a  {"n":1.10,"s":"2","l":[true,null]} |b d  `},
		"YAML map":   {"key: a\nvalue: x\n", `a  "x" `},
		"broken":     {`{"key": "a", `, "error: reading the records in"},
		"not YAML":   {"key: [\n", "error: reading the records in"},
		"empty":      {"", "error: there is no record in"},
		"unknown":    {`{"key":"a","valu":1}`, `error: record 1 in FILE: json: unknown field "valu"; a record has key, opcode, value, before and type`},
		"no value":   {`{"key":"a"}`, "error: record 1 in FILE: it has no value; write value: {…}"},
		"odd key":    {`{"key":[1],"value":1}`, "error: record 1 in FILE: key is no text"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "records")
			if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			l := newLine()
			var got []string
			l.gateway.test = func(r *gatewayv1.TestJobRequest) (*gatewayv1.TestJobResponse, error) {
				for _, x := range r.GetRecords() {
					got = append(got, fmt.Sprintf("%s %s %s %s", x.GetKey(), x.GetOpcode(), x.GetValue(), x.GetBefore()))
				}
				return &gatewayv1.TestJobResponse{}, nil
			}
			code, _, stderr := l.do(t, "test", "--deployed", "--records", file)
			if want, fails := strings.CutPrefix(tc.want, "error: "); fails {
				if code != 1 || !strings.Contains(stderr, strings.Replace(want, "FILE", file, 1)) {
					t.Errorf("code %d, %q", code, stderr)
				}
				return
			}
			if code != 0 || strings.Join(got, "|") != tc.want {
				t.Errorf("code %d, got %q, want %q, %s", code, strings.Join(got, "|"), tc.want, stderr)
			}
		})
	}
}

func TestReplay(t *testing.T) {
	l := newLine()
	var asked *gatewayv1.ReplayRequest
	answer := &gatewayv1.ReplayResponse{Streams: []*capturev1.ReplayedStream{
		{Name: "dlq:slipstream:{default}:emp", Job: "emp", Replayed: 2, Kept: []*capturev1.KeptDeadLetter{{Id: "1-2", Reason: "no row\nindex"}}},
	}}
	l.gateway.replay = func(r *gatewayv1.ReplayRequest) (*gatewayv1.ReplayResponse, error) {
		asked = r
		return answer, nil
	}
	code, stdout, _ := l.do(t, "replay", "--job", "emp", "--id", "1-1", "--id", "1-2", "--as-recorded", "--max-records", "5", "--dlq-name", "q")
	want := "dlq:slipstream:{default}:emp: 2 records back on the line\n  1-2 stays: no row index\n"
	if code != 1 || stdout != want {
		t.Errorf("code %d, %q", code, stdout)
	}
	if asked.GetJob() != "emp" || strings.Join(asked.GetIds(), ",") != "1-1,1-2" || !asked.GetAsRecorded() || asked.GetMaxRecords() != 5 || asked.GetDlqName() != "q" {
		t.Errorf("asked %v", asked)
	}
	if code, stdout, _ = l.do(t, "replay", "-o", "json"); code != 1 || !strings.Contains(stdout, `"reason": "no row\nindex"`) {
		t.Errorf("code %d, %q", code, stdout)
	}
	answer = &gatewayv1.ReplayResponse{}
	if code, stdout, _ := l.do(t, "replay"); code != 0 || stdout != "there is nothing to replay\n" {
		t.Errorf("code %d, %q", code, stdout)
	}
}

func TestPlan(t *testing.T) {
	l := newLine()
	plan := []*gatewayv1.ConnectionPlan{{Connection: "hr", Statements: []*applierv1.Statement{
		{Text: "CREATE TABLE a (\n  id INTEGER)", Job: "emp"}, {Text: "CREATE INDEX"},
	}}}
	l.gateway.validate = func(r *gatewayv1.ValidateRequest) (*gatewayv1.ValidateResponse, error) {
		if !r.GetPlan() {
			return &gatewayv1.ValidateResponse{}, nil
		}
		return &gatewayv1.ValidateResponse{Plan: plan}, nil
	}
	dir := folder(t, "config.yaml", "C")
	want := "on connection hr would be run:\n    CREATE TABLE a (\n      id INTEGER)\n    CREATE INDEX\n"
	if code, stdout, _ := l.do(t, "validate", "--dir", dir, "--plan"); code != 0 || !strings.HasSuffix(stdout, want) {
		t.Errorf("code %d, %q", code, stdout)
	}
	if _, stdout, _ := l.do(t, "validate", "--dir", dir, "--plan", "-o", "json"); !strings.Contains(stdout, `"statement": "CREATE INDEX"`) {
		t.Errorf("%q", stdout)
	}
	if _, stdout, _ := l.do(t, "validate", "--dir", dir); strings.Contains(stdout, "would be run") {
		t.Errorf("%q", stdout)
	}
	l.gateway.deploy = func(*gatewayv1.DeployRequest) (*gatewayv1.DeployResponse, error) {
		return &gatewayv1.DeployResponse{Changed: true, Generation: 3, Created: plan}, nil
	}
	code, stdout, _ := l.do(t, "deploy", "--dir", dir)
	if code != 0 || stdout != strings.Replace(want, "would be run", "was run", 1)+"pipeline default: generation 3 is deployed\n" {
		t.Errorf("code %d, %q", code, stdout)
	}
}
