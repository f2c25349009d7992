package recorder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/proto/keyspace"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// classes are what must be on in notify-keyspace-events: events by key (K), generic (g), hash (h), module (d), expired
// (x), evicted (e) and string ($), the last for SET over a hash.
const classes = "Kghdxe$"

const parameter = "notify-keyspace-events"

// missingClasses returns what a setting lacks. A stands for g$lshzxetd.
func missingClasses(setting string) string {
	var lacks []byte
	for i := range len(classes) {
		c := classes[i]
		if strings.IndexByte(setting, c) >= 0 || (c != 'K' && strings.IndexByte(setting, 'A') >= 0) {
			continue
		}
		lacks = append(lacks, c)
	}
	return string(lacks)
}

// notEnabledError says which line is to be set, and where events come from otherwise.
type notEnabledError struct{ why string }

func (e *notEnabledError) Error() string {
	return fmt.Sprintf("%s; set on the source: %s \"%s\" (redis-cli: CONFIG SET %s %s)", e.why, parameter, classes, parameter, classes)
}

// enable turns on the events that are off, and never one off that is on. Where CONFIG is refused it finds out by trying
// whether they come. Watched says whether CONFIG tells.
func (n *Notifications) enable(ctx context.Context) (watched bool, err error) {
	setting, ok, err := n.setting(ctx)
	if err != nil {
		return false, err
	}
	if !ok {
		return false, n.try(ctx)
	}
	lacks := missingClasses(setting)
	if lacks == "" {
		return true, nil
	}
	err = n.src.ConfigSet(ctx, parameter, setting+lacks).Err()
	var refusal redis.Error
	if errors.As(err, &refusal) {
		return false, &notEnabledError{why: fmt.Sprintf("keyspace events are off (%q) and the server refuses to turn them on: %v", setting, err)}
	}
	if err != nil {
		return false, fmt.Errorf("turning keyspace events on: %w", err)
	}
	n.Log.InfoContext(ctx, "keyspace events turned on", "pipeline", n.pipeline, "before", setting, "added", lacks)
	return true, nil
}

// creation is the class of the event "new" (Redis 7.0 and newer), which precedes that of the command that made a key.
const creation = "n"

// SeesCreations says whether a job can tell c from u: its expressions see the opcode, or a writer keeps it (spec 1.3).
// For others the event "new" would only double the messages of keys that are made.
func SeesCreations(j *pipelinev1.Job) bool {
	return j.GetRowFormat() == pipelinev1.RowFormat_ROW_FORMAT_FULL || slices.ContainsFunc(j.GetOutputs(), func(o *pipelinev1.Output) bool {
		return slices.ContainsFunc(o.GetRelational().GetColumns(), func(c *pipelinev1.OutputColumn) bool { return c.GetDocument().GetOpcode() != "" })
	})
}

// tellCreations turns on the event "new" for the jobs that want it. Without it nothing is lost: made keys come as u.
func (n *Notifications) tellCreations(ctx context.Context, plan *Plan) error {
	if !plan.Creations {
		return nil
	}
	setting, ok, err := n.setting(ctx)
	if err != nil || !ok || strings.Contains(setting, creation) {
		return err
	}
	err = n.src.ConfigSet(ctx, parameter, setting+creation).Err()
	var refusal redis.Error
	switch {
	case errors.As(err, &refusal):
		n.Log.WarnContext(ctx, "made keys come with opcode u: the server does not turn class n of keyspace events on", "pipeline", n.pipeline, "reason", err)
	case err != nil:
		return fmt.Errorf("turning events of made keys on: %w", err)
	default:
		n.Log.InfoContext(ctx, "keyspace events turned on", "pipeline", n.pipeline, "before", setting, "added", creation)
	}
	return nil
}

// setting reads the parameter; ok says whether the server tells.
func (n *Notifications) setting(ctx context.Context) (setting string, ok bool, err error) {
	values, err := n.src.ConfigGet(ctx, parameter).Result()
	var refusal redis.Error
	if errors.As(err, &refusal) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("reading %s: %w", parameter, err)
	}
	setting, ok = values[parameter]
	return setting, ok, nil
}

var errTurnedOff = errors.New("somebody turned keyspace events off")

// stillEnabled finds out that somebody has turned events off.
func (n *Notifications) stillEnabled(ctx context.Context) error {
	setting, ok, err := n.setting(ctx)
	if err != nil || !ok {
		return err
	}
	if lacks := missingClasses(setting); lacks != "" {
		return fmt.Errorf("%w: %s is %q", errTurnedOff, parameter, setting)
	}
	return nil
}

// tryFor is how long events are awaited.
const tryFor = 2 * time.Second

// try makes events of a key of ours and looks whether they come: hset, del, set and expired stand for their classes.
func (n *Notifications) try(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	key := keyspace.Lease(n.pipeline, "try")
	sub, err := n.Source.Dial(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sub.Close()) }()
	defer sub.Interrupt(ctx)()
	sub.Out.Command("SUBSCRIBE", channelPrefix(n.Source.Database)+key)
	if err := sub.Out.Flush(); err != nil {
		return err
	}
	if err := sub.In.Skip(); err != nil {
		return fmt.Errorf("subscribing to keyspace events: %w", err)
	}
	for _, command := range [][]any{
		{"HSET", key, "try", "1"},
		{"DEL", key},
		{"SET", key, "1", "PX", "1"},
	} {
		if err := n.src.Do(ctx, command...).Err(); err != nil {
			return fmt.Errorf("trying whether keyspace events come: %w", err)
		}
	}
	if err := sleep(ctx, 5*time.Millisecond); err != nil {
		return err
	}
	if err := n.src.Exists(ctx, key).Err(); err != nil { // touches the key, which expires it
		return fmt.Errorf("trying whether keyspace events come: %w", err)
	}
	awaited := []string{"hset", "del", "set", "expired"}
	for len(awaited) > 0 {
		v, err := sub.In.Value()
		if err != nil {
			if ctx.Err() == nil {
				return err
			}
			return &notEnabledError{why: fmt.Sprintf("the server refuses CONFIG, and its events %s do not come", strings.Join(awaited, ", "))}
		}
		if len(v.Array) == 3 {
			awaited = slices.DeleteFunc(awaited, func(name string) bool { return name == v.Array[2].Text() })
		}
	}
	return nil
}
