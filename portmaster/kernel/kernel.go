package kernel

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"
)

// An AppID is one application, which is one or more executables. 0 is every
// executable that is not bound to another.
type AppID uint32

// An ExeID is an executable file. Dev is the device of the file system in the
// encoding of stat(2), Ino the inode in it. The zero ExeID is unknown, such as
// that of the kernel's own threads.
type ExeID struct{ Dev, Ino uint64 }

// An Action is what happens with a connection. The zero Action is none.
type Action uint8

// Actions. Tunnel sends TCP to the gateway, and refuses what is not TCP.
const (
	Permit Action = 1 + iota
	Deny
	Tunnel
)

// String returns the action as a verb.
func (a Action) String() string {
	switch a {
	case Permit:
		return "permit"
	case Deny:
		return "deny"
	case Tunnel:
		return "tunnel"
	default:
		return fmt.Sprintf("action %d", uint8(a))
	}
}

// Protocol numbers, as IANA assigned them.
const (
	tcp = 6
	udp = 17
)

// MaxCases bounds the cases of one entry or flow.
const MaxCases = 8

// A Case is an action for one protocol and range of ports.
type Case struct {
	Protocol          uint8  // 6 TCP, 17 UDP, 0 any
	PortLow, PortHigh uint16 // both included; 0 and 65535 are any
	Action            Action
	Rule              uint32 // comes back in events
}

// An Entry is what holds for the addresses of Prefix that no longer prefix
// covers. The first case that matches decides; if none does, the connection is
// denied. There are at most [MaxCases]. An IPv6 prefix holds no IPv4 address.
type Entry struct {
	Prefix netip.Prefix
	Cases  []Case
}

// A Config says whom to guard and where to send what is rewritten.
type Config struct {
	// Cgroup is the directory of the cgroup (v2) whose processes are guarded.
	// Empty is the root, which is all processes.
	Cgroup string

	// Resolver4 and Resolver6 receive what is sent to port 53, and Gateway4
	// and Gateway6 what is tunnelled. What would go to one that is not valid
	// is denied. They must listen in the network namespace in which Load is
	// called.
	Resolver4, Resolver6 netip.AddrPort
	Gateway4, Gateway6   netip.AddrPort

	// PinDir is where programs are pinned, so that they outlive a crash. It is
	// made, and a bpffs mounted on it, where necessary. Empty is not pinned.
	PinDir string

	// Log may be nil.
	Log *slog.Logger
}

// A Process is who opened a connection, as noted by the kernel when it first
// did. Details that could not be read are zero.
type Process struct {
	PID, PPID int
	Started   time.Duration // since boot
	UID       uint32
	CgroupID  uint64 // the inode of the cgroup's directory
	Exe       ExeID
	Comm      string   // up to 15 bytes
	Path      string   // of the executable; begins with … where it was too long
	Args      []string // the first KiB
}

// An Event is a verdict. An unconnected socket's verdict is reported once for
// each destination, not with each datagram.
type Event struct {
	Time        time.Time
	Process     Process
	App         AppID
	Protocol    uint8
	Destination netip.AddrPort // what the process asked for
	Action      Action         // what was done
	Rule        uint32         // of the case; 0 where no case matched
	Cookie      uint64         // of the socket
	DNS         bool           // was sent to the resolver
}

// A Redirect is a connection to the gateway or the resolver, and what it was
// before.
type Redirect struct {
	Destination netip.AddrPort
	Process     Process
	App         AppID
	Rule        uint32
	Cookie      uint64
}

// A Feature is something of this system that guarding depends on.
type Feature struct {
	Name string
	Why  string // it is needed
	Err  error  // nil: it is there
	Fix  string // what to do if it is not
}

// ErrNoRedirect is returned for an address that no rewritten connection has.
var ErrNoRedirect = errors.New("no redirected connection has this source address")
