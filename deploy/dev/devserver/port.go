package devserver

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// Ports are taken below the range from which systems choose the source ports of outgoing connections. Otherwise a client
// that retries while its server is down can be given the server's own port as a source port, connect to itself, and keep
// the server from coming back.
const (
	firstPort = 20000
	portCount = 12000
)

// ports are those that this process has handed out, for as long as it lives: one whose server is not up yet, or is being
// restarted, looks free. Other processes see it by the locks, one byte a port, in a file of all processes of this user.
var ports struct {
	sync.Mutex
	given map[int]bool
	locks *os.File // open until the process ends, whatever way: then the system takes the locks away
}

// FreeAddress returns an address of the loopback interface on which nobody listens, for a process that is started by other
// means and restarted at the same address. As long as this process lives nobody else is given it, here or in another process
// that asks this package.
func FreeAddress() (string, error) {
	port, err := freePort()
	if err != nil {
		return "", err
	}
	return address(port), nil
}

// freePort returns a port of the loopback interface on which nobody listens, and that is nobody else's.
func freePort() (int, error) {
	for range 200 {
		port := firstPort + rand.IntN(portCount)
		ours, err := takePort(port)
		if err != nil {
			return 0, fmt.Errorf("finding a free port: %w", err)
		}
		if ours && portIsFree(port) {
			return port, nil
		}
	}
	return 0, errors.New("finding a free port: 200 tries failed")
}

// takePort tells whether a port is ours from now on; it is not if this or another process has been given it before.
func takePort(port int) (bool, error) {
	ports.Lock()
	defer ports.Unlock()
	if ports.locks == nil {
		name := filepath.Join(os.TempDir(), "slipstream-ports-"+strconv.Itoa(os.Getuid()))
		locks, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return false, err
		}
		ports.locks, ports.given = locks, map[int]bool{}
	}
	if ports.given[port] {
		return false, nil
	}
	err := syscall.FcntlFlock(ports.locks.Fd(), syscall.F_SETLK, &syscall.Flock_t{
		Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: int64(port), Len: 1,
	})
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return false, nil
	}
	ports.given[port] = err == nil
	return err == nil, err
}

func portIsFree(port int) bool {
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
