package netns

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Namespace is a network namespace with its loopback device up.
type Namespace struct {
	jobs chan func()
	done chan struct{}
	path string
}

// New makes a namespace. The error wraps [os.ErrPermission] when the process
// lacks the privilege.
func New() (*Namespace, error) {
	n := &Namespace{jobs: make(chan func()), done: make(chan struct{})}
	made := make(chan error, 1)
	go n.hold(made)
	if err := <-made; err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	return n, nil
}

// hold owns the thread. It never unlocks it, so the thread, which is in
// another namespace than the rest of the process, ends with this goroutine.
func (n *Namespace) hold(made chan<- error) {
	defer close(n.done)
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err == nil {
		err = loopbackUp()
	}
	n.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
	made <- err
	if err != nil {
		return
	}
	for job := range n.jobs {
		job()
	}
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback device: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set the loopback device up: %w", err)
	}
	return nil
}

// Do runs f inside the namespace and returns its error. f must not leave
// goroutines behind that open sockets: they would run outside.
func (n *Namespace) Do(f func() error) error {
	result := make(chan error, 1)
	select {
	case n.jobs <- func() { result <- f() }:
		return <-result
	case <-n.done:
		return errors.New("network namespace is closed")
	}
}

// Path is a file that stands for the namespace while it is open, as nsenter
// --net takes it.
func (n *Namespace) Path() string { return n.path }

// Close ends the namespace's thread. Processes in the namespace keep it alive
// until they end. Close must be called once, after the last Do returned.
func (n *Namespace) Close() {
	close(n.jobs)
	<-n.done
}

// Available says whether this process can make namespaces: nil, or an error
// that says what is missing.
func Available() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("network namespaces need root: %w", os.ErrPermission)
	}
	return nil
}
