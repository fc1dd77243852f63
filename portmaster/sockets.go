package portmaster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"safing/portmaster/history"
)

const (
	socketsInterval = 2 * time.Second
	socketsGrace    = time.Second // a connection this young may not be listed yet
)

// A socket is what the kernel counts for an open socket.
type socket struct{ sent, received uint64 }

// sockets watches the permitted connections, which do not pass through the
// daemon: how much they carried, and when they ended.
type sockets struct {
	table *history.Table
	list  func() (map[uint64]socket, error) // by cookie
	alive func(pid int) bool
	// ours says whether the process shares the daemon's network namespace:
	// only those sockets are listed.
	ours func(pid int) bool
	log  *slog.Logger
}

func newSockets(table *history.Table, log *slog.Logger) *sockets {
	return &sockets{table: table, list: listSockets, alive: processAlive, ours: sameNetwork, log: log}
}

// run looks again and again until ctx ends.
func (s *sockets) run(ctx context.Context) {
	for wait(ctx, socketsInterval) {
		s.look(time.Now())
	}
}

// look asks the kernel once, if anything is open.
func (s *sockets) look(now time.Time) {
	open := s.table.Unclaimed()
	if len(open) == 0 {
		return
	}
	there, err := s.list()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		s.log.Debug("list the open sockets", "error", err)
	}
	for _, c := range open {
		if x, ok := there[c.Key.Cookie]; ok {
			s.table.Count(c.ID, x.sent, x.received)
			continue
		}
		if now.Sub(c.Started) < socketsGrace {
			continue
		}
		if !s.alive(c.PID) || err == nil && s.ours(c.PID) {
			s.table.End(c.ID, now, "")
		}
	}
}

func processAlive(pid int) bool {
	_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	return err == nil
}

// sameNetwork compares network namespaces. A process that cannot be looked at
// counts as elsewhere.
func sameNetwork(pid int) bool {
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return false
	}
	its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	return err == nil && its == own
}
