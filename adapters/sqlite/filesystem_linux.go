package sqlite

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// network names the file systems on which other machines may write, or which
// do not keep the locks and the shared memory that SQLite's log needs.
var network = map[uint32]string{
	unix.NFS_SUPER_MAGIC:   "an NFS file system",
	unix.SMB_SUPER_MAGIC:   "an SMB file system",
	unix.CIFS_SUPER_MAGIC:  "an SMB file system",
	unix.SMB2_SUPER_MAGIC:  "an SMB file system",
	unix.FUSE_SUPER_MAGIC:  "a FUSE file system",
	unix.V9FS_MAGIC:        "a 9p file system",
	unix.CEPH_SUPER_MAGIC:  "a Ceph file system",
	unix.AFS_SUPER_MAGIC:   "an AFS file system",
	unix.AFS_FS_MAGIC:      "an AFS file system",
	unix.CODA_SUPER_MAGIC:  "a Coda file system",
	unix.NCP_SUPER_MAGIC:   "an NCP file system",
	unix.OCFS2_SUPER_MAGIC: "an OCFS2 file system",
	0x01161970:             "a GFS2 file system",   // linux/gfs2_ondisk.h, not in x/sys
	0x0bd00bd0:             "a Lustre file system", // Lustre's own headers
	0x47504653:             "a GPFS file system",   // IBM Storage Scale's own headers
	0xaad7aaea:             "a Panasas file system",
	0x013111a8:             "an IBRIX file system",
}

// filesystemOf names the network file system that holds folder, "" for a local one.
func filesystemOf(folder string) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil {
		return "", fmt.Errorf("look at the file system: %w", err)
	}
	return network[uint32(st.Type)], nil
}
