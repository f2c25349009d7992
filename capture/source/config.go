package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/resp"
	"slipstream/proto/secret"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Config says how to reach a Redis.
type Config struct {
	Name           string        // of the connection
	Host           string        //
	Port           int           // default 6379
	User           string        // default: the default user
	Password       string        //
	Database       int           // default 0
	Timeout        time.Duration // socket_timeout, default 10s
	ConnectTimeout time.Duration // socket_connect_timeout, default 2s
	KeepAlive      bool          // socket_keepalive, default true
	HealthCheck    time.Duration // health_check_interval: idle connections are checked this often; default 60s
	TLS            *tls.Config   // nil: none
}

// Parse reads a connection of type redis whose references are resolved (spec 2.3). The error joins everything that is
// wrong with it and names attributes, never values.
func Parse(conn *pipelinev1.Connection) (*Config, error) {
	c := &Config{
		Name: conn.GetName(), Host: conn.GetHost(), Port: 6379, User: conn.GetUser(), Password: conn.GetPassword(),
		Timeout: 10 * time.Second, ConnectTimeout: 2 * time.Second, KeepAlive: true, HealthCheck: time.Minute,
	}
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if conn.GetType() != "redis" {
		problem("type is %q, but must be redis", conn.GetType())
	}
	if c.Host == "" {
		problem("host is missing")
	}
	if s := conn.GetPort(); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 65535 {
			problem("port must be a number from 1 to 65535")
		}
		c.Port = n
	}
	number := func(name, s string, to *int) {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			problem("%s must be a number, 0 or more", name)
			return
		}
		*to = n
	}
	seconds := func(name, s string, to *time.Duration) {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || f <= 0 || f > 86400 {
			problem("%s must be a number of seconds above 0", name)
			return
		}
		*to = time.Duration(f * float64(time.Second))
	}
	if s := conn.GetDatabase(); s != "" {
		number("database", s, &c.Database)
	}
	var ca, cert, key, keyPassword string
	options := conn.GetOptions()
	names := make([]string, 0, len(options)+len(conn.GetArgs()))
	for name := range options {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		switch value := options[name]; name {
		case "db":
			number(name, value, &c.Database)
		case "socket_timeout":
			seconds(name, value, &c.Timeout)
		case "socket_connect_timeout":
			seconds(name, value, &c.ConnectTimeout)
		case "health_check_interval":
			seconds(name, value, &c.HealthCheck)
		case "socket_keepalive":
			on, err := strconv.ParseBool(value)
			if err != nil {
				problem("socket_keepalive must be true or false")
			}
			c.KeepAlive = on
		case "cacert":
			ca = value
		case "cert":
			cert = value
		case "key":
			key = value
		case "key_password":
			keyPassword = value
		default:
			problem("%s is not an attribute of a redis connection", name)
		}
	}
	for name := range conn.GetArgs() {
		problem("%s: a redis connection has no connect_args and no query_args", name)
	}
	if ca != "" || cert != "" || key != "" || keyPassword != "" {
		config, err := secret.TLS(c.Host, ca, cert, key, keyPassword)
		if err != nil {
			problems = append(problems, err)
		}
		c.TLS = config
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("connection %q: %w", c.Name, errors.Join(problems...))
	}
	return c, nil
}

// Addr is host:port.
func (c *Config) Addr() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// Client returns a client of go-redis for the connection's database. The caller closes it.
func (c *Config) Client() *redis.Client { return redis.NewClient(c.options()) }

func (c *Config) options() *redis.Options {
	dialer := &net.Dialer{Timeout: c.ConnectTimeout, KeepAlive: c.keepAlive()}
	o := &redis.Options{
		Addr: c.Addr(), Username: c.User, Password: c.Password, DB: c.Database,
		Protocol: 2, ClientName: clientName, DisableIdentity: true,
		DialTimeout: c.ConnectTimeout, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout, ContextTimeoutEnabled: true,
		ConnMaxIdleTime: c.HealthCheck, TLSConfig: c.TLS,
	}
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if c.TLS != nil {
			return (&tls.Dialer{NetDialer: dialer, Config: c.TLS}).DialContext(ctx, network, addr)
		}
		return dialer.DialContext(ctx, network, addr)
	}
	return o
}

// clientName is how our connections are called in CLIENT LIST.
const clientName = "slipstream"

func (c *Config) keepAlive() time.Duration {
	if c.KeepAlive {
		return 15 * time.Second
	}
	return -1
}

// Dial opens a plain connection on the connection's database.
func (c *Config) Dial(ctx context.Context) (*resp.Conn, error) { return c.DialDB(ctx, c.Database) }

// DialDB opens a plain connection on a database.
func (c *Config) DialDB(ctx context.Context, db int) (*resp.Conn, error) {
	conn, err := resp.Dial(ctx, resp.Options{
		Addr: c.Addr(), User: c.User, Password: c.Password, DB: db, Name: clientName, TLS: c.TLS,
		Dial: c.ConnectTimeout, Timeout: c.Timeout, KeepAlive: c.keepAlive(),
	})
	if err != nil {
		return nil, fmt.Errorf("connection %q: %w", c.Name, err)
	}
	return conn, nil
}

// Logical is the logical database of a job: its own, or else that of the connection.
func (c *Config) Logical(job *pipelinev1.Job) int {
	if db := int(job.GetSource().GetDatabase()); db != 0 {
		return db
	}
	return c.Database
}
