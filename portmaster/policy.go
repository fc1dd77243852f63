package portmaster

import (
	"errors"
	"fmt"
	"net/netip"

	"safing/portmaster/kernel"
	"safing/portmaster/verdict"
	"safing/profile"
)

// A policyTable is the kernel's table of rules.
type policyTable interface {
	SetPolicy(app kernel.AppID, entries []kernel.Entry) error
}

// writePolicies compiles the rules of every application into the kernel.
func writePolicies(table policyTable, engine *verdict.Engine, apps map[string]kernel.AppID) error {
	var errs []error
	for id, number := range apps {
		if err := table.SetPolicy(number, kernelEntries(engine.Compile(id))); err != nil {
			errs = append(errs, fmt.Errorf("write the rules of %s to the kernel: %w", orDefault(id), err))
		}
	}
	return errors.Join(errs...)
}

func orDefault(id string) string {
	if id == "" {
		return "applications without a profile"
	}
	return id
}

func kernelEntries(entries []verdict.Entry) []kernel.Entry {
	out := make([]kernel.Entry, len(entries))
	for i, e := range entries {
		out[i] = kernel.Entry{Prefix: e.Prefix, Cases: kernelCases(e.Cases)}
	}
	return out
}

func kernelCases(cases []verdict.Case) []kernel.Case {
	out := make([]kernel.Case, len(cases))
	for i, c := range cases {
		out[i] = kernel.Case{Protocol: c.Protocol, PortLow: c.PortLow, PortHigh: c.PortHigh, Action: kernelAction(c.Action), Rule: c.Rule}
	}
	return out
}

// kernelAction fails closed: what it does not know is denied.
func kernelAction(a profile.Action) kernel.Action {
	switch a {
	case profile.Permit:
		return kernel.Permit
	case profile.Tunnel:
		return kernel.Tunnel
	default:
		return kernel.Deny
	}
}

func actionName(a kernel.Action) string {
	switch a {
	case kernel.Permit:
		return "permit"
	case kernel.Tunnel:
		return "tunnel"
	default:
		return "deny"
	}
}

// compileName is what the kernel shall do with connections to an address that
// a DNS answer gave.
func compileName(engine *verdict.Engine, id string, q question, addr netip.Addr) []kernel.Case {
	return kernelCases(engine.CompileAddr(id, profile.Flow{Domain: q.domain, CNAMEs: q.cnames, Addr: addr}))
}
