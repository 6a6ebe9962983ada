//go:build linux || darwin

package config

import (
	"os"
	"syscall"
)

// ownerOf gives the user that a file belongs to.
func ownerOf(path string) (uid int, known bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(s.Uid), true
}

// readOnly reports whether nothing can be written where path is.
func readOnly(path string) bool {
	const flag = 1 // ST_RDONLY and MNT_RDONLY
	var s syscall.Statfs_t
	return syscall.Statfs(path, &s) == nil && s.Flags&flag != 0
}
