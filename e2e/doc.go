// Package e2e tests the products together, as a user runs them: the real
// binaries, real sockets, the kernel's hooks, a real browser.
//
// The tests build the four programs, move into a network namespace of their
// own, start a lab there, and drive it from its command line and its page.
// They need root, curl and Debian's chromium-headless-shell, and say so when
// something is missing.
package e2e
