package traceroute

import (
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// Trace works for those who are not root.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		self := netip.MustParseAddr("127.0.0.1")
		p, err := Trace(t.Context(), self, quick)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, p, Reached, self)
		return
	}
	itself, err := os.Open("/proc/self/exe") // which others may lack the right to open by its path
	if err != nil {
		t.Fatal(err)
	}
	defer itself.Close()
	c := exec.CommandContext(t.Context(), "/proc/self/fd/3", "-test.run=^TestUnprivileged$")
	c.ExtraFiles = []*os.File{itself}
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}
