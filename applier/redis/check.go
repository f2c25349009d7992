package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// checking is one answer in the making.
type checking struct {
	target *target
	out    *applierv1.CheckResponse
}

// Check asks the server whether it can do what the outputs need: that it is there and a primary, knows the types, lets the
// user write, and will not evict our positions.
func (t *target) Check(ctx context.Context, jobs []*pipelinev1.Job) *applierv1.CheckResponse {
	c := &checking{target: t, out: &applierv1.CheckResponse{}}
	facts, err := t.info(ctx)
	if err != nil {
		c.fault(err)
		return c.out
	}
	c.server(facts)
	uses := false
	for _, job := range jobs {
		for _, o := range job.GetOutputs() {
			if o.GetConnection() == t.name {
				uses = true
				c.output(ctx, job, o)
			}
		}
	}
	if !uses {
		return c.out
	}
	if t.cluster != nil {
		c.problem(pipelinev1.Severity_SEVERITY_WARNING, "a Redis Cluster cannot commit rows and position together: after a failure "+
			"a batch is written twice, which leaves what it left the first time (at least once)", "nothing need be done; a Redis that is no cluster gives exactly once")
	}
	c.grants(ctx, jobs)
	return c.out
}

func (c *checking) problem(severity pipelinev1.Severity, message, fix string) {
	c.out.Problems = append(c.out.Problems, &pipelinev1.Problem{
		Severity: severity, Connection: c.target.name, Message: fmt.Sprintf("connection %q: %s", c.target.name, message), Fix: fix,
	})
}

func (c *checking) fault(err error) {
	f := fault.Of(c.target.told(err))
	c.out.Fault = f.Class
	c.problem(pipelinev1.Severity_SEVERITY_ERROR, err.Error(), f.Fix)
}

// info are the facts that INFO tells.
func (t *target) info(ctx context.Context) (map[string]string, error) {
	conn, err := t.hold(ctx, "")
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // it has nothing to say
	answers, err := whole(ctx, conn, []command{{args: []any{"INFO"}}})
	if err != nil {
		return nil, err
	}
	facts := map[string]string{}
	for line := range strings.Lines(answers[0].text()) {
		if name, text, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			facts[name] = text
		}
	}
	return facts, nil
}

func (c *checking) server(facts map[string]string) {
	c.out.Server = "Redis " + facts["redis_version"]
	if v := facts["valkey_version"]; v != "" {
		c.out.Server = "Valkey " + v
	}
	if c.target.cluster == nil && facts["cluster_enabled"] == "1" {
		c.problem(pipelinev1.Severity_SEVERITY_ERROR, "the server is a node of a Redis Cluster", "write cluster: true in the connection")
	}
	if facts["role"] == "slave" {
		c.problem(pipelinev1.Severity_SEVERITY_ERROR, "the server is a replica and takes no writes",
			"name its primary, which is "+facts["master_host"]+":"+facts["master_port"])
	}
	if c.target.options.wait && c.target.cluster == nil && facts["connected_slaves"] == "0" {
		then := "lanes wait until one has what they wrote"
		if !c.target.options.waitAgain {
			then = "each batch takes wait_timeout longer, and nothing is gained"
		}
		c.problem(pipelinev1.Severity_SEVERITY_WARNING, "wait_enabled asks for a replica, and no replica is attached: "+then,
			"attach a replica to the target, or write wait_enabled: false")
	}
	if policy := facts["maxmemory_policy"]; strings.HasPrefix(policy, "allkeys-") && facts["maxmemory"] != "0" {
		c.problem(pipelinev1.Severity_SEVERITY_WARNING, "the server may evict any key (maxmemory-policy "+policy+
			"), the positions of lanes among them; a lane whose position is lost loads its keys again", "set maxmemory-policy to noeviction or volatile-lru")
	}
}

// output checks what an output writes.
func (c *checking) output(ctx context.Context, job *pipelinev1.Job, o *pipelinev1.Output) {
	if _, err := c.target.Table(ctx, o); err != nil {
		f := fault.Of(err)
		c.out.Problems = append(c.out.Problems, &pipelinev1.Problem{
			Severity: pipelinev1.Severity_SEVERITY_ERROR, Job: job.GetName(), Connection: c.target.name, Path: o.GetPath(), Message: f.Error(), Fix: f.Fix,
		})
	}
}

// needed are the commands that a type needs.
var needed = map[pipelinev1.RedisType][]string{
	pipelinev1.RedisType_REDIS_TYPE_HASH:       {"hset", "del"},
	pipelinev1.RedisType_REDIS_TYPE_JSON:       {"json.set", "json.get", "del"},
	pipelinev1.RedisType_REDIS_TYPE_SET:        {"sadd", "srem"},
	pipelinev1.RedisType_REDIS_TYPE_SORTED_SET: {"zadd", "zrem"},
	pipelinev1.RedisType_REDIS_TYPE_STREAM:     {"xadd", "xdel"},
	pipelinev1.RedisType_REDIS_TYPE_STRING:     {"set", "del"},
}

// always are the commands that every lane needs.
var always = []string{"multi", "exec", "watch", "unwatch", "type", "hset", "hmget", "hdel", "info", "command", "scan", "select", "client|setname"}

