package kernel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const mountinfo = "/proc/self/mountinfo"

// StatExe names the file at path, following links, as the kernel names it in
// events. On most file systems this is what stat(2) says. Where stat makes up
// a device, as for a subvolume of btrfs, it is that of the whole file system.
func StatExe(path string) (ExeID, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_TYPE|unix.STATX_INO|unix.STATX_MNT_ID, &st); err != nil {
		return ExeID{}, fmt.Errorf("find executable: %w", &os.PathError{Op: "stat", Path: path, Err: err})
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return ExeID{}, fmt.Errorf("find executable: %s is not a file", path)
	}
	id := ExeID{Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino}
	if st.Mask&unix.STATX_MNT_ID == 0 {
		return id, nil
	}
	m, err := findMount(func(m mount) bool { return m.id == st.Mnt_id })
	if errors.Is(err, errNoMount) {
		return id, nil
	}
	if err != nil {
		return ExeID{}, fmt.Errorf("find the file system of %s: %w", path, err)
	}
	id.Dev = m.dev
	return id, nil
}

// CgroupMount returns where the cgroup v2 tree is mounted, which is not the
// same place on a system that has v1 as well.
func CgroupMount() (string, error) {
	m, err := findMount(func(m mount) bool { return m.kind == "cgroup2" && m.root == "/" })
	if errors.Is(err, errNoMount) {
		return "", fmt.Errorf("find cgroup v2: it is not mounted, mount it with: mount -t cgroup2 none /sys/fs/cgroup: %w", err)
	}
	if err != nil {
		return "", fmt.Errorf("find cgroup v2: %w", err)
	}
	return m.point, nil
}

var errNoMount = errors.New("no such mount")

// A mount is a line of mountinfo, see proc(5).
type mount struct {
	id          uint64
	dev         uint64
	root, point string
	kind        string
}

func findMount(match func(mount) bool) (mount, error) {
	f, err := os.Open(mountinfo)
	if err != nil {
		return mount{}, err
	}
	defer f.Close()
	return scanMounts(f, match)
}

func scanMounts(r io.Reader, match func(mount) bool) (mount, error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if m, ok := parseMount(lines.Text()); ok && match(m) {
			return m, nil
		}
	}
	if err := lines.Err(); err != nil {
		return mount{}, err
	}
	return mount{}, errNoMount
}

// parseMount reads
//
//	36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw
func parseMount(line string) (m mount, ok bool) {
	before, after, found := strings.Cut(line, " - ")
	fields := strings.Fields(before)
	if !found || len(fields) < 6 {
		return m, false
	}
	id, err := strconv.ParseUint(fields[0], 10, 64)
	major, minor, found := strings.Cut(fields[2], ":")
	ma, err2 := strconv.ParseUint(major, 10, 12)
	mi, err3 := strconv.ParseUint(minor, 10, 20)
	if !found || err != nil || err2 != nil || err3 != nil {
		return m, false
	}
	kind, _, _ := strings.Cut(after, " ")
	return mount{
		id: id, dev: unix.Mkdev(uint32(ma), uint32(mi)),
		root: unescape(fields[3]), point: unescape(fields[4]), kind: kind,
	}, true
}

// unescape undoes \040 and the like.
func unescape(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, `\`)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if len(after) >= 3 {
			if c, err := strconv.ParseUint(after[:3], 8, 8); err == nil {
				b.WriteByte(byte(c))
				s = after[3:]
				continue
			}
		}
		b.WriteByte('\\')
		s = after
	}
}
