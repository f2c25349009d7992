package jobfile

import (
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

var columnTypes = names[pipelinev1.ColumnType]{
	{"integer", pipelinev1.ColumnType_COLUMN_TYPE_INTEGER},
	{"decimal", pipelinev1.ColumnType_COLUMN_TYPE_DECIMAL},
	{"double", pipelinev1.ColumnType_COLUMN_TYPE_DOUBLE},
	{"boolean", pipelinev1.ColumnType_COLUMN_TYPE_BOOLEAN},
	{"text", pipelinev1.ColumnType_COLUMN_TYPE_TEXT},
	{"date", pipelinev1.ColumnType_COLUMN_TYPE_DATE},
	{"time", pipelinev1.ColumnType_COLUMN_TYPE_TIME},
	{"timestamp", pipelinev1.ColumnType_COLUMN_TYPE_TIMESTAMP},
	{"binary", pipelinev1.ColumnType_COLUMN_TYPE_BINARY},
	{"json", pipelinev1.ColumnType_COLUMN_TYPE_JSON},
	{"uuid", pipelinev1.ColumnType_COLUMN_TYPE_UUID},
}

var timeUnits = names[pipelinev1.TimeUnit]{
	{"s", pipelinev1.TimeUnit_TIME_UNIT_SECONDS},
	{"ms", pipelinev1.TimeUnit_TIME_UNIT_MILLISECONDS},
	{"us", pipelinev1.TimeUnit_TIME_UNIT_MICROSECONDS},
	{"ns", pipelinev1.TimeUnit_TIME_UNIT_NANOSECONDS},
	{"days", pipelinev1.TimeUnit_TIME_UNIT_DAYS},
}

var encodings = names[pipelinev1.BinaryEncoding]{
	{"base64", pipelinev1.BinaryEncoding_BINARY_ENCODING_BASE64},
	{"hex", pipelinev1.BinaryEncoding_BINARY_ENCODING_HEX},
	{"utf8", pipelinev1.BinaryEncoding_BINARY_ENCODING_UTF8},
}

// readHints reads how the values of a column are converted (spec 10.3).
func readHints(m *yamlfile.Map, c *pipelinev1.OutputColumn) {
	if v := m.Take("type"); v.Written() {
		c.Type = word(v, c.GetType(), columnTypes)
	}
	if v := m.Take("unit"); v.Written() {
		c.Unit = word(v, c.GetUnit(), timeUnits)
	}
	if v := m.Take("truncate"); v.Written() {
		c.Truncate, _ = v.Bool()
	}
	if v := m.Take("binary"); v.Written() {
		c.Binary = word(v, c.GetBinary(), encodings)
	}
}

// readConversions reads the attributes of relational.write about values and tables that no default stands for.
func readConversions(with *yamlfile.Map, w *pipelinev1.RelationalWrite) {
	for key, into := range map[string]*bool{
		"auto_create": &w.AutoCreate, "allow_generated": &w.AllowGenerated, "strip_nul": &w.StripNul,
	} {
		if v := with.Take(key); v.Written() {
			*into, _ = v.Bool()
		}
	}
}
