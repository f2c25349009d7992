package configfile

import (
	"math"
	"slices"
	"strconv"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/yamlfile"
)

// The connection types of spec 2.3, and sqlite.
const (
	PostgreSQL = "postgresql"
	MySQL      = "mysql"
	MariaDB    = "mariadb"
	SQLServer  = "sqlserver"
	Oracle     = "oracle"
	DB2        = "db2"
	SQLite     = "sqlite"
	Cassandra  = "cassandra"
	Redis      = "redis"
)

// types are all known types, available those with code behind them. The others may stand in a config.yaml; a job that
// writes to one of them is refused.
var (
	types      = []string{PostgreSQL, SQLite, Redis, MySQL, MariaDB, SQLServer, Oracle, DB2, Cassandra}
	available  = []string{PostgreSQL, SQLite, MySQL, MariaDB, SQLServer, Oracle, Cassandra, Redis}
	relational = []string{PostgreSQL, SQLite, MySQL, MariaDB, SQLServer, Oracle, DB2}
)

// Relational says whether relational.write can write to connections of a type.
func Relational(kind string) bool { return slices.Contains(relational, kind) }

// Available says whether this version can use connections of a type.
func Available(kind string) bool { return slices.Contains(available, kind) }

// AvailableTargets are the types that relational.write can write to in this version.
func AvailableTargets() []string {
	return slices.DeleteFunc(slices.Clone(available), func(t string) bool { return !Relational(t) })
}

const maxPort = 65535

// reader reads the attributes of one connection.
type reader struct {
	m       *yamlfile.Map
	out     *pipelinev1.Connection
	secrets *[]clearSecret
}

// readConnection reads a connection; nil when not even its type is known. kind is the type when none is written.
func readConnection(name string, v yamlfile.Value, kind string, secrets *[]clearSecret) *pipelinev1.Connection {
	m, ok := v.Map()
	if !ok {
		return nil
	}
	var typ yamlfile.Value
	if kind == "" {
		typ = m.Require("type", "write type: "+strings.Join(available, ", type: ")+" …")
	} else {
		typ = m.Take("type")
	}
	if typ.Present() {
		if kind, ok = typ.Choice(types...); !ok {
			return nil
		}
	}
	if kind == "" {
		return nil
	}
	r := &reader{m: m, secrets: secrets, out: &pipelinev1.Connection{
		Name: name, Type: kind, Args: make(map[string]string), Options: make(map[string]string),
	}}
	switch kind {
	case Redis:
		r.redis()
	case SQLite:
		r.sqlite()
	case Cassandra:
		r.cassandra()
	default:
		r.database(kind)
	}
	return r.out
}

func (r *reader) database(kind string) {
	r.out.Host = r.require("host", "write host: <name or address of the database server>")
	r.port("write port: <port of the database server>", true)
	r.args()
	if kind == Oracle && r.out.Args["service_name"] != "" {
		if v := r.m.Take("database"); v.Present() {
			v.Error("remove one of the two", "database and service_name exclude each other")
		}
	} else {
		r.out.Database = r.require("database", "write database: <name of the database>")
	}
	r.out.User = r.require("user", "write user: <user name>")
	r.password()
	r.pool()
	if v := r.m.Take("driver"); v.Present() {
		if _, ok := v.Text(); ok {
			v.Warn("remove it", "driver has no effect: Slipstream brings its own driver for %s", kind)
		}
	}
	if kind == Oracle {
		thick, folder := r.m.Take("oracle_thick_mode"), r.m.Take("oracle_thick_mode_lib_dir")
		if thick.Present() {
			thick.Bool()
		}
		if folder.Present() {
			folder.Text()
		}
		for _, v := range []yamlfile.Value{thick, folder} {
			if v.Present() {
				v.Warn("remove it", "%s has no effect: Slipstream needs no Oracle client", v.Key())
			}
		}
	}
	r.m.Done(yamlfile.Hints{Elsewhere: tlsHints})
}

