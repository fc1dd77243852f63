// Package metrics shows what a node counts to Prometheus, and whether it is
// well.
//
//	GET /metrics  the Prometheus text format; docs/node.md#metrics explains each
//	GET /healthz  200, or 503 with what is wrong
//
// All numbers are sums: there is nothing about one user, one destination or one
// neighbour in them. They are taken when somebody asks, and cost nothing
// otherwise. Whoever can ask learns how much the node does at the moment, which
// helps who watches a network to correlate: the address is to be a loopback one.
package metrics
