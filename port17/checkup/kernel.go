package checkup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// sysctls is where Linux shows its settings. Elsewhere there is nothing there.
const sysctls = "/proc/sys"

// A setting of the kernel that is worth changing on a busy node.
type setting struct {
	name  string // such as net/core/somaxconn
	exit  bool   // of use to exits alone
	quic  bool   // of use to entrances in QUIC alone
	well  func(values []int) bool
	value string // what to set it to
	why   string
}

func settings() []setting {
	atLeast := func(least int) func([]int) bool { return func(v []int) bool { return len(v) > 0 && v[0] >= least } }
	return []setting{
		{
			"net/core/somaxconn", false, false, atLeast(1024), "4096",
			"connections that come at once are lost",
		}, {
			"net/ipv4/tcp_slow_start_after_idle", false, false, func(v []int) bool { return len(v) > 0 && v[0] == 0 }, "0",
			"links are slow after each pause",
		}, {
			"net/core/rmem_max", false, true, atLeast(7 << 20), "7500000",
			"links in QUIC are slow",
		}, {
			"net/core/wmem_max", false, true, atLeast(7 << 20), "7500000",
			"links in QUIC are slow",
		}, {
			"net/ipv4/ip_local_port_range", true, false, func(v []int) bool { return len(v) == 2 && v[1]-v[0] >= 25000 }, "16384 65535",
			"there are few ports for connections to one destination",
		}, {
			"net/netfilter/nf_conntrack_max", true, false, atLeast(65536), "262144",
			"the firewall forgets connections when there are many",
		},
	}
}

func (r *report) checkKernel() {
	for _, s := range settings() {
		if s.exit && len(r.config.Exit.Rules()) == 0 || s.quic && len(r.config.ListenQUIC) == 0 {
			continue
		}
		f, ok := s.check(sysctls)
		if ok {
			r.findings = append(r.findings, f)
		}
	}
}

// check compares the setting below the folder. It is not ok where there is none.
func (s setting) check(root string) (f Finding, ok bool) {
	name := strings.ReplaceAll(s.name, "/", ".")
	b, err := os.ReadFile(filepath.Join(root, s.name))
	if errors.Is(err, fs.ErrNotExist) {
		return f, false
	}
	var values []int
	for _, field := range strings.Fields(string(b)) {
		v, failed := strconv.Atoi(field)
		err = errors.Join(err, failed)
		values = append(values, v)
	}
	f = Finding{Check: "kernel", Level: OK, Text: fmt.Sprintf("%s = %s", name, strings.Join(strings.Fields(string(b)), " "))}
	switch {
	case err != nil:
		f.Level, f.Text, f.Fix = Warning, fmt.Sprintf("%s can't be read: %v", name, err), "look at it with sysctl "+name
	case !s.well(values):
		f.Level, f.Text = Warning, f.Text+": "+s.why
		f.Fix = fmt.Sprintf("sysctl -w %s=%q, and in /etc/sysctl.d", name, s.value)
	}
	return f, true
}
