package devserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ballast is the file that takes the room of a disk until it is freed.
const ballast = "ballast"

// diskScript mounts a file system, says so, and takes it away when its input ends, which is when the process that asked
// for it does, by whatever cause.
const diskScript = `
$3 mount -t tmpfs -o "size=$2,mode=0777" slipstream "$1" || exit 1
echo mounted
while read -r line; do :; done
$3 umount "$1" 2>/dev/null || $3 umount -l "$1"
rmdir "$1"
`

// Disk is a small file system in memory, so that a test sees a disk run full.
type Disk struct {
	Dir string

	keeper *exec.Cmd
	input  io.Closer
}

// SmallDisk mounts a disk of size bytes of which room bytes are free until Free, and takes it away when the test ends. It
// needs the right to mount: root, or sudo without a password, and in a container the capability SYS_ADMIN.
func SmallDisk(t TB, size, room int) *Disk {
	t.Helper()
	d, err := startDisk(size)
	if err != nil {
		t.Fatalf("mounting a small disk: %v; run the test as root, in a container with --cap-add SYS_ADMIN", err)
	}
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Errorf("taking a small disk away: %v", err)
		}
	})
	if err := os.WriteFile(filepath.Join(d.Dir, ballast), make([]byte, size-room), 0o600); err != nil {
		t.Fatalf("filling a small disk: %v", err)
	}
	return d
}

func startDisk(size int) (*Disk, error) {
	dir, err := temporary("disk")
	if err != nil {
		return nil, err
	}
	as := ""
	if os.Geteuid() != 0 {
		as = "sudo -n"
	}
	d := &Disk{Dir: dir, keeper: exec.Command("/bin/sh", "-c", diskScript, "slipstream-disk", dir, strconv.Itoa(size), as)}
	d.keeper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal must not end it first
	var trouble strings.Builder
	d.keeper.Stderr = &trouble
	input, err := d.keeper.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := d.keeper.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.input = input
	if err := d.keeper.Start(); err != nil {
		return nil, err
	}
	if line, _ := bufio.NewReader(output).ReadString('\n'); line != "mounted\n" {
		return nil, errors.Join(fmt.Errorf("%w: %s", d.keeper.Wait(), strings.TrimSpace(trouble.String())), os.Remove(dir))
	}
	return d, nil
}

// Free makes room.
func (d *Disk) Free() error { return os.Remove(filepath.Join(d.Dir, ballast)) }

// Give makes a folder of the disk that belongs to whoever runs the servers.
func (d *Disk) Give(name string) (string, error) {
	dir := filepath.Join(d.Dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	account, err := unprivileged()
	if err != nil || account == nil {
		return dir, err
	}
	return dir, os.Chown(dir, int(account.Uid), int(account.Gid))
}

func (d *Disk) close() error {
	return errors.Join(d.input.Close(), d.keeper.Wait())
}
