// Package redisurl reads the flag --redis of capture and gateway: the Redis that keeps the deployed pipelines.
package redisurl

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"slipstream/proto/secret"
)

// Parse reads host:port, or a URL redis://user:password@host:port/db (rediss:// for TLS). References such
// as ${file:/run/secrets/pw} are resolved. The error does not show what was written, since it may hold a password (G10).
func Parse(written string) (*redis.Options, error) {
	resolved, err := secret.Resolve(written)
	if err != nil {
		return nil, fmt.Errorf("--redis: %w", err)
	}
	o := &redis.Options{Addr: resolved}
	if strings.Contains(resolved, "://") {
		if o, err = redis.ParseURL(resolved); err != nil {
			return nil, errors.New("--redis is not a URL of the form redis://user:password@host:port/db")
		}
	}
	o.Protocol = 2 // nothing is pushed to these connections
	o.DisableIdentity = true
	o.ClientName = "slipstream"
	return o, nil
}
