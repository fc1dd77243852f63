// Package checkup looks whether a node is set up well: its key, its addresses,
// its machine, and what the network says of it. It may run beside the node or
// before that starts, changes nothing, and sends nothing that the node would not
// send.
//
// Run may be called from any goroutine.
package checkup
