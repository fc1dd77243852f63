// Package soak puts mixed load on a Port17 network and checks every byte of it.
//
//	Load ── SOCKS ──► client ── circuits ──► exit ── TCP, UDP ──► Server
//
// A [Load]'s workers open streams of several kinds one after the other, through
// the clients' proxies: bulk in both directions, small requests, requests that
// are half-closed, idle ones, some whose user stops reading or vanishes, and
// datagrams. What the destination, a [Server], sends is given by a number that
// goes along with the request, so both ends check what they get byte by byte.
// A stream ends in one of three ways: right; broken, with an error; or wrong:
// with other bytes, with an end that looks like a whole one but comes too early,
// or not at all. What is wrong is a bug.
//
// A [Hostile] is a neighbour that sends what it should not: garbage instead of
// a hello, floods of CREATE, cells that mean nothing, circuits that it leaves.
//
// Random choices come from a seed and the worker's number; when what happens is
// for the network and the scheduler to say. Whoever starts nodes, kills them
// and cuts links is the package's user. It serves tests and the lab.
package soak
