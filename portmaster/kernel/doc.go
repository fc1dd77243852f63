// Package kernel judges the connections of processes inside the kernel, before
// their first packet, and says who opened them.
//
// # How data flows
//
// [Load] attaches programs to the sockets of one cgroup. From then on nothing
// waits for this process:
//
//	connect, sendmsg ── executable ─▶ application   BindExe
//	                 ── address ────▶ flow, if any  SetFlow
//	                                  or entry of the longest prefix  SetPolicy
//	                 ── protocol, port ─▶ case ─▶ action
//
// Permit lets the call go on. Deny ends it with EPERM. Tunnel sends a TCP
// connection to the gateway, and is Deny for what is not TCP. An application
// without a policy, an address without an entry and an entry without a case
// that matches are all denied. What is sent to port 53 of any host, over TCP or
// UDP, goes to the resolver, whatever the policy says.
//
// A rewritten socket still shows the address that it asked for: getpeername
// and recvmsg put it back. Gateway and resolver find it by the source address
// of their client with [Guard.Original]; it is noted when the first packet
// leaves, so it is there before they see one.
//
// Every verdict becomes an [Event], which [Guard.Read] returns. Path, arguments
// and the rest of a [Process] are noted in the call that is judged, once for
// each program image, so they are known of a process that its refusal ended.
//
// IPv4 addresses in IPv6 form are IPv4. The unspecified address, which the
// system takes for the own host, is judged as the loopback address.
//
// # Concurrency
//
// All methods of a [Guard] may be called from any goroutine. Calls of Read wait
// for each other. Verdicts are made on all processors at once and see the
// tables as they are at that moment.
//
// # Who is guarded
//
// A socket belongs to the cgroup in which it was made, wherever its process
// moves later. The process that called Load is exempt, its children are not.
// Sockets that were connected before Load, or before a change of policy, stay
// connected.
//
// Only TCP and UDP sockets can be made. Raw sockets and those of ping, SCTP and
// the like are refused with EPERM, since connect does not see what they send;
// they make no event. MPTCP is refused as if the kernel had none, so programs
// use TCP.
//
// # What it does not do
//
//   - It does not see packet sockets (AF_PACKET), which need CAP_NET_RAW. A
//     process with that, or with CAP_BPF, can get around it.
//   - It judges what is opened, not what is accepted: servers may listen.
//   - A process in another network namespace than that of Load, such as a
//     container's, is judged too, but resolver and gateway are sought in its own
//     namespace and are not there.
//   - A socket that is bound to a device other than loopback cannot reach a
//     resolver or gateway on loopback.
//   - An executable is a file. Scripts of one interpreter, and whatever runs
//     under one binary, are one application. In the overlay and btrfs file
//     systems two files can have the same number; see
//     docs/decisions/kernel-attribution.md.
//   - A socket that asks several DNS servers without connecting sees the last
//     one as the sender of all answers.
//   - Without PinDir the programs end with this process, and guarding with them.
//     With it they stay after a crash, and hold to the last policy: names do not
//     resolve and tunnels are refused, but a permitted address stays permitted.
//     The bpffs must not be in a mount namespace that ends with the process.
package kernel
