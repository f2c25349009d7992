package sqlserver

import (
	"context"
	"database/sql"
	"errors"

	mssql "github.com/microsoft/go-mssqldb"
)

// unnumbered is what a server that is PostgreSQL inside says for an error to which it gives no number of SQL Server's. Its
// SQLSTATE it tells when asked.
const unnumbered = 33557097

// numbers are those of SQL Server for SQLSTATEs, and for the first two characters of them.
var numbers = map[string]int32{
	"42P01": errNoObject, "42703": errNoColumn, "42501": errNoPermission, "3F000": errNoSchema, "42P07": errObjectExists, "3D000": 911,
	"23505": errDuplicateKey, "23503": errReference, "23514": errReference, "23502": 515, "23P01": errDuplicateKey,
	"22001": errTooLong, "54000": 1946, "40P01": 1205, "40001": 3960, "55P03": 1222, "25006": 3906, "42883": 195, "42704": 195,
	"53100": 1105, "53200": 701, "53300": 17809, "57P01": 6005, "57P02": 6005, "57P03": 17142, "57014": 596, "P0001": firstOfUsers,
	"08": 233, "22": 8114, "23": 515, "25": 3930, "28": errLogin, "40": 1205, "42": 102, "0A": 102, "44": 550, "53": 701, "54": 1946,
	"57": 6005, "58": 823, "P0": firstOfUsers,
}

// numbered gives an error without a number the one that its SQLSTATE has. The connection must be the one that it came from.
func numbered(ctx context.Context, q querier, err error) error {
	var e mssql.Error
	if !errors.As(err, &e) || e.Number != unnumbered {
		return err
	}
	rows, asked := q.QueryContext(ctx, "SELECT @@PGERROR")
	if asked != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // what is known of the first error counts
	var state string
	if !rows.Next() || rows.Scan(&state) != nil || rows.Err() != nil || len(state) != 5 {
		return err
	}
	n, known := numbers[state]
	if !known {
		n, known = numbers[state[:2]]
	}
	if !known {
		return err
	}
	e.Number, e.All = n, nil
	return e
}

// exec runs a batch, or a procedure with parameters.
func exec(ctx context.Context, conn *sql.Conn, batch string, args ...any) (sql.Result, error) {
	result, err := conn.ExecContext(ctx, batch, args...)
	return result, numbered(ctx, conn, err)
}
