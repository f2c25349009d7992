package configure

import (
	"context"
	"fmt"
	"strings"

	capturev1 "slipstream/proto/slipstream/capture/v1"
)

const notify = "notify-keyspace-events"

// classes are the classes of keyspace events that the recorder listens to; A stands for all but K.
const classes = "Kghdxe$"

// missing returns what a setting lacks.
func missing(setting string) string {
	lacks := ""
	for _, c := range classes {
		if !strings.ContainsRune(setting, c) && (c == 'K' || !strings.ContainsRune(setting, 'A')) {
			lacks += string(c)
		}
	}
	return lacks
}

// events sees to it that the source tells of changes. Classes that are on stay on.
func (s *server) events(ctx context.Context) {
	f := &capturev1.Finding{Subject: notify, State: good}
	defer s.find(f)
	byHand := fmt.Sprintf("set on the source: %s \"%s\"", notify, classes)
	setting, told := s.parameters[notify]
	switch {
	case !s.recorded:
		f.Found, f.Message = fmt.Sprintf("%q", setting), "every job reads a stream that the application writes: no events are needed"
		return
	case !told:
		f.State, f.Found, f.Wanted = warning, "unknown", classes
		f.Message, f.Fix = fmt.Sprintf("the server does not tell (%v); the recorder will try whether events come", s.configRefused), byHand
		return
	}
	f.Found = fmt.Sprintf("%q", setting)
	lacks := missing(setting)
	if lacks == "" {
		return
	}
	f.Wanted = setting + lacks
	if s.DryRun {
		f.State, f.Message = warning, "classes "+lacks+" are off; configure turns them on, and so does the recorder"
		f.Fix = byHand
		return
	}
	if err := s.rdb.ConfigSet(ctx, notify, setting+lacks).Err(); err != nil {
		f.State, f.Message, f.Fix = failure, fmt.Sprintf("classes %s are off and the server refuses to turn them on: %v", lacks, err), byHand
		return
	}
	f.State, f.Message = changed, "classes "+lacks+" were off"
	f.Fix = "write it into the server's configuration too, so that a restart keeps it"
}
