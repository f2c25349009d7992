// Package redisurl reads the flag --redis of capture and gateway: the Redis that keeps the deployed pipelines.
package redisurl

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"

	"slipstream/proto/secret"
)

// Parse reads host:port, or a URL redis://user:password@host:port/db (rediss:// for TLS). References such as
// ${file:/run/secrets/pw} are resolved. What a connection of type redis calls cacert, cert, key and key_password are parameters
// of a URL: rediss://host:port?cacert=/run/tls/ca.crt. The error does not show what was written, since it may hold a
// password (G10).
func Parse(written string) (*redis.Options, error) {
	resolved, err := secret.Resolve(written)
	if err != nil {
		return nil, fmt.Errorf("--redis: %w", err)
	}
	o := &redis.Options{Addr: resolved}
	if strings.Contains(resolved, "://") {
		if o, err = parseURL(resolved); err != nil {
			return nil, err
		}
	}
	o.Protocol = 2 // nothing is pushed to these connections
	o.DisableIdentity = true
	o.ClientName = "slipstream"
	return o, nil
}

func parseURL(text string) (*redis.Options, error) {
	noURL := errors.New("--redis is not a URL of the form redis://user:password@host:port/db")
	u, err := url.Parse(text)
	if err != nil {
		return nil, noURL
	}
	files, rest := map[string]string{}, u.Query()
	for _, name := range []string{"cacert", "cert", "key", "key_password"} {
		if rest.Has(name) {
			files[name] = rest.Get(name)
			rest.Del(name)
		}
	}
	u.RawQuery = rest.Encode()
	o, err := redis.ParseURL(u.String())
	switch {
	case err != nil:
		return nil, noURL
	case len(files) == 0:
		return o, nil
	case o.TLSConfig == nil:
		return nil, errors.New("--redis: cacert, cert and key are for TLS: write rediss:// instead of redis://")
	case o.TLSConfig.InsecureSkipVerify && files["cacert"] != "":
		return nil, errors.New("--redis: cacert and skip_verify contradict each other: remove one of them")
	}
	secured, err := secret.TLS(o.TLSConfig.ServerName, files["cacert"], files["cert"], files["key"], files["key_password"])
	if err != nil {
		return nil, fmt.Errorf("--redis: %w", err)
	}
	secured.InsecureSkipVerify = o.TLSConfig.InsecureSkipVerify
	o.TLSConfig = secured
	return o, nil
}
