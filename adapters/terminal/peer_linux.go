package terminal

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// maxPath is what fits sockaddr_un with its final zero (unix(7)).
const maxPath = 107

// peerUID gives the uid that the process at the other end had when it connected.
func peerUID(conn *net.UnixConn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("peer credentials: %w", err)
	}
	var cred *unix.Ucred
	var inner error
	if err := raw.Control(func(fd uintptr) {
		cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, fmt.Errorf("peer credentials: %w", err)
	}
	if inner != nil {
		return 0, fmt.Errorf("peer credentials: %w", inner)
	}
	return cred.Uid, nil
}
