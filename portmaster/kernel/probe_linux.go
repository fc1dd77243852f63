package kernel

import (
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

const newerKernel = "use Linux 5.18 or newer with CONFIG_CGROUP_BPF=y"

// Probe tries what guarding depends on. It changes nothing.
func Probe() []Feature {
	all := []Feature{{
		Name: "privilege", Why: "to load programs into the kernel",
		Err: privileged(), Fix: "run it with sudo",
	}}
	_, err := CgroupMount()
	all = append(all, Feature{
		Name: "cgroup v2", Why: "programs are attached to a group of processes",
		Err: err, Fix: "mount -t cgroup2 none /sys/fs/cgroup",
	})
	_, err = btf.LoadKernelSpec()
	all = append(all, Feature{
		Name: "kernel type information (BTF)", Why: "to find the executable and its path in the kernel's memory",
		Err: err, Fix: "use a kernel with CONFIG_DEBUG_INFO_BTF=y",
	})
	return append(all, probePrograms()...)
}

// probePrograms asks one by one, so that an error names what an older kernel
// lacks.
func probePrograms() []Feature {
	probe := func(name, why string, err error) Feature {
		return Feature{Name: name, Why: why, Err: err, Fix: newerKernel}
	}
	return []Feature{
		probe("longest prefix table (Linux 4.11)", "to hold the rules", features.HaveMapType(ebpf.LPMTrie)),
		probe("programs on connect (Linux 4.17)", "to judge connections", features.HaveProgramType(ebpf.CGroupSockAddr)),
		probe("ring buffer (Linux 5.8)", "to report connections", features.HaveMapType(ebpf.RingBuf)),
		probe("storage with sockets (Linux 5.8)", "to remember what was rewritten",
			features.HaveProgramHelper(ebpf.CGroupSockAddr, asm.FnSkStorageGet)),
		probe("reading the current task (Linux 5.11)", "to know who connects",
			features.HaveProgramHelper(ebpf.CGroupSockAddr, asm.FnGetCurrentTask)),
		probe("programs that are called (Linux 5.14)", "to exempt this process", features.HaveProgramType(ebpf.Syscall)),
		probe("errors of socket creation (Linux 5.18)", "to refuse MPTCP in the way programs understand",
			features.HaveProgramHelper(ebpf.CGroupSock, asm.FnSetRetval)),
	}
}

// privileged returns nil if this process may load and attach programs.
func privileged() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read the privileges of this process: %w", err)
	}
	for _, c := range []uint{unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN, unix.CAP_PERFMON, unix.CAP_BPF} {
		if data[c/32].Effective&(1<<(c%32)) == 0 {
			return errNoRoot
		}
	}
	return nil
}

var errNoRoot = fmt.Errorf("loading programs into the kernel needs root: run it with sudo: %w", os.ErrPermission)
