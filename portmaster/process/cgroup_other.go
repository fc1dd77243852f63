//go:build !linux

package process

// cgroupPath knows no groups: only Linux has them.
func cgroupPath(uint64) string { return "" }
