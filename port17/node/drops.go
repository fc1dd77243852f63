package node

// Drops says how many datagrams an exit did not pass on, by reason.
type Drops struct {
	Policy   uint64 // to where the exit's policy does not lead
	Limit    uint64 // to more addresses than the exit's limits allow
	Name     uint64 // to names without an address, or too many at a time
	Stranger uint64 // from addresses to which nothing was sent
	Full     uint64 // to an origin that takes them too slowly
	Failed   uint64 // that the system did not take, or that were too long
}

type drop int

const (
	dropPolicy drop = iota
	dropLimit
	dropName
	dropStranger
	dropFull
	dropFailed
	dropReasons
)

func (e *exit) drop(d drop) { e.drops[d].Add(1) }

// Drops returns what the node has counted since it started.
func (n *Node) Drops() Drops {
	count := func(d drop) uint64 { return n.exit.drops[d].Load() }
	return Drops{
		Policy: count(dropPolicy), Limit: count(dropLimit), Name: count(dropName), Stranger: count(dropStranger),
		Full: count(dropFull), Failed: count(dropFailed),
	}
}
