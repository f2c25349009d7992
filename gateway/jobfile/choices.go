package jobfile

import (
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

// choices are the attributes that a job may write once for all its outputs, and an output for itself.
type choices struct {
	missing  pipelinev1.OnMissing
	filtered pipelinev1.OnFiltered
	empty    pipelinev1.EmptyAsNull
	overflow pipelinev1.NumericOverflow
}

// readChoices reads what is written in a map; the rest stays as it is in without.
func readChoices(m *yamlfile.Map, without choices) choices {
	c := without
	if v := m.Take("on_missing_field"); v.Written() {
		c.missing = readMissing(v)
	}
	if v := m.Take("on_filtered"); v.Written() {
		c.filtered = word(v, c.filtered, names[pipelinev1.OnFiltered]{
			{"keep", pipelinev1.OnFiltered_ON_FILTERED_KEEP}, {"delete", pipelinev1.OnFiltered_ON_FILTERED_DELETE},
		})
	}
	if v := m.Take("empty_as_null"); v.Written() {
		c.empty = word(v, c.empty, names[pipelinev1.EmptyAsNull]{
			{"non_text", pipelinev1.EmptyAsNull_EMPTY_AS_NULL_NON_TEXT},
			{"always", pipelinev1.EmptyAsNull_EMPTY_AS_NULL_ALWAYS},
			{"never", pipelinev1.EmptyAsNull_EMPTY_AS_NULL_NEVER},
		})
	}
	if v := m.Take("numeric_overflow"); v.Written() {
		c.overflow = word(v, c.overflow, names[pipelinev1.NumericOverflow]{
			{"reject", pipelinev1.NumericOverflow_NUMERIC_OVERFLOW_REJECT}, {"round", pipelinev1.NumericOverflow_NUMERIC_OVERFLOW_ROUND},
		})
	}
	return c
}

// names are words and what they mean.
type names[T any] []struct {
	word  string
	value T
}

// word reads one of some words; where it is none of them, that is reported and the answer is without.
func word[T any](v yamlfile.Value, without T, among names[T]) T {
	words := make([]string, 0, len(among))
	for _, n := range among {
		words = append(words, n.word)
	}
	text, ok := v.Choice(words...)
	for _, n := range among {
		if ok && n.word == text {
			return n.value
		}
	}
	return without
}

// readImage reads before_image (spec 11.2), which may stand at the top of the job or with its source.
func (j *Job) readImage(places ...yamlfile.Value) {
	written := false
	for _, v := range places {
		if !v.Written() {
			continue
		}
		if written {
			v.Error("write it once, at the top of the job", "before_image is written twice")
			return
		}
		written = true
		j.Spec.BeforeImage = word(v, pipelinev1.BeforeImage_BEFORE_IMAGE_UNSPECIFIED, names[pipelinev1.BeforeImage]{
			{"keys", pipelinev1.BeforeImage_BEFORE_IMAGE_KEYS},
			{"full", pipelinev1.BeforeImage_BEFORE_IMAGE_FULL},
			{"none", pipelinev1.BeforeImage_BEFORE_IMAGE_NONE},
		})
	}
}
