package e2e_test

import (
	"testing"

	"slipstream/deploy/dev/devserver"
)

// storyMariaDB has a server that syncs its log at each commit, so that what was committed outlives SIGKILL by itself.
func storyMariaDB(t *testing.T) (*target, func(*processes)) {
	server := devserver.MariaDB(t, devserver.MariaDBOptions{Args: []string{"--innodb-flush-log-at-trx-commit=1"}})
	return mariadbTarget(t, server), func(*processes) { must(t, server.Kill(), server.Restart(t.Context())) }
}
