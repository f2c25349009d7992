package jsonserver

// Module is the module that a server imitates.
type Module struct {
	name     string // in MODULE LIST
	version  int
	class    string // of its events in notify-keyspace-events
	commands map[string]*command
}

// The modules. They differ in the class of their events (spec 1.4) and in JSON.MERGE, which only RedisJSON has. Answers and
// refusals are those of valkey-json 1.0.
var (
	RedisJSON  = &Module{name: "ReJSON", version: 20_800, class: "d", commands: commands(true)}
	ValkeyJSON = &Module{name: "json", version: 10_002, class: "g", commands: commands(false)}
)

// command is a command on documents.
type command struct {
	name   string
	arity  int // as in COMMAND INFO: with the name; negative: at least
	most   int // arguments at most, 0: any number
	stride int // 0: one key; n: a key every n arguments
	writes bool
	run    func(x *execution, args []string) error
}

func commands(merge bool) map[string]*command {
	list := []*command{
		{name: "JSON.SET", arity: -4, most: 5, writes: true, run: set},
		{name: "JSON.MSET", arity: -4, stride: 3, writes: true, run: mset},
		{name: "JSON.GET", arity: -2, run: get},
		{name: "JSON.DEL", arity: -2, most: 3, writes: true, run: del},
		{name: "JSON.FORGET", arity: -2, most: 3, writes: true, run: del},
		{name: "JSON.NUMINCRBY", arity: 4, writes: true, run: incrBy},
		{name: "JSON.NUMMULTBY", arity: 4, writes: true, run: multBy},
		{name: "JSON.STRAPPEND", arity: -3, most: 4, writes: true, run: strAppend},
		{name: "JSON.TOGGLE", arity: -2, most: 3, writes: true, run: toggle},
		{name: "JSON.CLEAR", arity: -2, most: 3, writes: true, run: clearAt},
		{name: "JSON.ARRAPPEND", arity: -4, writes: true, run: arrAppend},
		{name: "JSON.ARRINSERT", arity: -5, writes: true, run: arrInsert},
		{name: "JSON.ARRPOP", arity: -2, most: 4, writes: true, run: arrPop},
		{name: "JSON.ARRTRIM", arity: 5, writes: true, run: arrTrim},
	}
	if merge {
		list = append(list, &command{name: "JSON.MERGE", arity: 4, writes: true, run: merged})
	}
	all := make(map[string]*command, len(list))
	for _, k := range list {
		all[k.name] = k
	}
	return all
}

// check refuses a command of too few or too many arguments.
func (k *command) check(args []string) error {
	n := len(args)
	switch {
	case k.arity > 0 && n != k.arity, n < -k.arity, k.most > 0 && n > k.most, k.stride > 0 && (n-1)%k.stride != 0:
		return fail("ERR wrong number of arguments for '%s' command", k.name)
	}
	return nil
}

// keys are the keys of a command that passed check.
func (k *command) keys(args []string) []string {
	if k.stride == 0 {
		return args[1:2]
	}
	var keys []string
	for i := 1; i < len(args); i += k.stride {
		keys = append(keys, args[i])
	}
	return keys
}
