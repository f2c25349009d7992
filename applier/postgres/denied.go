package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// denied says which rights are missing for a table, in the words of validate: the server names the table alone. It asks
// on a connection of its own, since that of the transaction takes no more statements and the pool may have no other.
func (t *target) denied(ctx context.Context, f *fault.Error, b *bound) *fault.Error {
	f = f.WithFix(t.grantText(b.relation, b.needs))
	ctx, cancel := t.limited(ctx)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, t.pool.Config().ConnConfig)
	if err != nil {
		return f
	}
	defer func() { _ = conn.Close(ctx) }()
	r, err := readRelation(ctx, conn, b.relation.schema, b.relation.name)
	if err != nil {
		return f
	}
	var messages, fixes []string
	for _, missing := range t.missingGrants(r, b.needs) {
		messages, fixes = append(messages, missing.message), append(fixes, missing.fix)
	}
	if len(messages) == 0 {
		return f // another right: of a trigger, or one that came meanwhile
	}
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_PERMISSION, "%s: %w", strings.Join(messages, "; "), f).
		WithCode(f.Code).WithFix(strings.Join(fixes, "\n"))
}

// findHidden looks for a table in the schemas that names without one mean, had the account the right to use them.
const findHidden = `
SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE lower(c.relname) = lower($1::text) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT has_schema_privilege(n.oid, 'USAGE')
  AND n.nspname = ANY (string_to_array(replace(replace(replace(current_setting('search_path'), '"$user"', current_user::text), '"', ''), ', ', ','), ','))
LIMIT 1`

// hidden says that a table, which the catalogue did not show, stands in a schema that the account may not use; nil where
// it does not.
func (t *target) hidden(ctx context.Context, q querier, schema, table string) (*finding, error) {
	if schema != "" {
		return nil, nil
	}
	var in string
	err := q.QueryRow(ctx, findHidden, table).Scan(&in)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f := t.mayNotUse(in)
	f.message += ", in which table " + table + " is"
	return &f, nil
}

// mayNotUse is the finding about a schema.
func (t *target) mayNotUse(schema string) finding {
	return finding{
		grant:   true,
		message: fmt.Sprintf("user %s may not use schema %s", t.user, schema),
		fix:     fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s;", quote(schema), quote(t.user)),
	}
}

// refusesTLS asks a server whether it speaks TLS at all: the driver's error has no code that would tell.
func refusesTLS(host string, port uint16) bool {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, strconv.Itoa(int(port))), time.Second)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	sslRequest := []byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}
	answer := make([]byte, 1)
	if _, err := conn.Write(sslRequest); err != nil {
		return false
	}
	_, err = io.ReadFull(conn, answer)
	return err == nil && answer[0] == 'N'
}

// withoutTLS adds the fix where the connection demands TLS and the server has none.
func (t *target) withoutTLS(f *fault.Error) *fault.Error {
	c := t.pool.Config().ConnConfig
	if f.Code != "" || f.Fix != "" || c.TLSConfig == nil {
		return f
	}
	for _, other := range c.Fallbacks {
		if other.TLSConfig == nil {
			return f // it was tried without
		}
	}
	if !refusesTLS(c.Host, c.Port) {
		return f
	}
	return f.WithFix(fmt.Sprintf("ALTER SYSTEM SET ssl = on; -- with its certificate; or set sslmode of connections.%s to prefer", t.name))
}
