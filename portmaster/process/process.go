package process

import (
	"container/list"
	"strings"
	"sync"
	"time"

	"safing/portmaster/kernel"
)

// Info describes a process. What is not known is zero.
type Info struct {
	Path   string   // of the executable
	Args   []string // with the program's name, as it was started
	Cgroup string   // path in the cgroup v2 tree, such as /user.slice/app.scope
	Dir    string   // where it works
	Parent Parent
}

// A Parent is the process that started another, or took it over.
type Parent struct {
	PID  int
	Path string
}

// A Describer describes processes. Make one with [New].
type Describer struct {
	proc string // where procfs is mounted
	size int

	mu     sync.Mutex
	recent *list.List // of *known, the last one used in front
	byKey  map[key]*list.Element
}

// A key is one program image: the start tells processes apart, executable and
// arguments what execve has made of one.
type key struct {
	pid     int
	started time.Duration
	exe     kernel.ExeID
	args    string
}

type known struct {
	key  key
	info Info
}

const cacheSize = 1024

// New returns a Describer that remembers nothing yet.
func New() *Describer { return newDescriber("/proc", cacheSize) }

func newDescriber(proc string, size int) *Describer {
	return &Describer{proc: proc, size: size, recent: list.New(), byKey: make(map[key]*list.Element)}
}

// Describe returns what is known of p. The slices in it must not be changed.
func (d *Describer) Describe(p kernel.Process) Info {
	k := key{p.PID, p.Started, p.Exe, strings.Join(p.Args, "\x00")}
	if i, ok := d.remembered(k); ok {
		return i
	}
	i := d.read(p)
	d.remember(k, i)
	return i
}

func (d *Describer) remembered(k key) (Info, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.byKey[k]
	if !ok {
		return Info{}, false
	}
	d.recent.MoveToFront(e)
	return e.Value.(*known).info, true
}

func (d *Describer) remember(k key, i Info) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, ok := d.byKey[k]; ok {
		e.Value.(*known).info = i
		return
	}
	d.byKey[k] = d.recent.PushFront(&known{k, i})
	if d.recent.Len() > d.size {
		oldest := d.recent.Back()
		d.recent.Remove(oldest)
		delete(d.byKey, oldest.Value.(*known).key)
	}
}
