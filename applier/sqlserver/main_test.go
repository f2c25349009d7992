package sqlserver

import (
	"testing"

	"go.uber.org/goleak"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connection is one that is never tried.
func connection(change func(c *pipelinev1.Connection)) *pipelinev1.Connection {
	c := &pipelinev1.Connection{
		Name: "db", Type: Name, Host: "sql.example.org", Port: "1433", Database: "fleet", User: "app", Password: "p/w;@'%41",
		Args: map[string]string{}, Options: map[string]string{},
	}
	change(c)
	return c
}
