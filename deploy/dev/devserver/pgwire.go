package devserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

const queryTimeout = 30 * time.Second

// query runs one statement as the user postgres and returns the first cell of its result as text. It speaks just enough
// of PostgreSQL's protocol (version 3, simple query, no password) to do without a driver: this module must not bring
// one to the modules whose tests use it.
func query(ctx context.Context, addr, database, statement string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	var startup []byte
	startup = binary.BigEndian.AppendUint32(startup, 3<<16) // protocol 3.0
	startup = fmt.Appendf(startup, "user\x00postgres\x00database\x00%s\x00\x00", database)
	if err := send(conn, 0, startup); err != nil {
		return "", err
	}
	r := bufio.NewReader(conn)
	if _, err := untilReady(r); err != nil {
		return "", err
	}
	if err := send(conn, 'Q', append([]byte(statement), 0)); err != nil {
		return "", err
	}
	cell, err := untilReady(r)
	if err != nil {
		return "", err
	}
	return cell, send(conn, 'X', nil)
}

// send writes one message; the startup message is the one without a kind.
func send(w io.Writer, kind byte, body []byte) error {
	var message []byte
	if kind != 0 {
		message = append(message, kind)
	}
	message = binary.BigEndian.AppendUint32(message, uint32(len(body)+4))
	_, err := w.Write(append(message, body...))
	return err
}

// untilReady reads messages up to ReadyForQuery and returns the first cell of the first row among them. An error ends a
// connection that is being opened, and is followed by ReadyForQuery on one that is open; for us it ends both.
func untilReady(r *bufio.Reader) (string, error) {
	var cell string
	var rows int
	for {
		kind, body, err := receive(r)
		if err != nil {
			return "", err
		}
		switch kind {
		case 'Z': // ready for the next query
			return cell, nil
		case 'E':
			return "", serverError(body)
		case 'R':
			if len(body) < 4 || binary.BigEndian.Uint32(body) != 0 {
				return "", errors.New("the server asks for a password")
			}
		case 'D': // a row: number of cells, then length and bytes of each
			if rows++; rows == 1 && len(body) >= 6 {
				if n := int32(binary.BigEndian.Uint32(body[2:])); n > 0 && int(n) <= len(body)-6 {
					cell = string(body[6 : 6+n])
				}
			}
		}
	}
}

func receive(r *bufio.Reader) (kind byte, body []byte, err error) {
	if kind, err = r.ReadByte(); err != nil {
		return 0, nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 4 || n > 1<<20 {
		return 0, nil, fmt.Errorf("a message of %d bytes is not PostgreSQL's", n)
	}
	body = make([]byte, n-4)
	_, err = io.ReadFull(r, body)
	return kind, body, err
}

// serverError returns the code and the text of an ErrorResponse.
func serverError(body []byte) error {
	var code, text string
	for field := range bytes.SplitSeq(body, []byte{0}) {
		if len(field) == 0 {
			continue
		}
		switch field[0] {
		case 'C':
			code = string(field[1:])
		case 'M':
			text = string(field[1:])
		}
	}
	return fmt.Errorf("%s (SQLSTATE %s)", text, code)
}

// quoted makes an SQL identifier of a name.
func quoted(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
