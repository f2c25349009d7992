package jsonserver

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// readCommand reads a command, in the form of an array or of a line.
func readCommand(from *bufio.Reader) ([]string, error) {
	line, err := from.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if line[0] != '*' {
		return strings.Fields(line), nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	if err != nil || n > maxSize {
		return nil, fmt.Errorf("a command of %q arguments", line)
	}
	var args []string
	for range n {
		line, err := from.ReadString('\n')
		if err != nil {
			return nil, err
		}
		size, err := strconv.Atoi(strings.TrimSpace(line[1:]))
		if line[0] != '$' || err != nil || size < 0 || size > maxSize {
			return nil, fmt.Errorf("an argument that begins with %q", line)
		}
		text := make([]byte, size+2)
		if _, err := io.ReadFull(from, text); err != nil {
			return nil, err
		}
		args = append(args, string(text[:size]))
	}
	return args, nil
}

// appendCommand appends a command as the protocol has it.
func appendCommand(to []byte, args ...string) []byte {
	to = fmt.Appendf(to, "*%d\r\n", len(args))
	for _, arg := range args {
		to = fmt.Appendf(to, "$%d\r\n", len(arg))
		to = append(append(to, arg...), "\r\n"...)
	}
	return to
}
