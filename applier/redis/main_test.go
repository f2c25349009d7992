package redis_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"slipstream/applier"
	"slipstream/applier/redis"
	"slipstream/applier/value"
	"slipstream/deploy/dev/devserver"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a Redis with what the tests want of it.
type server struct {
	*goredis.Client
	addr string
}

// newServer starts a private Redis.
func newServer(t testing.TB, args ...string) *server {
	t.Helper()
	return clientOf(t, devserver.Redis(t, devserver.RedisOptions{Args: args}).Addr)
}

func clientOf(t testing.TB, addr string) *server {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: addr, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return &server{c, addr}
}

// do runs a command on the server.
func (s *server) do(t testing.TB, args ...any) any {
	t.Helper()
	v, err := s.Do(t.Context(), args...).Result()
	if err != nil && !errors.Is(err, goredis.Nil) {
		t.Fatalf("%v: %v", args, err)
	}
	return v
}

func connection(t testing.TB, addr string) *pipelinev1.Connection {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return &pipelinev1.Connection{Name: "cache", Type: "redis", Host: host, Port: port, Options: map[string]string{}}
}

func settings() *pipelinev1.Settings {
	return &pipelinev1.Settings{WriteBatchSize: 200, RetryOnReplicaFailure: true, UseNativeJsonMerge: true, WaitTimeout: 1000}
}

func connect(t testing.TB, c *pipelinev1.Connection, s *pipelinev1.Settings) applier.Target {
	t.Helper()
	target, err := redis.Dialect{}.Connect(t.Context(), c, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	})
	return target
}

func lane(partition uint32) *flowv1.Lane {
	return &flowv1.Lane{Source: "s1", Pipeline: "p", Job: "pumps", Connection: "cache", Layout: 4, Partition: partition}
}

// output makes an output of a type; its columns are named, keys with a star.
func output(kind pipelinev1.RedisType, columns string, how ...func(*pipelinev1.Output)) *pipelinev1.Output {
	w := &pipelinev1.RelationalWrite{Table: "key.key"}
	for name := range strings.FieldsSeq(columns) {
		bare := strings.TrimPrefix(name, "*")
		w.Columns = append(w.Columns, &pipelinev1.OutputColumn{Column: bare, Key: bare != name})
	}
	o := &pipelinev1.Output{
		Path: "output[0]", Connection: "cache", Writer: &pipelinev1.Output_Relational{Relational: w},
		Redis: &pipelinev1.RedisForm{DataType: kind},
	}
	for _, f := range how {
		f(o)
	}
	return o
}

func merging(o *pipelinev1.Output) { o.Redis.OnUpdate = pipelinev1.OnUpdate_ON_UPDATE_MERGE }

func expiring(seconds uint64) func(*pipelinev1.Output) {
	return func(o *pipelinev1.Output) { o.Redis.ExpireSeconds = seconds }
}

// rows are a write of rows of texts, nil for null, with the kinds of the record.
func rows(t testing.TB, target applier.Target, o *pipelinev1.Output, verb applier.Verb, texts ...[]any) *applier.Write {
	t.Helper()
	table, err := target.Table(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	w := &applier.Write{Table: table, Verb: verb, Values: &applier.Values{Count: len(texts), Columns: make([]applier.Column, len(table.Columns))}}
	for i := range table.Columns {
		w.Columns = append(w.Columns, i)
	}
	for n, row := range texts {
		w.Rows = append(w.Rows, int32(n))
		for i := range table.Columns {
			c := &w.Values.Columns[i]
			kind, text := applierv1.ValueKind_VALUE_KIND_UNSPECIFIED, []byte(nil)
			if i < len(row) && row[i] != nil {
				kind, text = applierv1.ValueKind_VALUE_KIND_BYTES, []byte(row[i].(string))
			}
			start := len(c.Text)
			out, null, err := value.Convert(c.Text, &table.Columns[i].Type, kind, text)
			if err != nil {
				t.Fatal(err)
			}
			c.Text = out
			c.Start, c.End = append(c.Start, uint32(start)), append(c.End, uint32(len(out)))
			state := applier.Present
			if null {
				state = applier.Null
			}
			c.States = append(c.States, state)
		}
	}
	return w
}

func at(n uint64) *changev1.Position {
	return &changev1.Position{Main: &changev1.StreamId{Ms: n}, Side: &changev1.StreamId{}}
}

// open opens a lane.
func open(t testing.TB, target applier.Target, partition uint32) (applier.Session, *flowv1.Opened) {
	t.Helper()
	s, opened, err := target.OpenLane(t.Context(), lane(partition), "me")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, opened
}

// commit writes one batch from where the lane is to n.
func commit(t testing.TB, s applier.Session, from, to uint64, writes ...*applier.Write) error {
	t.Helper()
	txn, err := s.Begin(t.Context(), at(from), at(to), nil)
	if err != nil {
		return err
	}
	for _, w := range writes {
		if err := txn.Write(t.Context(), w); err != nil {
			if rerr := txn.Rollback(); rerr != nil {
				t.Error(rerr)
			}
			return err
		}
	}
	if err := txn.Commit(t.Context()); err != nil {
		if rerr := txn.Rollback(); rerr != nil {
			t.Error(rerr)
		}
		return err
	}
	return nil
}
