package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func TestTorFollowsItsRules(t *testing.T) {
	w := testWorld(t, 300)
	tor := NewTor(w)
	tunnels, err := w.run(t.Context(), tor, 5000, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	guards := make(map[int32]int16)
	for _, one := range tunnels.all {
		if one.count != 3 {
			t.Fatalf("%d nodes", one.count)
		}
		g, m, e := int(one.nodes[0]), int(one.nodes[1]), int(one.nodes[2])
		if !tor.guard[g] || !w.Nodes[g].Stable || !w.Nodes[e].Exit {
			t.Fatal("the first is no guard or the last no exit")
		}
		if tor.related(g, m) || tor.related(g, e) || tor.related(m, e) {
			t.Fatal("two of an owner or a /16")
		}
		if had, ok := guards[one.client]; ok && had != one.nodes[0] {
			t.Fatal("a client has two guards")
		}
		guards[one.client] = one.nodes[0]
	}
}

// Nodes are drawn as their weights say.
func TestTorDrawsByCapacity(t *testing.T) {
	w := testWorld(t, 300)
	tor := NewTor(w)
	r := rand.New(rand.NewPCG(1, 2))
	count := make([]float64, len(w.Nodes))
	const all = 200_000
	for range all {
		count[tor.exit.draw(r)]++
	}
	sum := tor.exit.sums[len(w.Nodes)-1]
	for i, c := range count {
		p := tor.exit.weight(i) / sum
		if math.Abs(c-all*p) > 6*math.Sqrt(all*p)+1 {
			t.Errorf("node %d was drawn %.0f times, want %.0f", i, c, all*p)
		}
		if !w.Nodes[i].Exit && c > 0 {
			t.Fatal("no exit")
		}
	}
}

// Where nothing is scarce, each position gets a third of the capacity.
func TestTorWeightsBalance(t *testing.T) {
	for _, test := range []struct {
		name string
		c    classes
	}{
		{"nothing scarce", classes{G: 40, M: 10, E: 38, D: 12}},
		{"guards and exits scarce", classes{G: 20, M: 25, E: 22, D: 33}},
		{"exits scarce", classes{G: 45, M: 20, E: 10, D: 25}},
		{"guards scarce", classes{G: 10, M: 20, E: 45, D: 25}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, w := test.c, test.c.weights()
			guard := w.gg*c.G + w.gd*c.D
			middle := w.mm*c.M + w.mg*c.G + w.me*c.E + w.md*c.D
			exit := w.ee*c.E + w.ed*c.D
			if sum := c.G + c.M + c.E + c.D; math.Abs(guard+middle+exit-sum) > 0.01 || math.Abs(guard-exit) > 0.1*sum || math.Abs(guard-middle) > 0.1*sum {
				t.Errorf("guards %.1f, middle %.1f, exits %.1f of %.1f", guard, middle, exit, sum)
			}
		})
	}
}

// Whatever capacities there are, weights lie between 0 and 1, and each class is
// used up.
func TestTorWeights(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		part := func(name string) float64 { return float64(rapid.IntRange(0, 100).Draw(r, name)) }
		c := classes{G: part("G"), M: part("M"), E: part("E"), D: part("D")}
		w := c.weights()
		if !w.valid() {
			r.Fatalf("%+v: %+v", c, w)
		}
		for name, sum := range map[string]float64{"guards": w.gg + w.mg, "exits": w.ee + w.me, "both": w.gd + w.md + w.ed} {
			have := map[string]float64{"guards": c.G, "exits": c.E, "both": c.D}[name]
			if have > 0 && math.Abs(sum-1) > 0.34 {
				r.Fatalf("%+v: %+v: of %s %.2f is used", c, w, name, sum)
			}
		}
	})
}

func ExampleCost() {
	fmt.Println(Cost(10), Cost(100))
	// Output: 12600 54000
}
