package authority

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"safing/netmap"
)

// published makes facts of descriptors and keys of the node, from the oldest on.
func published(id netmap.NodeID, names ...string) map[digest]facts {
	all := make(map[digest]facts)
	for i, name := range names {
		all[someDigest(name)] = facts{id: id, published: period().Add(time.Duration(i-len(names)) * time.Minute)}
	}
	return all
}

func named(names ...string) (digests []digest) {
	for _, name := range names {
		digests = append(digests, someDigest(name))
	}
	return digests
}

// Three authorities, of which two have to agree.
func TestTally(t *testing.T) {
	q, _ := assembly(t, 3, 2)
	id := netmap.NodeID{1}
	up := func(d ...string) opinion {
		return opinion{ID: id, Descriptors: named(d...), Keys: named("keys"), Reachable: true}
	}
	down := opinion{ID: id, Descriptors: named("new"), Keys: named("keys")}
	with := func(o opinion, change func(o *opinion)) opinion { change(&o); return o }
	measured := func(c uint64) opinion { return with(up("new"), func(o *opinion) { o.Capacity = c }) }
	keyed := func(k ...string) opinion { return with(up("new"), func(o *opinion) { o.Keys = named(k...) }) }
	bad := with(up("new"), func(o *opinion) { o.BadExit = true })
	node := func(change func(m *member)) []member {
		m := member{id: id, descriptor: someDigest("new"), keys: someDigest("keys")}
		change(&m)
		return []member{m}
	}
	same := func(*member) {}
	all := published(id, "older", "old", "new", "keys", "newer keys", "odd keys", "odd")
	for _, name := range []string{"odd", "odd keys"} {
		f := all[someDigest(name)]
		f.binding = [32]byte{1}
		all[someDigest(name)] = f
	}
	all[someDigest("of another")] = facts{id: netmap.NodeID{2}, published: period()}
	for name, test := range map[string]struct {
		opinions []opinion
		want     []member
	}{
		"all agree":               {[]opinion{up("new"), up("new"), up("new")}, node(same)},
		"one is down":             {[]opinion{up("new"), up("new")}, node(same)},
		"one alone":               {[]opinion{up("new")}, nil},
		"one can't reach it":      {[]opinion{up("new"), up("new"), down}, node(same)},
		"one alone reaches it":    {[]opinion{up("new"), down, down}, nil},
		"one has an older one":    {[]opinion{up("new", "old"), up("new"), up("old")}, node(same)},
		"new to one only":         {[]opinion{up("new", "old"), up("old"), up("old")}, node(func(m *member) { m.descriptor = someDigest("old") })},
		"two agree on each":       {[]opinion{up("new", "old"), up("old", "new"), up("old", "older")}, node(same)},
		"all name others":         {[]opinion{up("new"), up("old"), up("older")}, nil},
		"of another node":         {[]opinion{up("of another"), up("of another"), up("of another")}, nil},
		"measured by all":         {[]opinion{measured(30), measured(10), measured(20)}, node(func(m *member) { m.capacity = 20 })},
		"measured by two":         {[]opinion{measured(30), measured(10), up("new")}, node(func(m *member) { m.capacity = 10 })},
		"measured by one":         {[]opinion{measured(30), up("new"), up("new")}, node(same)},
		"bad exit for two":        {[]opinion{bad, bad, up("new")}, node(func(m *member) { m.badExit = true })},
		"bad exit for one":        {[]opinion{bad, up("new"), up("new")}, node(same)},
		"newer keys":              {[]opinion{keyed("newer keys", "keys"), keyed("keys", "newer keys")}, node(func(m *member) { m.keys = someDigest("newer keys") })},
		"keys of another binding": {[]opinion{keyed("odd keys"), keyed("odd keys"), up("new")}, nil},
		"keys of one vote":        {[]opinion{keyed("keys"), keyed("newer keys"), keyed("newer keys")}, node(func(m *member) { m.keys = someDigest("newer keys") })},
		"no keys":                 {[]opinion{keyed(), keyed("keys"), keyed()}, nil},
		"no keys of the newest":   {[]opinion{up("odd", "new"), up("odd", "new")}, node(same)},
	} {
		var votes []*vote
		for i, o := range test.opinions {
			votes = append(votes, &vote{author: uint32(i), opinions: []opinion{o}})
		}
		got, err := (&tally{quorum: q, facts: all, standing: nobody()}).members(votes)
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(member{})); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestTallyOfSpecialNodes(t *testing.T) {
	q, _ := assembly(t, 3, 2)
	id := netmap.NodeID{1}
	votes := func(o opinion) (all []*vote) {
		for i := range uint32(3) {
			all = append(all, &vote{author: i, opinions: []opinion{o}})
		}
		return all
	}
	up := opinion{ID: id, Descriptors: named("d"), Keys: named("k"), Reachable: true, Capacity: 50}
	closed := map[digest]facts{someDigest("d"): {id: id, closed: true}, someDigest("k"): {id: id}}
	if got, err := (&tally{quorum: q, facts: closed, standing: nobody()}).members(votes(up)); err != nil || got != nil {
		t.Errorf("a closed node is listed: %v, %v", got, err)
	}
	declared := map[digest]facts{someDigest("d"): {id: id, capacity: 40}, someDigest("k"): {id: id}}
	if got, err := (&tally{quorum: q, facts: declared, standing: nobody()}).members(votes(up)); err != nil || got[0].capacity != 40 {
		t.Errorf("more than the node declares: %v, %v", got, err)
	}
	if _, err := (&tally{quorum: q, standing: nobody()}).members(votes(up)); err == nil {
		t.Error("no error where a descriptor is missing")
	}
}

// nobody is what no statements come to.
func nobody() *netmap.Standing { return (&netmap.Network{Threshold: 1}).Stand(nil, period()) }

// judgement is an authority's statement about a node, as it is when it was read.
func judgement(author int, id netmap.NodeID, a netmap.Action, day int) netmap.Statement {
	date := period().AddDate(0, 0, day-10)
	return netmap.Statement{
		Authority: author, Date: date, Signed: []byte(fmt.Sprint(author, id, a, day)),
		Moderation: &netmap.Moderation{Node: id, Action: a, Date: date},
	}
}

func TestStanding(t *testing.T) {
	q, _ := assembly(t, 3, 2)
	id := netmap.NodeID{1}
	var votes []*vote
	for i := range uint32(3) {
		votes = append(votes, &vote{author: i, opinions: []opinion{{ID: id, Descriptors: named("d"), Keys: named("k"), Reachable: true}}})
	}
	judge := func(author, day int, a netmap.Action) netmap.Statement { return judgement(author, id, a, day) }
	for name, test := range map[string]struct {
		statements      []netmap.Statement
		listed, trusted bool
	}{
		"one suspends":     {[]netmap.Statement{judge(0, 1, netmap.Suspend)}, true, false},
		"two suspend":      {[]netmap.Statement{judge(0, 1, netmap.Suspend), judge(1, 2, netmap.Suspend)}, false, false},
		"one restores":     {[]netmap.Statement{judge(0, 1, netmap.Suspend), judge(1, 2, netmap.Suspend), judge(1, 3, netmap.Restore)}, true, false},
		"trust is apart":   {[]netmap.Statement{judge(0, 1, netmap.Suspend), judge(1, 2, netmap.Suspend), judge(1, 3, netmap.Trust)}, false, false},
		"one trusts":       {[]netmap.Statement{judge(0, 1, netmap.Trust)}, true, false},
		"two trust":        {[]netmap.Statement{judge(0, 1, netmap.Trust), judge(2, 1, netmap.Trust)}, true, true},
		"of another node":  {[]netmap.Statement{judge(0, 1, netmap.Trust), judgement(1, netmap.NodeID{2}, netmap.Trust, 1)}, true, false},
		"later than these": {[]netmap.Statement{judge(0, 1, netmap.Suspend), judge(1, 11, netmap.Suspend)}, true, false},
	} {
		standing := (&netmap.Network{Threshold: 2}).Stand(test.statements, period())
		got, err := (&tally{quorum: q, facts: published(id, "d", "k"), standing: standing}).members(votes)
		if err != nil || len(got) == 1 != test.listed || test.listed && got[0].trusted != test.trusted {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// A hostileElection has honest authorities who see the same, and as many hostile
// ones as there may be, who say anything.
type hostileElection struct {
	tally
	votes      []*vote
	statements []netmap.Statement
	measured   map[netmap.NodeID][]uint64 // by honest authorities
}

func newHostileElection(t *rapid.T) *hostileElection {
	k := rapid.IntRange(1, 4).Draw(t, "k")
	n := rapid.IntRange(k, 2*k-1).Draw(t, "n")
	q, _ := assembly(t, n, k)
	e := &hostileElection{tally: tally{quorum: q, facts: make(map[digest]facts)}, measured: make(map[netmap.NodeID][]uint64)}
	for author := range uint32(n) {
		v := &vote{author: author, period: period()}
		for node := range byte(4) {
			id := netmap.NodeID{1 + node}
			name := fmt.Sprint("descriptor", node)
			o := opinion{ID: id, Descriptors: named(name), Keys: named("keys of " + name), Reachable: node%2 == 0, Capacity: rapid.Uint64Range(0, 9).Draw(t, "capacity")}
			e.facts[someDigest(name)] = facts{id: id, published: period()}
			e.facts[someDigest("keys of "+name)] = facts{id: id, published: period()}
			if int(author) < k {
				if o.Capacity > 0 {
					e.measured[id] = append(e.measured[id], o.Capacity)
				}
			} else {
				e.corrupt(t, author, &o)
			}
			v.opinions = append(v.opinions, o)
		}
		e.votes = append(e.votes, v)
	}
	e.standing = (&netmap.Network{Threshold: k}).Stand(e.statements, period())
	return e
}

func (e *hostileElection) corrupt(t *rapid.T, author uint32, o *opinion) {
	o.Reachable, o.BadExit = rapid.Bool().Draw(t, "reachable"), rapid.Bool().Draw(t, "bad")
	o.Capacity = rapid.SampledFrom([]uint64{0, 1, 1 << 60}).Draw(t, "claimed")
	if rapid.Bool().Draw(t, "withheld") { // all hostile ones name the same, which nobody else has
		o.Descriptors = named(fmt.Sprint("withheld", o.ID))
		o.Keys = named(fmt.Sprint("withheld keys", o.ID))
	}
	for _, a := range []netmap.Action{netmap.Suspend, netmap.Trust} {
		if rapid.Bool().Draw(t, "judge") {
			e.statements = append(e.statements, judgement(int(author), o.ID, a, 1))
		}
	}
}

func TestHostileMinority(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := newHostileElection(t)
		got, err := e.members(e.votes)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 || got[0].id != (netmap.NodeID{1}) || got[1].id != (netmap.NodeID{3}) {
			t.Fatalf("nodes 1 and 3 are reachable, and the map has %+v", got)
		}
		for _, m := range got {
			if m.trusted || m.badExit || m.descriptor != someDigest(fmt.Sprint("descriptor", m.id[0]-1)) {
				t.Fatalf("a minority has decided: %+v", m)
			}
			if m.capacity > 0 && (len(e.measured[m.id]) == 0 || m.capacity > slices.Max(e.measured[m.id])) {
				t.Fatalf("capacity %d, honest authorities have measured %d", m.capacity, e.measured[m.id])
			}
		}
	})
}

func TestOrderOfVotesDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := newHostileElection(t)
		want, err := e.members(e.votes)
		if err != nil {
			t.Fatal(err)
		}
		wantNamed := e.quorum.agreed(e.votes)
		seed := rapid.Uint64().Draw(t, "seed")
		order := rand.New(rand.NewPCG(seed, 0))
		order.Shuffle(len(e.votes), func(i, j int) { e.votes[i], e.votes[j] = e.votes[j], e.votes[i] })
		got, err := e.members(e.votes)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(member{})); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
		if !slices.Equal(wantNamed, e.quorum.agreed(e.votes)) {
			t.Fatal("what is needed depends on the order")
		}
	})
}

// A vote that names the same for many nodes counts once for each: what one
// hostile authority invents is not needed by anybody.
func TestAgreedCountsVotes(t *testing.T) {
	q, _ := assembly(t, 3, 2)
	invented := []digest{someDigest("invented")}
	v := &vote{opinions: []opinion{
		{ID: netmap.NodeID{1}, Descriptors: invented, Keys: invented},
		{ID: netmap.NodeID{2}, Descriptors: invented, Keys: invented},
	}}
	if got := q.agreed([]*vote{v}); len(got) != 0 {
		t.Errorf("needed: %x", got)
	}
	if got := q.agreed([]*vote{v, v}); !slices.Equal(got, invented) {
		t.Errorf("named by two: %x", got)
	}
}
