package portmaster

import (
	"testing"

	"pgregory.net/rapid"

	"safing/portmaster/kernel"
)

func cases(t *rapid.T) []kernel.Case {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) kernel.Case {
		low := rapid.SampledFrom([]uint16{0, 1, 80, 443, 65535}).Draw(t, "low")
		return kernel.Case{
			Protocol: rapid.SampledFrom([]uint8{0, protocolTCP, protocolUDP}).Draw(t, "protocol"),
			PortLow:  low, PortHigh: max(low, rapid.SampledFrom([]uint16{0, 80, 443, 65535}).Draw(t, "high")),
			Action: kernel.Action(rapid.IntRange(1, 3).Draw(t, "action")),
			Rule:   rapid.Uint32Range(1, 9).Draw(t, "rule"),
		}
	}), 0, 4).Draw(t, "cases")
}

// TestStrictestGivesNoMoreThanAnyName holds the joined cases to what each
// name's own cases answer.
func TestStrictestGivesNoMoreThanAnyName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lists := rapid.SliceOfN(rapid.Custom(cases), 1, 4).Draw(t, "lists")
		joined := strictest(lists)
		if len(joined) > casesLimit && len(lists) > 1 {
			t.Fatalf("%d cases, the kernel takes %d", len(joined), casesLimit)
		}
		exact := len(joined) < casesLimit && !(len(joined) == 1 && joined[0].PortLow == 0)
		for _, protocol := range []uint8{protocolTCP, protocolUDP, 132} {
			for _, port := range []uint16{0, 1, 79, 80, 81, 443, 444, 65534, 65535} {
				got, _ := first(joined, protocol, port)
				worst := kernel.Permit
				for _, l := range lists {
					if a, _ := first(l, protocol, port); rank(a) > rank(worst) {
						worst = a
					}
				}
				if rank(got) < rank(worst) {
					t.Fatalf("protocol %d port %d: %v, but one name allows only %v", protocol, port, got, worst)
				}
				if exact && got != worst {
					t.Fatalf("protocol %d port %d: %v is stricter than needed, %v", protocol, port, got, worst)
				}
			}
		}
	})
}
