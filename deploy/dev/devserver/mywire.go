package devserver

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// Flags of the client in MariaDB's handshake: 41 is the form of the protocol, secure the form of the answer to a password.
const (
	flagProtocol41 = 1 << 9
	flagSecure     = 1 << 15
)

// queryMariaDB runs one statement on a MariaDB as root and returns the first cell of its result as text. It speaks just enough of
// the protocol (version 10, text results, no password) to do without a driver, for the reason that query has.
func queryMariaDB(ctx context.Context, addr, statement string) (string, error) {
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
	r := bufio.NewReader(conn)
	hello, err := packet(r)
	if err != nil {
		return "", err
	}
	if len(hello) == 0 || hello[0] != 10 {
		return "", errors.New("the server does not speak MariaDB's protocol")
	}
	answer := binary.LittleEndian.AppendUint32(nil, flagProtocol41|flagSecure)
	answer = binary.LittleEndian.AppendUint32(answer, 1<<24)
	answer = append(answer, 45) // utf8mb4
	answer = append(answer, make([]byte, 23)...)
	answer = append(answer, "root\x00\x00"...) // and an empty answer to the password
	if err := sendPacket(conn, 1, answer); err != nil {
		return "", err
	}
	if _, err := packet(r); err != nil {
		return "", err
	}
	if err := sendPacket(conn, 0, append([]byte{3}, statement...)); err != nil {
		return "", err
	}
	cell, err := firstCell(r)
	if err != nil {
		return "", err
	}
	return cell, sendPacket(conn, 0, []byte{1})
}

func sendPacket(w io.Writer, sequence byte, body []byte) error {
	n := len(body)
	_, err := w.Write(append([]byte{byte(n), byte(n >> 8), byte(n >> 16), sequence}, body...))
	return err
}

// packet reads one packet; an error packet is an error.
func packet(r *bufio.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	if len(body) >= 3 && body[0] == 0xff {
		text := string(body[3:])
		if strings.HasPrefix(text, "#") && len(text) >= 6 { // before it, the SQLSTATE
			text = text[6:]
		}
		return nil, fmt.Errorf("%s (error %d)", text, binary.LittleEndian.Uint16(body[1:]))
	}
	return body, nil
}

// firstCell reads the result of a statement: the columns up to an end marker, the rows up to another.
func firstCell(r *bufio.Reader) (string, error) {
	head, err := packet(r)
	if err != nil || len(head) == 0 || head[0] == 0 { // a result without columns
		return "", err
	}
	var cell string
	for ends, rows := 0, 0; ends < 2; {
		body, err := packet(r)
		if err != nil {
			return "", err
		}
		switch {
		case len(body) > 0 && body[0] == 0xfe && len(body) < 9:
			ends++
		case ends == 1:
			if rows++; rows == 1 && len(body) > 0 && body[0] < 0xfb && int(body[0]) < len(body) {
				cell = string(body[1 : 1+int(body[0])])
			}
		}
	}
	return cell, nil
}

// backquoted makes an identifier of MariaDB's of a name.
func backquoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
