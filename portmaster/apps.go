package portmaster

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"safing/portmaster/history"
	"safing/portmaster/kernel"
	"safing/profile"
)

// A binder is the kernel's table of executables.
type binder interface {
	BindExe(exe kernel.ExeID, app kernel.AppID) error
	UnbindExe(exe kernel.ExeID) error
}

// An app is an application with a profile of its own.
type app struct {
	number  kernel.AppID // never used again for another
	profile *profile.Profile
	file    string
	bad     error // why the file cannot be read any more; profile is the last good one
}

// apps are the applications that have profiles, and which executables are
// theirs.
type apps struct {
	dir  string
	exes binder
	stat func(path string) (kernel.ExeID, error)
	log  *slog.Logger

	mu       sync.Mutex
	last     kernel.AppID
	byID     map[string]*app
	byNumber map[kernel.AppID]*app
	bound    map[kernel.ExeID]binding
	problems []string
}

type binding struct {
	app  kernel.AppID
	path string
}

func newApps(dir string, log *slog.Logger) *apps {
	return &apps{
		dir: dir, stat: kernel.StatExe, log: log,
		byID: make(map[string]*app), byNumber: make(map[kernel.AppID]*app), bound: make(map[kernel.ExeID]binding),
	}
}

// load reads the profiles again. Of a file that is wrong the last good reading
// stays; its error is among those returned. Gone are the applications whose
// file is gone.
func (a *apps) load() (gone []kernel.AppID, err error) {
	files, err := filepath.Glob(filepath.Join(a.dir, "*.toml"))
	if err != nil {
		return nil, fmt.Errorf("list the profiles: %w", err)
	}
	if len(files) > profile.CountLimit {
		return nil, fmt.Errorf("%s holds %d profiles: at most %d can be used", a.dir, len(files), profile.CountLimit)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	there := make(map[string]bool)
	var errs []error
	for _, file := range files {
		id := strings.TrimSuffix(filepath.Base(file), ".toml")
		p, err := readProfile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just been removed
		}
		there[id] = true
		a.takeLocked(id, file, p, err)
		if err != nil {
			errs = append(errs, err)
		}
	}
	for id, x := range a.byID {
		if !there[id] {
			delete(a.byID, id)
			delete(a.byNumber, x.number)
			gone = append(gone, x.number)
		}
	}
	return gone, errors.Join(errs...)
}

func readProfile(file string) (*profile.Profile, error) {
	info, err := os.Stat(file)
	if err == nil && info.Size() > profile.SizeLimit {
		return nil, fmt.Errorf("%s: larger than %d bytes", file, profile.SizeLimit)
	}
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return profile.Parse(file, text)
}

func (a *apps) takeLocked(id, file string, p *profile.Profile, err error) {
	x := a.byID[id]
	if err != nil {
		if x != nil {
			x.bad = err
		}
		return
	}
	if x == nil {
		a.last++
		x = &app{number: a.last, file: file}
		a.byID[id], a.byNumber[x.number] = x, x
	}
	x.profile, x.bad = p, nil
}

// bind tells the kernel which executables belong to which application. A
// program's update puts another file at the path, so this is done again and
// again.
func (a *apps) bind() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	want, problems := a.wantedLocked()
	a.problems = problems
	var errs []error
	for exe := range a.bound {
		if _, ok := want[exe]; !ok {
			errs = append(errs, a.exes.UnbindExe(exe))
			delete(a.bound, exe)
		}
	}
	for exe, b := range want {
		if a.bound[exe] == b {
			continue
		}
		if err := a.exes.BindExe(exe, b.app); err != nil {
			errs = append(errs, fmt.Errorf("bind %s to its profile: %w", b.path, err))
			continue
		}
		a.bound[exe] = b
	}
	return errors.Join(errs...)
}

// wantedLocked finds the executables on this machine. One that two profiles
// name belongs to the first by ID.
func (a *apps) wantedLocked() (want map[kernel.ExeID]binding, problems []string) {
	want = make(map[kernel.ExeID]binding)
	for _, id := range slices.Sorted(maps.Keys(a.byID)) {
		x := a.byID[id]
		for _, path := range x.profile.Paths {
			exe, err := a.stat(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue // the program is not installed
			}
			if err != nil {
				problems = append(problems, fmt.Sprintf("%s: %v", x.file, err))
				continue
			}
			if other, taken := want[exe]; taken && other.app != x.number {
				problems = append(problems, fmt.Sprintf("%s: %s belongs to the profile %s already; it stays there", x.file, path, a.byNumber[other.app].profile.ID))
				continue
			}
			want[exe] = binding{x.number, path}
		}
	}
	return want, problems
}

// names says whether a profile names the path.
func (a *apps) names(path string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, x := range a.byID {
		if slices.Contains(x.profile.Paths, path) {
			return true
		}
	}
	return false
}

// known returns the application of a number; the zero value stands for those
// without a profile.
func (a *apps) known(number kernel.AppID) history.App {
	a.mu.Lock()
	defer a.mu.Unlock()
	if x := a.byNumber[number]; x != nil {
		return history.App{ID: x.profile.ID, Name: cmp.Or(x.profile.Name, x.profile.ID)}
	}
	return history.App{}
}

// profiles are all profiles in force.
func (a *apps) profiles() []*profile.Profile {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []*profile.Profile
	for _, id := range slices.Sorted(maps.Keys(a.byID)) {
		all = append(all, a.byID[id].profile)
	}
	return all
}

// numbers are the kernel's numbers of all profiles by ID, and 0 for the
// applications that have none.
func (a *apps) numbers() map[string]kernel.AppID {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := map[string]kernel.AppID{"": 0}
	for id, x := range a.byID {
		all[id] = x.number
	}
	return all
}

// list is a copy of all applications with the executables bound to each.
func (a *apps) list() (all []app, bound map[kernel.AppID][]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(a.byID)) {
		all = append(all, *a.byID[id])
	}
	bound = make(map[kernel.AppID][]string)
	for _, b := range a.bound {
		bound[b.app] = append(bound[b.app], b.path)
	}
	for _, paths := range bound {
		slices.Sort(paths)
	}
	return all, bound
}

// trouble lists what someone should repair.
func (a *apps) trouble() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := slices.Clone(a.problems)
	for _, id := range slices.Sorted(maps.Keys(a.byID)) {
		if x := a.byID[id]; x.bad != nil {
			all = append(all, fmt.Sprintf("%v; the profile as it was before stays in force", x.bad))
		}
	}
	return all
}
