package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/proto/secret"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// options are the attributes of a connection of type redis (spec 2.3), and the settings that concern it (spec 2.5).
type options struct {
	addr      string        // host:port
	user      string        // default: the default user
	password  string        //
	database  int           // default 0
	timeout   time.Duration // socket_timeout, default 10s
	connect   time.Duration // socket_connect_timeout, default 2s
	keepAlive bool          // socket_keepalive, default true
	idle      time.Duration // health_check_interval: older idle connections are not used again; default 60s
	pool      int           // connections at most; default 64
	tls       *tls.Config   // nil: none

	cluster bool     // cluster: the server is a node of a Redis Cluster
	master  string   // sentinel: name of the master
	nodes   []string // sentinel: host:port of each

	positionTable string // default slipstream_position
	rowTable      string // default slipstream_row
	wait          bool   // wait_enabled
	waitTimeout   time.Duration
	waitAgain     bool // retry_on_replica_failure
	nativeMerge   bool // use_native_json_merge
}

const defaultPool = 64

func readOptions(conn *pipelinev1.Connection, s *pipelinev1.Settings) (options, error) {
	r := optionReader{options: options{
		user: conn.GetUser(), password: conn.GetPassword(), timeout: 10 * time.Second, connect: 2 * time.Second, keepAlive: true,
		idle: time.Minute, pool: defaultPool,
		positionTable: s.GetPositionTable(), rowTable: s.GetRowTable(),
		wait: s.GetWaitEnabled(), waitTimeout: time.Duration(s.GetWaitTimeout()) * time.Millisecond,
		waitAgain: s.GetRetryOnReplicaFailure(), nativeMerge: s.GetUseNativeJsonMerge(),
	}}
	if r.positionTable == "" {
		r.positionTable = "slipstream_position"
	}
	if r.rowTable == "" {
		r.rowTable = "slipstream_row"
	}
	if r.waitTimeout <= 0 {
		r.waitTimeout = time.Second
	}
	options := conn.GetOptions()
	names := make([]string, 0, len(options))
	for name := range options {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		r.set(name, options[name])
	}
	for name := range conn.GetArgs() {
		r.problem("%s: a redis connection has no connect_args and no query_args", name)
	}
	if conn.GetDatabase() != "" {
		r.number("db", conn.GetDatabase(), &r.database)
	}
	port := 6379
	if conn.GetPort() != "" {
		r.number("port", conn.GetPort(), &port)
	}
	if conn.GetHost() == "" && r.master == "" {
		r.problem("host is missing")
	}
	r.addr = net.JoinHostPort(conn.GetHost(), strconv.Itoa(port))
	switch {
	case r.cluster && r.master != "":
		r.problem("cluster and sentinel exclude each other")
	case r.cluster && r.database != 0:
		r.problem("a Redis Cluster has the database 0 alone")
	case r.master != "" && len(r.nodes) == 0:
		r.problem("sentinel has no nodes")
	}
	if r.ca != "" || r.cert != "" || r.key != "" || r.keyPassword != "" {
		config, err := secret.TLS(conn.GetHost(), r.ca, r.cert, r.key, r.keyPassword)
		if err != nil {
			r.problems = append(r.problems, err)
		}
		r.tls = config
	}
	if len(r.problems) > 0 {
		return r.options, schemaFault("connection %q: %w", conn.GetName(), errors.Join(r.problems...)).
			WithFix("correct the connection in config.yaml")
	}
	return r.options, nil
}

// optionReader gathers what is wrong.
type optionReader struct {
	options
	ca, cert, key, keyPassword string
	problems                   []error
}

func (r *optionReader) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf(format, args...))
}

