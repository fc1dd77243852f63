package portmaster

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"safing/portmaster/kernel"
)

// executables is a kernel table that remembers.
type executables map[kernel.ExeID]kernel.AppID

func (e executables) BindExe(exe kernel.ExeID, app kernel.AppID) error { e[exe] = app; return nil }
func (e executables) UnbindExe(exe kernel.ExeID) error                 { delete(e, exe); return nil }

// machine is the programs that are installed: path → file.
type machine map[string]kernel.ExeID

func (m machine) stat(path string) (kernel.ExeID, error) {
	exe, ok := m[path]
	if !ok {
		return exe, fs.ErrNotExist
	}
	return exe, nil
}

func newTestApps(t *testing.T, m machine, profiles map[string]string) (*apps, executables) {
	t.Helper()
	bound := make(executables)
	a := newApps(t.TempDir(), slog.New(slog.DiscardHandler))
	a.stat, a.exes = m.stat, bound
	for id, text := range profiles {
		writeProfile(t, a, id, text)
	}
	return a, bound
}

func writeProfile(t *testing.T, a *apps, id, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, id+".toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	curlProfile = "name = \"curl\"\npaths = [\"/usr/bin/curl\"]\ndefault = \"tunnel\"\nrules = [\"deny 127.0.0.66\"]\n"
	sshProfile  = "name = \"Secure shell\"\npaths = [\"/usr/bin/ssh\", \"/usr/bin/scp\"]\ndefault = \"permit\"\n"
)

func mustLoad(t *testing.T, a *apps) {
	t.Helper()
	if _, err := a.load(); err != nil {
		t.Fatal(err)
	}
	if err := a.bind(); err != nil {
		t.Fatal(err)
	}
}

func TestProgramsBelongToTheirProfiles(t *testing.T) {
	m := machine{"/usr/bin/curl": {Ino: 1}, "/usr/bin/ssh": {Ino: 2}}
	a, bound := newTestApps(t, m, map[string]string{"curl": curlProfile, "ssh": sshProfile})
	mustLoad(t, a)
	numbers := a.numbers()
	if len(bound) != 2 || bound[kernel.ExeID{Ino: 1}] != numbers["curl"] || bound[kernel.ExeID{Ino: 2}] != numbers["ssh"] {
		t.Fatalf("bound %v, numbers %v", bound, numbers)
	}
	m["/usr/bin/curl"], m["/usr/bin/scp"] = kernel.ExeID{Ino: 11}, kernel.ExeID{Ino: 3} // an update, a new program
	mustLoad(t, a)
	if len(bound) != 3 || bound[kernel.ExeID{Ino: 11}] != numbers["curl"] || bound[kernel.ExeID{Ino: 3}] != numbers["ssh"] {
		t.Errorf("after an update: bound %v", bound)
	}
	if !a.names("/usr/bin/curl") || a.names("/usr/bin/wget") {
		t.Error("the profiles' paths are not known")
	}
	if err := os.Remove(filepath.Join(a.dir, "ssh.toml")); err != nil {
		t.Fatal(err)
	}
	gone, err := a.load()
	if err != nil || len(gone) != 1 || gone[0] != numbers["ssh"] {
		t.Errorf("after a profile is gone: %v, %v", gone, err)
	}
	if err := a.bind(); err != nil || len(bound) != 1 {
		t.Errorf("its programs are still bound: %v, %v", bound, err)
	}
	writeProfile(t, a, "ssh", sshProfile)
	mustLoad(t, a)
	if again := a.numbers()["ssh"]; again == numbers["ssh"] || again == numbers["curl"] {
		t.Errorf("the number %d was used again", again)
	}
}

func TestABrokenProfileKeepsTheLastGoodOne(t *testing.T) {
	a, _ := newTestApps(t, machine{}, map[string]string{"curl": curlProfile})
	mustLoad(t, a)
	writeProfile(t, a, "curl", strings.Replace(curlProfile, "127.0.0.66", "127.0.0.666", 1))
	_, err := a.load()
	if err == nil || !strings.Contains(err.Error(), filepath.Join(a.dir, "curl.toml")+":4:") {
		t.Errorf("the error does not name the place: %v", err)
	}
	if p := a.profiles(); len(p) != 1 || len(p[0].Rules) != 1 {
		t.Errorf("the last good profile is gone: %v", p)
	}
	if p := a.trouble(); len(p) != 1 || !strings.Contains(p[0], "stays in force") {
		t.Errorf("problems: %v", p)
	}
	writeProfile(t, a, "curl", curlProfile)
	mustLoad(t, a)
	if p := a.trouble(); len(p) != 0 {
		t.Errorf("problems after it was repaired: %v", p)
	}
}

func TestTwoProfilesForOneProgram(t *testing.T) {
	m := machine{"/usr/bin/curl": {Ino: 1}}
	a, bound := newTestApps(t, m, map[string]string{"curl": curlProfile, "curl2": curlProfile})
	mustLoad(t, a)
	if bound[kernel.ExeID{Ino: 1}] != a.numbers()["curl"] {
		t.Errorf("bound %v, numbers %v", bound, a.numbers())
	}
	if p := a.trouble(); len(p) != 1 || !strings.Contains(p[0], "curl2.toml") || !strings.Contains(p[0], "profile curl ") {
		t.Errorf("problems: %v", p)
	}
}

func TestFindApplication(t *testing.T) {
	m := machine{"/usr/bin/curl": {Ino: 1}, "/bin/curl": {Ino: 1}, "/usr/bin/wget": {Ino: 9}}
	a, _ := newTestApps(t, m, map[string]string{"curl": curlProfile, "ssh": sshProfile})
	mustLoad(t, a)
	for name, want := range map[string]string{
		"curl": "curl", "/usr/bin/curl": "curl", "/bin/curl": "curl", "secure shell": "ssh", "/usr/bin/ssh": "ssh",
		"/usr/bin/wget": "", "": "",
	} {
		number, app, err := a.find(name)
		if err != nil || app.ID != want || number != a.numbers()[want] {
			t.Errorf("%q: got %d %+v, %v; want %q", name, number, app, err, want)
		}
	}
	for name, want := range map[string]string{"netscape": "no profile is called", "/usr/bin/netscape": "there is no program"} {
		if _, _, err := a.find(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", name, err)
		}
	}
}
