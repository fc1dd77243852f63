// Package portmaster is the application firewall's daemon: it joins the parts
// that guard, judge, answer, carry, remember and show.
//
// # How data flows
//
//	profiles, settings, lists ─► verdict.Engine ─► kernel.Guard: rules, executables
//	                                   │
//	a program asks for a name ─► kernel ─► resolver ─► may it? ─► upstream
//	                                   │      └─► names ─► kernel.Guard: addresses
//	a program connects ─► kernel: permit │ deny │ tunnel ─► gateway ─► Tunnel
//	                         └─► events ─► recorder ─┐           │
//	                                                 └─► history.Table ─► api, ui
//
// [Start] assembles them in the folder that [Config] names:
//
//	portmaster.toml   settings, see [Settings]; may be missing
//	profiles/*.toml   what each application may do, see package profile
//	lists/            copies of filter lists
//	history.db        past connections
//	api.sock          the socket of the command line
//	token             the secret of the page
//	lock              held by the daemon that uses the folder
//
// Profiles and settings are read again when they change. What is wrong in them
// becomes a problem in the status, and what was in force before stays.
//
// # What fails closed
//
// A connection with the verdict tunnel comes to the gateway, which dials
// nothing but the [Tunnel]: without one, or when it breaks, the application's
// connection is reset. An answer to a DNS question leaves only after the
// kernel knows its addresses. When the daemon is killed, the kernel's programs
// stay, and nothing new is resolved or tunnelled until it is started again.
//
// # Concurrency
//
// All methods of a [Daemon] may be called from any goroutine, but Close once
// and last. Implementations of [Tunnel] are called by many goroutines.
//
// The package knows no network but the Tunnel that it is given, and does not
// read or change what connections carry.
package portmaster
