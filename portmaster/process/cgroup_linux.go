package process

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"safing/portmaster/kernel"
)

// fileIDKernfs is the type of handles in a cgroup tree (FILEID_KERNFS in
// include/linux/exportfs.h): 8 bytes that are the group's number.
const fileIDKernfs = 0xfe

// cgroupPath finds a group of the cgroup v2 tree by its number, which tells
// where a process was that has ended. It returns "" when that is not known.
func cgroupPath(id uint64) string {
	mount, err := kernel.CgroupMount()
	if err != nil || id == 0 {
		return ""
	}
	root, err := unix.Open(mount, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(root)
	handle := unix.NewFileHandle(fileIDKernfs, binary.NativeEndian.AppendUint64(nil, id))
	group, err := unix.OpenByHandleAt(root, handle, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return ""
	}
	defer unix.Close(group)
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", group))
	if err != nil || !strings.HasPrefix(path, mount) {
		return ""
	}
	return filepath.Join("/", strings.TrimPrefix(path, mount))
}
