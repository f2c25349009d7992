package applytest

import (
	"slices"
	"strings"
	"testing"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// The choices of a job about conversions (spec 10.3).
var choiceCases = []testCase{
	{"empty_as_null", emptyChoiceCase},
	{"numeric_overflow", overflowCase},
	{"truncate", truncateCase},
	{"unit", unitCase},
	{"binary", encodingCase},
	{"type", hintCase},
	{"strip_nul", stripCase},
}

// choose changes an output and its column v.
type choose func(w *pipelinev1.RelationalWrite, v *pipelinev1.OutputColumn)

// chosen writes values into a column of a type, one a row, and compares what the table holds then; a value that is
// rejected shows as "rejected".
func (f *fixture) chosen(t *testing.T, declared string, how choose, values []any, want ...string) {
	t.Helper()
	db := f.database(t)
	f.create(t, db, "t", [][2]string{{"id", f.Types.Integer}, {"v", declared}}, "id")
	o := out("t", "*id", "v")
	how(o.GetRelational(), o.GetRelational().Columns[1])
	c := f.open(t, db, job(o))
	r := table(0)
	for i, v := range values {
		r.upsert(uint32(i), number(strings.Repeat("1", i+1)), v)
	}
	c.apply(batch(1, r))
	got := make([]string, len(values))
	select {
	case x := <-c.rejects:
		for _, r := range x.Rejects {
			got[r.Change] = "rejected"
			if r.Column != "v" || r.ErrorClass != "validation" {
				t.Errorf("reject %v", r)
			}
		}
	default:
	}
	for _, row := range f.rows(t, db, "t", []string{"id", "v"}) {
		id, v, _ := strings.Cut(row, "|")
		got[len(id)-1] = v
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q into %s gave %q, want %q", values, declared, got, want)
	}
}

func emptyChoiceCase(t *testing.T, f *fixture) {
	set := func(e pipelinev1.EmptyAsNull) choose {
		return func(w *pipelinev1.RelationalWrite, _ *pipelinev1.OutputColumn) { w.EmptyAsNull = e }
	}
	values := []any{"", nil}
	f.chosen(t, f.Types.Text, set(pipelinev1.EmptyAsNull_EMPTY_AS_NULL_NON_TEXT), values, "", Null)
	f.chosen(t, f.Types.Integer, set(pipelinev1.EmptyAsNull_EMPTY_AS_NULL_NON_TEXT), values, Null, Null)
	f.chosen(t, f.Types.Text, set(pipelinev1.EmptyAsNull_EMPTY_AS_NULL_ALWAYS), values, Null, Null)
	f.chosen(t, f.Types.Integer, set(pipelinev1.EmptyAsNull_EMPTY_AS_NULL_ALWAYS), values, Null, Null)
	f.chosen(t, f.Types.Text, set(pipelinev1.EmptyAsNull_EMPTY_AS_NULL_NEVER), values, "", Null)
	f.chosen(t, f.Types.Integer, set(pipelinev1.EmptyAsNull_EMPTY_AS_NULL_NEVER), values, "rejected", Null)
}

func overflowCase(t *testing.T, f *fixture) {
	values := []any{"1.005", "-1.005", "1.004", number("2.5e-3"), "12345678901.1"}
	reject := func(w *pipelinev1.RelationalWrite, _ *pipelinev1.OutputColumn) {
		w.NumericOverflow = pipelinev1.NumericOverflow_NUMERIC_OVERFLOW_REJECT
	}
	round := func(w *pipelinev1.RelationalWrite, _ *pipelinev1.OutputColumn) {
		w.NumericOverflow = pipelinev1.NumericOverflow_NUMERIC_OVERFLOW_ROUND
	}
	if f.AnySize {
		f.chosen(t, f.Types.Decimal, round, values, "1.005", "-1.005", "1.004", "0.0025", "12345678901.1") // nothing is too long
		return
	}
	f.chosen(t, f.Types.Decimal, reject, values, "rejected", "rejected", "rejected", "rejected", "rejected")
	f.chosen(t, f.Types.Decimal, round, values, "1.01", "-1.01", "1", "0", "rejected")
}

func truncateCase(t *testing.T, f *fixture) {
	cut := func(_ *pipelinev1.RelationalWrite, v *pipelinev1.OutputColumn) { v.Truncate = true }
	keep := func(*pipelinev1.RelationalWrite, *pipelinev1.OutputColumn) {}
	values := []any{"Grüße", "Grüße!", "🚀🚀🚀🚀🚀🚀"}
	if f.AnySize {
		f.chosen(t, f.Types.Five, cut, values, "Grüße", "Grüße!", "🚀🚀🚀🚀🚀🚀") // nothing is too long
		return
	}
	rockets := "🚀🚀🚀🚀🚀"
	if f.Pairs {
		rockets = "🚀🚀"
	}
	f.chosen(t, f.Types.Five, keep, values, "Grüße", "rejected", "rejected")
	f.chosen(t, f.Types.Five, cut, values, "Grüße", "Grüße", rockets)
}

func unitCase(t *testing.T, f *fixture) {
	for unit, want := range map[pipelinev1.TimeUnit]string{
		pipelinev1.TimeUnit_TIME_UNIT_UNSPECIFIED:  "2001-09-09 01:46:40",
		pipelinev1.TimeUnit_TIME_UNIT_SECONDS:      "2001-09-09 01:46:40",
		pipelinev1.TimeUnit_TIME_UNIT_MILLISECONDS: "1970-01-12 13:46:40",
		pipelinev1.TimeUnit_TIME_UNIT_MICROSECONDS: "1970-01-01 00:16:40",
		pipelinev1.TimeUnit_TIME_UNIT_NANOSECONDS:  "1970-01-01 00:00:01",
	} {
		f.chosen(t, f.Types.Timestamp, func(_ *pipelinev1.RelationalWrite, v *pipelinev1.OutputColumn) { v.Unit = unit },
			[]any{"1000000000", number("1000000000")}, want, want)
	}
	f.chosen(t, f.Types.Date, func(_ *pipelinev1.RelationalWrite, v *pipelinev1.OutputColumn) {
		v.Unit = pipelinev1.TimeUnit_TIME_UNIT_DAYS
	}, []any{"11574", "-1"}, "2001-09-09", "1969-12-31")
}

func encodingCase(t *testing.T, f *fixture) {
	as := func(e pipelinev1.BinaryEncoding) choose {
		return func(_ *pipelinev1.RelationalWrite, v *pipelinev1.OutputColumn) { v.Binary = e }
	}
	f.chosen(t, f.Types.Binary, as(pipelinev1.BinaryEncoding_BINARY_ENCODING_UNSPECIFIED), []any{"0x6162", "YWI=", "ab!"}, "ab", "ab", "rejected")
	f.chosen(t, f.Types.Binary, as(pipelinev1.BinaryEncoding_BINARY_ENCODING_BASE64), []any{"YWI=", "ab!"}, "ab", "rejected")
	f.chosen(t, f.Types.Binary, as(pipelinev1.BinaryEncoding_BINARY_ENCODING_HEX), []any{"6162", "0x6162", "YWI="}, "ab", "ab", "rejected")
	f.chosen(t, f.Types.Binary, as(pipelinev1.BinaryEncoding_BINARY_ENCODING_UTF8), []any{"YWI=", "0x61"}, "YWI=", "0x61")
}

func hintCase(t *testing.T, f *fixture) {
	hint := func(kind pipelinev1.ColumnType) choose {
		return func(_ *pipelinev1.RelationalWrite, v *pipelinev1.OutputColumn) { v.Type = kind }
	}
	// Into text: what the value is read as decides its form.
	f.chosen(t, f.Types.Text, hint(pipelinev1.ColumnType_COLUMN_TYPE_DECIMAL), []any{"007.50", "x"}, "7.5", "rejected")
	f.chosen(t, f.Types.Text, hint(pipelinev1.ColumnType_COLUMN_TYPE_BOOLEAN), []any{"1", "no", "maybe"}, "true", "false", "rejected")
	f.chosen(t, f.Types.Text, hint(pipelinev1.ColumnType_COLUMN_TYPE_DATE), []any{"2001-09-09", "soon"}, "2001-09-09", "rejected")
	f.chosen(t, f.Types.Text, hint(pipelinev1.ColumnType_COLUMN_TYPE_TEXT), []any{"007.50"}, "007.50")
}

func stripCase(t *testing.T, f *fixture) {
	strip := func(w *pipelinev1.RelationalWrite, _ *pipelinev1.OutputColumn) { w.StripNul = true }
	want := "ab"
	if f.NULInText {
		want = "a\x00b" // the database holds it
	}
	f.chosen(t, f.Types.Text, strip, []any{"a\x00b"}, want)
}
