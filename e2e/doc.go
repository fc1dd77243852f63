// Package e2e tests the products together, as a user runs them: the real
// binaries, real sockets, the kernel's hooks, a real browser.
//
// The tests build the four programs, move into a network namespace of their
// own, start a lab there, and drive it from its command line and its page.
// Others take programs that people use through the Port17 network alone, or
// capture what is on its links. They need root, and from Debian curl,
// chromium-headless-shell, bind9-dnsutils and iperf3, and say so when something
// is missing.
package e2e
