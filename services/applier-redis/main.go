// Command slipstream-applier-redis writes to Redis and Valkey. It links no other driver. This main is a list of choices and
// must stay one.
package main

import (
	"log/slog"
	"os"

	target "slipstream/applier"
	"slipstream/applier/redis"
	"slipstream/services/internal/host"
	"slipstream/services/internal/redisurl"
	"slipstream/services/internal/stage/applier"
)

func main() {
	os.Exit(host.Main(applier.Spec("applier-redis", "writes keys to Redis and Valkey", "127.0.0.1:7416", "127.0.0.1:9416",
		nil, func() target.Dialect {
			redisurl.Quiet(slog.Default())
			return redis.Dialect{}
		})))
}