// tlsHints tell where TLS attributes belong that users write at the wrong level (spec 2.3).
var tlsHints = map[string]string{
	"sslmode": "write it below query_args:", "sslrootcert": "write it below query_args:",
	"sslcert": "write it below query_args:", "sslkey": "write it below query_args:",
	"ssl_ca": "write it below connect_args:", "ssl_cert": "write it below connect_args:",
	"ssl_key": "write it below connect_args:", "ssl_key_password": "write it below connect_args:",
	"ssl_verify_cert": "write it below connect_args:", "ssl_verify_identity": "write it below connect_args:",
	"ssl_disabled": "write it below connect_args:", "service_name": "write it below query_args:",
	"hosts": "write host: with one name",
}

func (r *reader) sqlite() {
	path, database := r.m.Take("path"), r.m.Take("database")
	switch {
	case path.Present() && database.Present():
		database.Error("remove one of the two", "path and database mean the same")
	case database.Present():
		r.out.Database, _ = database.Text()
	case path.Present():
		r.out.Database, _ = path.Text()
	default:
		r.m.Require("path", "write path: <file of the database>")
	}
	r.number("busy_timeout", 1, math.MaxInt32)
	r.number("statement_timeout", 1, math.MaxInt32)
	if v := r.m.Take("synchronous"); v.Written() {
		if mode, ok := v.Choice("FULL", "EXTRA", "NORMAL"); ok {
			r.out.Options["synchronous"] = mode
		}
	}
	r.flag("foreign_keys")
	r.debug()
	r.m.Done(yamlfile.Hints{Elsewhere: map[string]string{
		"db_connection_pool_size": "remove it: SQLite has one writer at a time",
		"connect_args":            "remove it: write busy_timeout, synchronous or foreign_keys beside path:",
		"query_args":              "remove it: write busy_timeout, synchronous or foreign_keys beside path:",
		"host":                    "remove it: SQLite is a file; write path:", "port": "remove it: SQLite is a file; write path:",
		"user": "remove it: SQLite has no users", "password": "remove it: SQLite has no users",
		"file": "write path:",
	}})
}

func (r *reader) redis() {
	if sentinel := r.m.Take("sentinel"); sentinel.Written() {
		r.sentinel(sentinel)
		r.out.Host = r.text("host")
		r.port("", false)
	} else {
		r.out.Host = r.require("host", "write host: <name or address of the Redis server>")
		r.port("write port: <port of the Redis server, usually 6379>", true)
	}
	r.flag("cluster")
	r.out.User = r.text("user")
	r.password()
	r.certificates()
	for _, key := range []string{"socket_timeout", "socket_connect_timeout", "health_check_interval"} {
		r.number(key, 1, math.MaxInt32)
	}
	r.flag("socket_keepalive")
	db, database := r.m.Take("db"), r.m.Take("database")
	if db.Present() && database.Present() {
		database.Error("remove one of the two", "db and database mean the same")
	}
	for _, v := range []yamlfile.Value{db, database} {
		if v.Present() {
			r.out.Database = numeric(v, 0, math.MaxInt32)
		}
	}
	r.m.Done(yamlfile.Hints{
		Elsewhere: map[string]string{
			"ssl": "write cacert: <file>; it turns TLS on", "tls": "write cacert: <file>; it turns TLS on",
			"hosts": "write host: with one name",
		},
	})
}

// certificates reads the files of TLS and the password of the key.
func (r *reader) certificates() {
	r.clear("key_password", r.option("key_password"))
	for _, key := range []string{"cacert", "cert", "key"} {
		r.option(key)
	}
	r.pair("key", "cert")
	r.pair("cert", "key")
	r.pair("key_password", "key")
}

// sentinel reads where the sentinels are, and which master they are asked for.
func (r *reader) sentinel(v yamlfile.Value) {
	m, ok := v.Map()
	if !ok {
		return
	}
	if master := m.Require("master", "write master: <name that the sentinels know>"); master.Present() {
		r.out.Options["sentinel_master"], _ = master.Text()
	}
	r.out.Options["sentinel_nodes"] = strings.Join(texts(m.Require("nodes", "write nodes: [<host>:<port>, …]")), ",")
	m.Done(yamlfile.Hints{})
}

