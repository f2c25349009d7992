package devserver

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken below the range from which systems choose the source ports of outgoing connections. Otherwise a client
// that retries while its server is down can be given the server's own port as a source port, connect to itself, and keep
// the server from coming back.
const (
	firstPort = 20000
	portCount = 12000
)

// freePort returns a port of the loopback interface on which nobody listens.
func freePort() (int, error) {
	for range 200 {
		if port := firstPort + rand.IntN(portCount); portIsFree(port) {
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
