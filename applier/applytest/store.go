package applytest

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Store is a target without tables: how it keeps what the suite would keep in one. A row of table t with the key k and the
// columns c… is whatever the store has for such a record; a column that is null is one that the store does not have.
type Store struct {
	// Output is the output that keeps the rows of one of the suite's.
	Output func(o *pipelinev1.Output) *pipelinev1.Output
	// Columns are the values of rows of the suite's output as the columns of that one.
	Columns func(o *pipelinev1.Output, r *applierv1.Rows) []*applierv1.Column
	// Rows reads columns of a table, sorted; null as Null.
	Rows func(t testing.TB, db Database, table string, columns []string) [][]string
	// Entries reads the row index: the key of each row, and its owner; sorted.
	Entries func(t testing.TB, db Database, table string) [][]string
	// Occupy makes the store refuse a row, for a reason that lies in the data.
	Occupy func(t testing.TB, db Database, table, key string)
	// Key is what the output calls the column of the key.
	Key string
}

// form is a job as the target has it.
func (f *fixture) form(j *pipelinev1.Job) *pipelinev1.Job {
	if f.Store == nil {
		return j
	}
	j = proto.CloneOf(j)
	for i, o := range j.Outputs {
		j.Outputs[i] = f.Store.Output(o)
	}
	return j
}

// translate gives a batch for a job of the suite the form that the target has.
func (f *fixture) translate(j *pipelinev1.Job, b *applierv1.RowBatch) *applierv1.RowBatch {
	if f.Store == nil {
		return b
	}
	b = proto.CloneOf(b)
	for _, r := range b.Tables {
		r.Columns = f.Store.Columns(j.Outputs[r.Output], r)
	}
	return b
}

// unfit makes sure that the target refuses rows with these keys: where it has no tables, in which they do not fit by their
// values, by what is there already.
func (f *fixture) unfit(t testing.TB, db Database, table string, keys ...string) {
	t.Helper()
	if f.Store == nil {
		return
	}
	for _, key := range keys {
		f.Store.Occupy(t, db, table, key)
	}
}

// merged makes an output of a store leave what its rows do not name, as tables do.
func (f *fixture) merged(o *pipelinev1.Output) *pipelinev1.Output {
	if f.Store != nil {
		o.Redis = &pipelinev1.RedisForm{OnUpdate: pipelinev1.OnUpdate_ON_UPDATE_MERGE}
	}
	return o
}

// reason is a reason for a reject in the words of the target's own columns.
func (f *fixture) reason(text, column string) string {
	if f.Store == nil {
		return text
	}
	return strings.ReplaceAll(text, " "+column+" ", " "+f.Store.Key+" ")
}
