package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// printTest shows each record on its way, and then what would happen on each connection.
func printTest(w io.Writer, res *gatewayv1.TestJobResponse) {
	if res.GetJob() == "" {
		return
	}
	fmt.Fprintf(w, "job %s on %s; nothing is written\n", clean(res.GetJob()), count(len(res.GetKeys()), "record"))
	for _, change := range res.GetChanges() {
		opcode := change.GetOpcode()
		if opcode != "" {
			opcode = "  " + opcode
		}
		fmt.Fprintf(w, "\n%s%s\n", keyOf(res, change.GetChange()), opcode)
		before := change.GetRecord()
		step(w, "record", document(before))
		for _, b := range change.GetBlocks() {
			text := document(b.GetRecord())
			if bytes.Equal(before, b.GetRecord()) {
				text = "(unchanged)"
			}
			step(w, b.GetBlock(), text)
			before = b.GetRecord()
		}
		if change.GetFilteredBy() != "" {
			step(w, change.GetFilteredBy(), "filtered: the record goes no further")
		}
		for _, r := range change.GetRejects() {
			step(w, "rejected", reasonOf(r))
		}
	}
	for _, c := range res.GetConnections() {
		printTested(w, res, c)
	}
}

func step(w io.Writer, name string, value any) {
	text := fmt.Sprint(value)
	if raw, is := value.(json.RawMessage); is {
		text = string(raw)
	}
	fmt.Fprintf(w, "  %-28s  %s\n", oneLine(name), oneLine(text))
}

func keyOf(res *gatewayv1.TestJobResponse, change uint32) string {
	if int(change) >= len(res.GetKeys()) {
		return "?"
	}
	return shown(res.GetKeys()[change])
}

func reasonOf(r *flowv1.Reject) string {
	where := r.GetBlock()
	if r.GetColumn() != "" {
		where = strings.TrimSpace(where + " column " + r.GetColumn())
	}
	if where != "" {
		where += ": "
	}
	return where + r.GetReason()
}

func printTested(w io.Writer, res *gatewayv1.TestJobResponse, c *gatewayv1.TestedConnection) {
	fmt.Fprintf(w, "\nconnection %s\n", clean(c.GetConnection()))
	p := c.GetPreview()
	if f := p.GetFault(); f != nil {
		fmt.Fprintf(w, "  it cannot be tried: %s\n", clean(f.GetMessage()))
		if f.GetFix() != "" {
			fmt.Fprintf(w, "    %s\n", strings.ReplaceAll(clean(f.GetFix()), "\n", "\n    "))
		}
		return
	}
	for _, s := range p.GetStatements() {
		fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(clean(s.GetText()), "\n", "\n  "))
	}
	if len(p.GetStatements()) == 0 {
		fmt.Fprintln(w, "  no statement would run")
	}
	for _, r := range p.GetRejects() {
		fmt.Fprintf(w, "  rejected: %s: %s\n", keyOf(res, r.GetChange()), clean(reasonOf(r)))
	}
	for _, d := range p.GetDifferences() {
		fmt.Fprintf(w, "  %s\n", difference(d))
	}
}

// difference is a row before and after, in one line.
func difference(d *applierv1.RowDifference) string {
	before, after := values(d.GetBefore()), values(d.GetAfter())
	var cells []string
	for i, name := range d.GetColumns() {
		switch {
		case before == nil:
			cells = append(cells, name+": "+at(after, i))
		case after == nil || at(before, i) == at(after, i):
			cells = append(cells, name+": "+at(before, i))
		default:
			cells = append(cells, name+": "+at(before, i)+" → "+at(after, i))
		}
	}
	mark := "~ changes"
	switch {
	case before == nil && after == nil:
		mark = "  stays away"
	case before == nil:
		mark = "+ appears"
	case after == nil:
		mark = "- goes"
	case bytes.Equal(d.GetBefore(), d.GetAfter()):
		mark = "= stays"
	}
	return fmt.Sprintf("%s in %s: %s", mark, clean(d.GetTable()), oneLine(strings.Join(cells, ", ")))
}

func values(list []byte) []json.RawMessage {
	var out []json.RawMessage
	if len(list) == 0 || json.Unmarshal(list, &out) != nil {
		return nil
	}
	return out
}

func at(list []json.RawMessage, i int) string {
	if i >= len(list) {
		return "?"
	}
	return string(list[i])
}

// testJSON is the answer for programs.
func testJSON(res *gatewayv1.TestJobResponse) map[string]any {
	records := []map[string]any{}
	for _, change := range res.GetChanges() {
		blocks := []map[string]any{}
		for _, b := range change.GetBlocks() {
			blocks = append(blocks, map[string]any{"block": b.GetBlock(), "record": document(b.GetRecord())})
		}
		records = append(records, map[string]any{
			"key": keyOf(res, change.GetChange()), "opcode": change.GetOpcode(), "record": document(change.GetRecord()), "blocks": blocks,
			"filtered_by": change.GetFilteredBy(), "rejects": rejectsJSON(res, change.GetRejects()),
		})
	}
	connections := []map[string]any{}
	for _, c := range res.GetConnections() {
		p := c.GetPreview()
		statements := []string{}
		for _, s := range p.GetStatements() {
			statements = append(statements, s.GetText())
		}
		rows := []map[string]any{}
		for _, d := range p.GetDifferences() {
			rows = append(rows, map[string]any{
				"table": d.GetTable(), "columns": d.GetColumns(), "before": orNull(d.GetBefore()), "after": orNull(d.GetAfter()),
			})
		}
		one := map[string]any{
			"connection": c.GetConnection(), "statements": statements, "rows": rows, "rejects": rejectsJSON(res, p.GetRejects()),
		}
		if f := p.GetFault(); f != nil {
			one["fault"] = map[string]any{"message": f.GetMessage(), "fix": f.GetFix(), "code": f.GetCode()}
		}
		connections = append(connections, one)
	}
	return map[string]any{
		"job": res.GetJob(), "problems": problemsJSON(res.GetProblems()), "records": records, "connections": connections,
	}
}

func orNull(list []byte) any {
	if len(list) == 0 {
		return nil
	}
	return json.RawMessage(list)
}

func rejectsJSON(res *gatewayv1.TestJobResponse, rejects []*flowv1.Reject) []map[string]any {
	out := []map[string]any{}
	for _, r := range rejects {
		out = append(out, map[string]any{
			"key": keyOf(res, r.GetChange()), "output": r.GetOutput(), "block": r.GetBlock(), "column": r.GetColumn(),
			"reason_rejected": r.GetReason(), "error_class": r.GetErrorClass(),
		})
	}
	return out
}
