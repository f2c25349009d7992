package e2e_test

import (
	"strings"
	"testing"

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// TestTLSOfAServerWithout: a connection that demands TLS is refused by validate and deploy where the server has none, with
// what to do (spec 2.3); nothing is sent in the clear instead.
func TestTLSOfAServerWithout(t *testing.T) {
	redis := devserver.Redis(t, devserver.RedisOptions{})
	l := startEmbedded(t, redis.Addr)
	for _, c := range []struct {
		name      string
		open      func() *target
		demand    func(connection string) string
		says, fix string
	}{
		{
			"postgresql", func() *target { return postgresTarget(t, devserver.Postgres(t, devserver.PostgresOptions{})) },
			func(c string) string { return strings.Replace(c, "sslmode: disable", "sslmode: require", 1) },
			"TLS", "ALTER SYSTEM SET ssl = on; -- with its certificate; or set sslmode of connections.hr to prefer",
		},
		{
			"mariadb", func() *target { return mariadbTarget(t, devserver.MariaDB(t, devserver.MariaDBOptions{})) },
			func(c string) string { return c + "    connect_args: {ssl_verify_cert: \"true\"}\n" },
			"TLS", "set up TLS in the server (ssl_cert, ssl_key), or remove the attributes ssl_… of connections.hr",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			tg := c.open()
			tg.exec(t, tankTable)
			tg.connection = c.demand(tg.connection)
			files := yamlFiles(map[string]string{"config.yaml": config(redis.Addr, tg, ""), "jobs/tank.yaml": tankJob})
			v, err := l.gateway().Validate(t.Context(), &gatewayv1.ValidateRequest{Files: files})
			must(t, err)
			d, err := l.gateway().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files})
			must(t, err)
			if d.Generation != 0 {
				t.Errorf("it was deployed as generation %d", d.Generation)
			}
			for who, problems := range map[string][]*pipelinev1.Problem{"validate": v.Problems, "deploy": d.Problems} {
				found := false
				for _, p := range problems {
					found = found || p.Severity == pipelinev1.Severity_SEVERITY_ERROR && p.Connection == "hr" &&
						strings.Contains(p.Message, c.says) && p.Fix == c.fix
				}
				if !found {
					t.Errorf("%s says %v", who, problems)
				}
			}
		})
	}
}
