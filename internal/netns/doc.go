// Package netns makes network namespaces for tests and measurements.
//
// A namespace is held by one locked thread of this process. What runs inside
// Do, and every process that it starts there, sees only that namespace: a
// fresh loopback device and nothing else. Closing the namespace ends the
// thread; the kernel removes the namespace with its last process.
//
// Do may be called from any goroutine; calls run one after the other. Sockets
// opened inside Do stay in the namespace wherever they are used later.
//
// It needs root, and Linux. It is not for shipped programs.
package netns
