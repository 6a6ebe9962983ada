package sqlite

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// filesystemOf names the network file system that holds folder, "" for a local one.
func filesystemOf(folder string) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil {
		return "", fmt.Errorf("look at the file system: %w", err)
	}
	switch name := unix.ByteSliceToString(st.Fstypename[:]); name {
	case "nfs", "smbfs", "afpfs", "webdav", "macfuse", "osxfuse", "ftp", "virtiofs", "9p":
		return "a file system of type " + name, nil
	}
	return "", nil
}
