package mysql

import (
	"context"
	"fmt"
	"strings"

	"slipstream/applier"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// Rights are not read from tables of grants, which know nothing of roles and patterns: the server is given a statement to
// prepare that needs the right and is never run, and says whether it would be denied.

// denies tells whether the account lacks a right that a statement needs.
func (l *link) denies(ctx context.Context, text string) (bool, error) {
	err := l.understands(ctx, text)
	class, code := classOf(err)
	switch {
	case err == nil:
		return false, nil
	case missesGrant(code):
		return true, nil
	case class == flowv1.FaultClass_FAULT_CLASS_SCHEMA:
		return false, nil // what is wrong with it is not a matter of rights
	}
	return false, err
}

// grant is the statement that gives rights to an account, which the server writes as name@host.
func grant(rights []string, table, account string) string {
	name, host := account, "%"
	if at := strings.LastIndexByte(account, '@'); at >= 0 {
		name, host = account[:at], account[at+1:]
	}
	return fmt.Sprintf("GRANT %s ON %s TO %s@%s;", strings.Join(rights, ", "), table, literal(name), literal(host))
}

// missingGrants lists what the account may not do and has to.
func (l *link) missingGrants(ctx context.Context, table *applier.Table) ([]finding, error) {
	b, ok := table.Native.(*bound)
	if !ok {
		return nil, nil
	}
	at := b.relation.quoted()
	key, other := "1", ""
	if len(table.Keys) > 0 {
		key = strings.Join(b.listed(table.Keys), ", ")
	}
	for i := range table.Columns {
		if !table.Columns[i].Key || other == "" {
			other = b.names[i]
		}
	}
	nulls := strings.TrimSuffix(strings.Repeat("NULL,", len(b.names)), ",")
	probes := map[string]string{
		"SELECT": "SELECT " + key + " FROM " + at + " WHERE FALSE",
		"INSERT": fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", at, strings.Join(b.names, ", "), nulls),
		"UPDATE": fmt.Sprintf("UPDATE %s SET %s = NULL WHERE FALSE", at, other),
		"DELETE": "DELETE FROM " + at + " WHERE FALSE",
	}
	var missing []string
	for _, right := range b.needs {
		denied, err := l.denies(ctx, probes[right])
		if err != nil {
			return nil, err
		}
		if denied {
			missing = append(missing, right)
		} else if right == "INSERT" && b.updates {
			// The statement that upserts wants more of an account than its parts, where rights are given column by column.
			probes["UPDATE"] = probes["INSERT"] + " ON DUPLICATE KEY UPDATE " + other + " = VALUES(" + other + ")"
		}
	}
	if len(missing) == 0 {
		return nil, nil
	}
	return []finding{{
		message: fmt.Sprintf("user %s has no %s on table %s", b.server.account, strings.Join(missing, ", "), b.relation.label()),
		fix:     grant(b.needs, at, b.server.account),
	}}, nil
}

// denied says which rights are missing for a table, in the words of validate: the server names the first alone.
func (l *link) denied(ctx context.Context, f *fault.Error, b *bound, table *applier.Table) *fault.Error {
	f = f.WithFix(grant(b.needs, b.relation.quoted(), b.server.account))
	missing, err := l.missingGrants(ctx, table)
	if err != nil || len(missing) == 0 {
		return f // another right: of a trigger, or one that came meanwhile
	}
	return fault.Errorf(f.Class, "%s: %w", missing[0].message, f).WithCode(f.Code).WithFix(missing[0].fix)
}

// mayCreate tells whether the account may create a table.
func (l *link) mayCreate(ctx context.Context, table string) (bool, error) {
	denied, err := l.denies(ctx, "CREATE TABLE IF NOT EXISTS "+table+" (a int)")
	return !denied, err
}

// mayUse tells whether the account has some rights on a table of ours.
func (l *link) mayUse(ctx context.Context, table, column string, rights ...string) (bool, error) {
	probes := map[string]string{
		"SELECT": "SELECT " + column + " FROM " + table + " WHERE FALSE",
		"INSERT": "INSERT INTO " + table + " (" + column + ") VALUES (NULL)",
		"UPDATE": "UPDATE " + table + " SET " + column + " = NULL WHERE FALSE",
		"DELETE": "DELETE FROM " + table + " WHERE FALSE",
	}
	for _, right := range rights {
		if denied, err := l.denies(ctx, probes[right]); denied || err != nil {
			return false, err
		}
	}
	return true, nil
}
