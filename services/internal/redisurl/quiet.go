package redisurl

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

// Quiet sends what go-redis says of its pools to log, at level Debug, instead of standard error: whoever asked Redis gets
// the same as an error. It is for the whole process.
func Quiet(log *slog.Logger) { redis.SetLogger(quiet{log}) }

type quiet struct{ log *slog.Logger }

// Printf implements the logger of go-redis.
func (q quiet) Printf(ctx context.Context, format string, v ...any) {
	if q.log.Enabled(ctx, slog.LevelDebug) {
		q.log.DebugContext(ctx, "go-redis", "says", fmt.Sprintf(format, v...))
	}
}
