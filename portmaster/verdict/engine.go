package verdict

import (
	"sync"
	"sync/atomic"

	"safing/feed"
	"safing/profile"
)

// The layers, in the order in which they are asked.
const (
	LayerProfile = "profile"
	LayerGlobal  = "global"
	LayerLists   = "lists"
	LayerDefault = "default"
)

// Config is what an engine judges by. The engine reads it for as long as it is
// in force: nothing in it may be changed.
type Config struct {
	Profiles []*profile.Profile
	Rules    []profile.Rule // for all applications, after the profile's own
	Feeds    []*feed.Feed   // the first that lists a name is the one named
	// Default holds for applications without a profile, and for profiles that
	// name none. What is not a valid action is deny.
	Default profile.Action
}

// A Decision is an answer with its reason.
type Decision struct {
	Action profile.Action
	Reason string // for people, such as: default of profile "curl"
	Rule   string // as written in the file that it comes from
	RuleID uint32 // number of the reason, see [Engine.Rule]; never 0
	Layer  string
}

// A Step is the answer of one layer.
type Step struct {
	Layer    string
	Decided  bool     // the layer has an answer
	Decision Decision // the zero value when it has none
}

// An Engine decides. Make one with [New].
type Engine struct {
	reasons registry
	state   atomic.Pointer[state]

	swapping sync.Mutex
}

// A state is what is in force at a time. It does not change.
type state struct {
	policies map[string]*policy // by profile ID
	none     *policy            // of applications without a profile
}

// New returns an engine that judges by the configuration.
func New(c Config) *Engine {
	e := new(Engine)
	e.Swap(c)
	return e
}

// Swap puts another configuration in force, in one step.
func (e *Engine) Swap(c Config) {
	e.swapping.Lock()
	defer e.swapping.Unlock()
	if !c.Default.Valid() {
		c.Default = profile.Deny
	}
	e.reasons.begin()
	s := &state{policies: make(map[string]*policy, len(c.Profiles))}
	s.none = newPolicy(&e.reasons, c, nil)
	for _, p := range c.Profiles {
		s.policies[p.ID] = newPolicy(&e.reasons, c, p)
	}
	e.state.Store(s)
	e.reasons.retire()
}

// policy returns what holds for an application: for one that has no profile,
// or an unknown one, the rules for all.
func (e *Engine) policy(app string) *policy {
	s := e.state.Load()
	if p := s.policies[app]; p != nil {
		return p
	}
	return s.none
}

// Decide answers for one connection of an application. Rules about addresses
// are passed over when the flow has none.
func (e *Engine) Decide(app string, f profile.Flow) Decision {
	p := e.policy(app)
	var room [CasesLimit]Case
	cases, last, ok := p.collect(&e.reasons, f, room[:0])
	if !ok {
		return p.tooMany
	}
	for _, c := range cases {
		if c.matches(f.Protocol, f.Port) {
			d, known := e.reasons.decision(c.Rule)
			if !known { // forgotten within this call
				return Decision{Action: c.Action, Reason: "a rule that has just been removed", RuleID: c.Rule}
			}
			return d
		}
	}
	return last
}

// Explain returns the answer of each layer as if the ones before had none.
func (e *Engine) Explain(app string, f profile.Flow) []Step {
	p := e.policy(app)
	steps := make([]Step, 0, 4)
	add := func(layer string, d Decision, decided bool) {
		if !decided {
			d = Decision{}
		}
		steps = append(steps, Step{layer, decided, d})
	}
	d, ok := first(p.rules[:p.own], f)
	add(LayerProfile, d, ok)
	d, ok = first(p.rules[p.own:], f)
	add(LayerGlobal, d, ok)
	d, ok = p.listed(&e.reasons, f)
	add(LayerLists, d, ok)
	add(LayerDefault, p.fallback, true)
	return steps
}

func first(rules []rule, f profile.Flow) (Decision, bool) {
	for i := range rules {
		if rules[i].Matches(f) {
			return rules[i].decision, true
		}
	}
	return Decision{}, false
}

// Rule returns the decision behind a number that the kernel reports. Those of
// rules that are gone are kept for a while; ok is false for one that is
// forgotten or never was.
func (e *Engine) Rule(id uint32) (d Decision, ok bool) { return e.reasons.decision(id) }