// texts are the members of a list of texts that may not be empty.
func texts(v yamlfile.Value) []string {
	if !v.Present() {
		return nil
	}
	items, ok := v.Items()
	if ok && len(items) == 0 {
		v.Error("write at least one", "%s is empty", v.Key())
	}
	var out []string
	for _, item := range items {
		if text, ok := item.Text(); ok {
			out = append(out, text)
		}
	}
	return out
}

// Beyond names the attribute of a connection of type redis that only targets may have; empty where there is none.
func Beyond(c *pipelinev1.Connection) string {
	switch o := c.GetOptions(); {
	case o["cluster"] == "true":
		return "cluster"
	case o["sentinel_master"] != "":
		return "sentinel"
	default:
		return ""
	}
}

func (r *reader) cassandra() {
	r.out.Host = strings.Join(texts(r.m.Require("hosts", "write hosts: [<name>, …]")), ",")
	r.port("", false)
	if r.out.GetPort() == "" {
		r.out.Port = "9042"
	}
	r.out.Database, r.out.User = r.text("database"), r.text("user")
	r.password()
	r.certificates()
	r.option("local_dc")
	r.option("consistency")
	r.m.Done(yamlfile.Hints{})
}

func (r *reader) pool() {
	r.number("db_connection_pool_size", 1, math.MaxInt32)
	r.number("statement_timeout", 1, math.MaxInt32)
	r.debug()
}

func (r *reader) debug() {
	if v := r.m.Take("debug"); v.Present() {
		if on, ok := v.Bool(); ok && on {
			v.Warn("remove it; slipstream test shows the statements of a job", "debug has no effect: statements are not logged")
		}
	}
}

func (r *reader) require(key, fix string) string {
	if v := r.m.Require(key, fix); v.Present() {
		s, _ := v.Text()
		return s
	}
	return ""
}

func (r *reader) text(key string) string {
	if v := r.m.Take(key); v.Present() {
		s, _ := v.Text()
		return s
	}
	return ""
}

func (r *reader) option(key string) yamlfile.Value {
	v := r.m.Take(key)
	if v.Present() {
		if s, ok := v.Text(); ok {
			r.out.Options[key] = s
		}
	}
	return v
}

func (r *reader) pair(key, needs string) {
	if v := r.m.Take(key); v.Present() && !r.m.Take(needs).Present() {
		v.Error("add "+needs+":", "%s needs %s", key, needs)
	}
}

func (r *reader) number(key string, low, high int64) {
	if v := r.m.Take(key); v.Present() {
		if s := numeric(v, low, high); s != "" {
			r.out.Options[key] = s
		}
	}
}

func (r *reader) flag(key string) {
	if v := r.m.Take(key); v.Written() {
		if on, ok := v.Bool(); ok {
			r.out.Options[key] = strconv.FormatBool(on)
		}
	}
}

func (r *reader) port(fix string, required bool) {
	v := r.m.Take("port")
	if required {
		v = r.m.Require("port", fix)
	}
	if v.Present() {
		r.out.Port = numeric(v, 1, maxPort)
	}
}

// numeric is a number in a range, or a reference to one that is resolved later (spec 2.4).
func numeric(v yamlfile.Value, low, high int64) string {
	if reference, ok := v.Reference(); ok {
		return reference
	}
	n, ok := v.Whole(low, high)
	if !ok {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// args merges connect_args and query_args: users write either (A5).
func (r *reader) args() {
	from := make(map[string]string)
	for _, key := range []string{"connect_args", "query_args"} {
		v := r.m.Take(key)
		if !v.Present() {
			continue
		}
		m, ok := v.Map()
		if !ok {
			continue
		}
		for _, e := range m.Entries() {
			text, ok := e.Value.Loose()
			if !ok {
				continue
			}
			if other, written := r.out.Args[e.Key]; written && other != text {
				e.Value.Error("write it once", "%s has another value below %s", e.Key, from[e.Key])
				continue
			}
			r.out.Args[e.Key], from[e.Key] = text, key
		}
	}
}

func (r *reader) password() {
	v := r.m.Take("password")
	if !v.Present() {
		return
	}
	r.out.Password, _ = v.Text()
	r.clear("password", v)
}
