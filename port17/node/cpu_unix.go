//go:build unix

package node

import (
	"syscall"
	"time"
)

// processTime returns how much CPU time the process has used; 0 if the system
// does not say.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