func (r *optionReader) set(name, text string) {
	switch name {
	case "db":
		r.number(name, text, &r.database)
	case "db_connection_pool_size":
		r.number(name, text, &r.pool)
	case "socket_timeout":
		r.seconds(name, text, &r.timeout)
	case "socket_connect_timeout":
		r.seconds(name, text, &r.connect)
	case "health_check_interval":
		r.seconds(name, text, &r.idle)
	case "socket_keepalive":
		r.flag(name, text, &r.keepAlive)
	case "cluster":
		r.flag(name, text, &r.cluster)
	case "sentinel_master":
		r.master = text
	case "sentinel_nodes":
		for node := range strings.SplitSeq(text, ",") {
			if _, _, err := net.SplitHostPort(node); err != nil {
				node = net.JoinHostPort(node, "26379")
			}
			r.nodes = append(r.nodes, node)
		}
	case "cacert":
		r.ca = text
	case "cert":
		r.cert = text
	case "key":
		r.key = text
	case "key_password":
		r.keyPassword = text
	default:
		r.problem("%s is not an attribute of a redis connection", name)
	}
}

func (r *optionReader) number(name, text string, to *int) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		r.problem("%s must be a number, 0 or more", name)
		return
	}
	*to = n
}

func (r *optionReader) seconds(name, text string, to *time.Duration) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f <= 0 || f > 86400 {
		r.problem("%s must be a number of seconds above 0", name)
		return
	}
	*to = time.Duration(f * float64(time.Second))
}

func (r *optionReader) flag(name, text string, to *bool) {
	on, err := strconv.ParseBool(text)
	if err != nil {
		r.problem("%s must be true or false", name)
	}
	*to = on
}

// clientName is how our connections are called in CLIENT LIST.
const clientName = "slipstream"

// dial connects as the options say. The TLS name of a server is that of the address dialled, since a sentinel or a cluster
// tells other addresses than the one configured.
func (o options) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: o.connect, KeepAlive: 15 * time.Second}
	if !o.keepAlive {
		dialer.KeepAlive = -1
	}
	if o.tls == nil {
		return dialer.DialContext(ctx, network, addr)
	}
	ctx, cancel := context.WithTimeout(ctx, o.connect)
	defer cancel()
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	config := o.tls
	if host, _, err := net.SplitHostPort(addr); err == nil && (o.cluster || o.master != "") {
		config = config.Clone()
		config.ServerName = host
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, &handshakeError{addr, err}
	}
	return secured, nil
}

// handshakeError: a server was reached, and TLS with it was not agreed on.
type handshakeError struct {
	addr string
	err  error
}

func (e *handshakeError) Error() string { return fmt.Sprintf("TLS with %s: %v", e.addr, e.err) }

func (e *handshakeError) Unwrap() error { return e.err }

// Nothing below is retried by the driver: a repeated command could come without the WATCH that guards it, and the engine
// knows better what to repeat.

func (o options) singleOptions() *redis.Options {
	return &redis.Options{
		Addr: o.addr, Username: o.user, Password: o.password, DB: o.database,
		Protocol: 2, ClientName: clientName, DisableIdentity: true, MaxRetries: -1, DialerRetries: 1, PoolSize: o.pool,
		DialTimeout: o.connect, ReadTimeout: o.timeout, WriteTimeout: o.timeout, ContextTimeoutEnabled: true,
		ConnMaxIdleTime: o.idle, Dialer: o.dial,
	}
}

func (o options) failoverOptions() *redis.FailoverOptions {
	return &redis.FailoverOptions{
		MasterName: o.master, SentinelAddrs: o.nodes, Username: o.user, Password: o.password, DB: o.database,
		Protocol: 2, ClientName: clientName, DisableIdentity: true, MaxRetries: -1, DialerRetries: 1, PoolSize: o.pool,
		DialTimeout: o.connect, ReadTimeout: o.timeout, WriteTimeout: o.timeout, ContextTimeoutEnabled: true,
		ConnMaxIdleTime: o.idle, Dialer: o.dial,
	}
}

func (o options) clusterOptions() *redis.ClusterOptions {
	return &redis.ClusterOptions{
		Addrs: []string{o.addr}, Username: o.user, Password: o.password,
		Protocol: 2, ClientName: clientName, DisableIdentity: true, MaxRetries: -1, DialerRetries: 1, PoolSize: o.pool,
		DialTimeout: o.connect, ReadTimeout: o.timeout, WriteTimeout: o.timeout, ContextTimeoutEnabled: true,
		ConnMaxIdleTime: o.idle, Dialer: o.dial,
	}
}
