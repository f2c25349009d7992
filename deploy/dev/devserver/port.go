package devserver

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports are taken below the range from which systems choose the source ports of outgoing connections. Otherwise a client
// that retries while its server is down can be given the server's own port as a source port, connect to itself, and keep
// the server from coming back.
const (
	firstPort = 20000
	portCount = 12000
)

// given are the ports that this process has handed out: one whose server is not up yet, or is being restarted, looks free.
var given sync.Map

// FreeAddress returns an address of the loopback interface on which nobody listens, for a process that is started by other
// means and restarted at the same address. No two calls in one process return the same.
func FreeAddress() (string, error) {
	port, err := freePort()
	if err != nil {
		return "", err
	}
	return address(port), nil
}

// freePort returns a port of the loopback interface on which nobody listens, and that no call before returned.
func freePort() (int, error) {
	for range 200 {
		port := firstPort + rand.IntN(portCount)
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		if portIsFree(port) {
			return port, nil
		}
	}
	return 0, errors.New("finding a free port: 200 tries failed")
}

func portIsFree(port int) bool {
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