// everything is what any lane may need of the server as it is known.
func (t *target) everything() []string {
	names := append(slices.Clone(always), "expire", "pexpire")
	for kind, list := range needed {
		if kind != pipelinev1.RedisType_REDIS_TYPE_JSON || t.json.Load() {
			names = append(names, list...)
		}
	}
	if t.options.wait {
		names = append(names, "wait")
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// grant is the statement that lets the connection's user run commands on keys.
func (t *target) grant(keys string, names []string) string {
	user := t.options.user
	if user == "" {
		user = "default"
	}
	return "ACL SETUSER " + user + " " + keys + " +" + strings.Join(names, " +")
}

// grants looks for commands that the user may not run. Only users who may ask (ACL DRYRUN, Redis 7) are told before the
// first lane; others find out there.
func (c *checking) grants(ctx context.Context, jobs []*pipelinev1.Job) {
	commands := slices.Clone(always)
	for _, job := range jobs {
		for _, o := range job.GetOutputs() {
			if o.GetConnection() != c.target.name {
				continue
			}
			commands = append(commands, needed[o.GetRedis().GetDataType()]...)
			if o.GetRedis().GetExpireSeconds() > 0 || slices.ContainsFunc(o.GetRelational().GetColumns(), func(x *pipelinev1.OutputColumn) bool { return x.GetColumn() == roleExpire }) {
				commands = append(commands, "expire", "pexpire")
			}
		}
	}
	if c.target.options.wait {
		commands = append(commands, "wait")
	}
	slices.Sort(commands)
	commands = slices.Compact(commands)
	missing, err := c.target.missingGrants(ctx, commands)
	if err != nil {
		c.fault(err)
		return
	}
	if len(missing) > 0 {
		user := c.target.options.user
		if user == "" {
			user = "default"
		}
		c.problem(pipelinev1.Severity_SEVERITY_ERROR, fmt.Sprintf("user %s may not run %s, or not on keys %s*", user, strings.Join(missing, ", "), own),
			c.target.grant("~"+own+"*", missing))
	}
}

// missingGrants asks with ACL DRYRUN.
func (t *target) missingGrants(ctx context.Context, names []string) ([]string, error) {
	conn, err := t.hold(ctx, "")
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // it has nothing to say
	answers, err := send(ctx, conn, []command{{args: []any{"ACL", "WHOAMI"}}, {args: []any{"COMMAND", "INFO"}}})
	if err != nil {
		return nil, err
	}
	who := answers[0].text()
	if answers[0].err != nil || who == "" {
		return nil, nil // it may not ask
	}
	dry := make([]command, len(names))
	for i, name := range names {
		dry[i] = command{args: append([]any{"ACL", "DRYRUN", who}, example(name)...)}
	}
	if answers, err = send(ctx, conn, dry); err != nil {
		return nil, err
	}
	var missing []string
	for i, a := range answers {
		// OK, or a text that says what is missing; a refusal means that it may not ask, or that the server is older.
		if a.err == nil && a.text() != "OK" && a.text() != "" {
			missing = append(missing, names[i])
		}
	}
	return missing, nil
}

// example is a command that is complete, on a key of ours.
func example(name string) []any {
	const key = own + "k"
	first, second, _ := strings.Cut(name, "|")
	line := []any{first}
	switch name {
	case "watch", "type", "del", "json.get":
		line = append(line, key)
	case "hmget", "hdel", "sadd", "srem", "zrem", "set", "expire", "pexpire":
		line = append(line, key, "1")
	case "xdel":
		line = append(line, key, "1-1")
	case "hset", "zadd", "json.set", "json.merge":
		line = append(line, key, "1", "1")
	case "xadd":
		line = append(line, key, "*", "1", "1")
	case "wait":
		line = append(line, "0", "1")
	case "select", "scan":
		line = append(line, "0")
	case "client|setname":
		line = append(line, second, clientName)
	}
	return line
}

// documents asks whether the server has JSON documents.
func (t *target) documents(ctx context.Context) (capability, error) {
	conn, err := t.hold(ctx, "")
	if err != nil {
		return capability{}, err
	}
	defer func() { _ = conn.Close() }() // it has nothing to say
	answers, err := send(ctx, conn, []command{{args: []any{"COMMAND", "INFO", "JSON.SET", "JSON.MERGE"}}})
	if err != nil {
		return capability{}, err
	}
	if err := answers[0].err; err != nil {
		return capability{}, fmt.Errorf("asking for JSON documents: %w", err)
	}
	list := answers[0].list()
	if len(list) != 2 {
		return capability{}, schemaFault("asking for JSON documents: %w", errNoAnswer)
	}
	known := func(v any) bool { l, ok := v.([]any); return ok && len(l) > 0 }
	return capability{set: known(list[0]), merge: known(list[1])}, nil
}

// Prepare has nothing to create: keys come with their first value.
func (t *target) Prepare(context.Context, []*pipelinev1.Job) *applierv1.PrepareResponse {
	return &applierv1.PrepareResponse{}
}

// errFound ends a search.
var errFound = errors.New("found")

// Empty says whether the database holds no key but our own, for jobs with initial_load: if_empty. What keys an output would
// write nobody can tell before its records are there.
func (t *target) Empty(ctx context.Context, o *pipelinev1.Output) (bool, error) {
	if _, err := t.Table(ctx, o); err != nil {
		return false, err
	}
	scan := func(ctx context.Context, c *redis.Client) error {
		for cursor := uint64(0); ; {
			keys, next, err := c.Scan(ctx, cursor, "*", 1000).Result()
			if err != nil {
				return err
			}
			if slices.ContainsFunc(keys, func(k string) bool { return !strings.HasPrefix(k, own) }) {
				return errFound
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	var err error
	if t.cluster != nil {
		err = t.cluster.ForEachMaster(ctx, scan)
	} else {
		err = scan(ctx, t.single)
	}
	if errors.Is(err, errFound) {
		return false, nil
	}
	return err == nil, classed(err)
}
