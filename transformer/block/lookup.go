package block

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/transformer/expression"
	"slipstream/transformer/nearest"
	"slipstream/transformer/path"
	"slipstream/transformer/record"
)

// Looker reads from Redis for lookup blocks.
type Looker interface {
	// Look runs commands on a connection, at most size in one round trip, and gives one reply each, in order. A server
	// that is away is waited for; the error is that of ctx.
	Look(ctx context.Context, connection string, commands [][]string, size int) ([]Reply, error)
}

// Reply is what Redis answered to a command.
type Reply struct {
	// Value is nil, an int64, a string, or a list of such, as RESP2 has them.
	Value any
	// Err is the error that Redis gave instead.
	Err error
}

// reading are the commands that read and do nothing else (spec 4.8).
var reading = strings.Fields(`BITCOUNT BITPOS EXISTS EXPIRETIME GEODIST GEOHASH GEOPOS GET GETBIT GETRANGE HEXISTS HGET HGETALL HKEYS
	HLEN HMGET HSTRLEN HVALS JSON.ARRINDEX JSON.ARRLEN JSON.GET JSON.MGET JSON.OBJKEYS JSON.OBJLEN JSON.STRLEN JSON.TYPE LINDEX
	LLEN LPOS LRANGE MGET PEXPIRETIME PTTL SCARD SDIFF SINTER SISMEMBER SMEMBERS SMISMEMBER STRLEN SUNION TTL TYPE XLEN XRANGE
	XREVRANGE ZCARD ZCOUNT ZLEXCOUNT ZMSCORE ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE
	ZREVRANK ZSCORE`)

// lookup reads from a Redis and puts the reply in a field (spec 4.8).
type lookup struct {
	place      string
	connection string
	cmd        string
	args       []*expression.Expression
	when       *expression.Expression
	field      path.Path
	size       int
	replies    expression.Cache
}

func (c *compiler) lookup(x *pipelinev1.RedisLookup) block {
	b := &lookup{place: c.at, connection: x.GetConnection(), cmd: x.GetCmd(), size: int(x.GetBatchSize())}
	if b.size == 0 {
		b.size = 200
	}
	if !slices.Contains(reading, b.cmd) {
		fix := "use a command that reads, such as GET, MGET, HGET, HMGET, HGETALL, SMEMBERS, ZRANGE or JSON.GET"
		if near, ok := nearest.Name(b.cmd, reading); ok {
			fix = "did you mean " + near + "? " + fix
		}
		c.found.Error(c.at+".cmd", fix, "%s is no command that only reads", b.cmd)
	}
	for i, arg := range x.GetArgs() {
		b.args = append(b.args, c.cached(arg, fmt.Sprintf("%s.args[%d]", c.at, i), x.GetCache(), c.at+".cache"))
	}
	if len(b.args) == 0 {
		c.found.Error(c.at+".args", "write the key, and what else the command takes, as expressions", "%s has no arguments", b.cmd)
	}
	if x.GetWhen() != nil {
		b.when = c.expression(x.GetWhen(), c.at+".when.expression")
		c.lintComparison(x.GetWhen(), c.at+".when.expression")
	}
	if x.GetLookupCache() != nil {
		b.replies = cacheOf(x.GetLookupCache())
	}
	b.field = c.field(x.GetField(), c.at+".field")
	c.makes(x.GetField())
	return b
}

// apply stands for the block where nobody reads: what it would have put there is not known.
func (b *lookup) apply(_ *expression.Runner, rec *Record) (bool, error) { return true, b.unknown(rec) }

func (b *lookup) unknown(rec *Record) error {
	field := rec.Resolve(b.field)
	if err := rec.put(field, nil); err != nil {
		return err
	}
	if rec.Deleted {
		rec.mark(field, true)
	}
	return nil
}

func (b *lookup) known(k *Knowledge) { k.set(b.field, false) }

func (b *lookup) mentions() (paths []path.Path) {
	for _, arg := range b.args {
		paths = append(paths, arg.References()...)
	}
	if b.when != nil {
		paths = append(paths, b.when.References()...)
	}
	return paths
}

// wanted tells whether a record is looked up. An error in when skips the lookup.
func (b *lookup) wanted(r *expression.Runner, rec *Record) bool {
	if b.when == nil {
		return true
	}
	if rec.Missing(b.when.References()) {
		return false
	}
	value, err := r.Evaluate(b.when, rec.Env(b.when.Draws(), b.place+".when"), rec.Root)
	return err == nil && record.Truthy(value)
}

var errUnknown = errors.New("an argument is not on the record of the delete")

// command is what is asked for a record: errUnknown where a delete does not tell.
func (b *lookup) command(r *expression.Runner, rec *Record) ([]string, error) {
	command := []string{b.cmd}
	for i, arg := range b.args {
		if rec.Missing(arg.References()) {
			return nil, errUnknown
		}
		value, err := r.Evaluate(arg, rec.Env(arg.Draws(), fmt.Sprintf("%s.args[%d]", b.place, i)), rec.Root)
		if err == nil {
			command, err = spread(command, value)
		}
		if err != nil {
			if rec.Deleted && rec.Null(arg.References()) {
				return nil, errUnknown // spec 4.1
			}
			return nil, fmt.Errorf("argument %d of %s: %w", i+1, b.cmd, err)
		}
	}
	return command, nil
}

// spread appends an argument; a list is several.
func spread(command []string, value any) ([]string, error) {
	list, is := value.([]any)
	if !is {
		list = []any{value}
	}
	for _, v := range list {
		if v == nil {
			return nil, errors.New("it is null")
		}
		command = append(command, record.Text(v))
	}
	return command, nil
}

// put sets the field of a record to a reply.
func (b *lookup) put(rec *Record, reply Reply, command []string) error {
	if reply.Err != nil {
		return fmt.Errorf("%s: %w", strings.Join(command, " "), reply.Err)
	}
	value := b.value(reply.Value)
	field := rec.Resolve(b.field)
	if err := rec.put(field, value); err != nil {
		return err
	}
	if rec.Deleted {
		rec.mark(field, false)
	}
	return nil
}

// value is a reply as records have it: HGETALL gives an object, lists are lists, all else is text or a number.
func (b *lookup) value(reply any) any {
	switch v := reply.(type) {
	case string:
		if utf8.ValidString(v) {
			return v
		}
		return base64.StdEncoding.EncodeToString([]byte(v)) // as hash fields (spec 1.6)
	case int64:
		return record.Integer(v)
	case []any:
		if b.cmd == "HGETALL" && len(v)%2 == 0 {
			object := make(map[string]any, len(v)/2)
			for i := 0; i < len(v); i += 2 {
				object[fmt.Sprint(b.value(v[i]))] = b.value(v[i+1])
			}
			return object
		}
		list := make([]any, len(v))
		for i := range v {
			list[i] = b.value(v[i])
		}
		return list
	}
	return nil
}
