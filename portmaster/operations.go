package portmaster

import (
	"context"
	"os"
	"time"

	"safing/portmaster/api"
	"safing/portmaster/history"
	"safing/profile"
)

var _ api.Daemon = (*Daemon)(nil)

// Status says what runs.
func (d *Daemon) Status(context.Context) api.Status {
	d.mu.Lock()
	byDefault, wrong := d.settings.Default, d.settingsProblem
	d.mu.Unlock()
	s := api.Status{
		PID: os.Getpid(), Started: d.started, State: d.state.path, Guards: d.config.Cgroup, Default: byDefault,
		Profiles: len(d.apps.profiles()), Problems: d.apps.trouble(), Lists: d.lists.status(),
		Tunnel:   api.Tunnel{Configured: d.settings.Tunnel.Network != ""},
		Resolver: d.resolverStatus(),
		Connections: api.Connections{
			Listed: d.table.Len(), Permitted: d.recorder.permitted.Load(), Denied: d.recorder.denied.Load(),
			Tunnelled: d.recorder.tunnelled.Load(), Lost: d.guard.Lost(), Unsaved: d.table.Lost(),
		},
	}
	if wrong != nil {
		s.Problems = append(s.Problems, wrong.Error())
	}
	for _, l := range s.Lists {
		if l.Error != "" {
			s.Problems = append(s.Problems, l.Error)
		}
	}
	if s.Problems == nil {
		s.Problems = []string{}
	}
	return s
}

// Why explains what would happen to a connection.
func (d *Daemon) Why(_ context.Context, name, destination string) (api.Why, error) {
	number, app, err := d.apps.find(name)
	if err != nil {
		return api.Why{}, err
	}
	f, err := parseDestination(destination)
	if err != nil {
		return api.Why{}, err
	}
	if f.Domain == "" {
		asked, _ := d.names.domain(number, f.Addr, 0)
		f.Domain, f.CNAMEs = asked.domain, asked.cnames
	} else if addr, cnames, ok := d.names.address(number, f.Domain); ok {
		f.Addr, f.CNAMEs = addr, cnames
	}
	verdict := d.engine.Decide(app.ID, f)
	w := api.Why{
		App: app, Destination: destination, Verdict: string(verdict.Action),
		Reason: verdict.Reason, Rule: verdict.Rule, Steps: []api.Step{},
	}
	for _, s := range d.engine.Explain(app.ID, f) {
		step := api.Step{Layer: s.Layer}
		if s.Decided {
			step.Verdict, step.Reason, step.Rule = string(s.Decision.Action), s.Decision.Reason, s.Decision.Rule
		}
		w.Steps = append(w.Steps, step)
	}
	return w, nil
}

// Profiles lists the profiles in force.
func (d *Daemon) Profiles(context.Context) []api.Profile {
	all, bound := d.apps.list()
	out := make([]api.Profile, 0, len(all))
	for _, x := range all {
		p := api.Profile{
			ID: x.profile.ID, Name: x.profile.Name, Paths: append([]string{}, x.profile.Paths...),
			Default: string(x.profile.Default), Rules: ruleTexts(x.profile.Rules), File: x.file,
			Bound: append([]string{}, bound[x.number]...),
		}
		out = append(out, p)
	}
	return out
}

func ruleTexts(rules []profile.Rule) []string {
	out := make([]string, len(rules))
	for i, r := range rules {
		out[i] = r.String()
	}
	return out
}

// historyLimits are the settings' bounds of the history.
func historyLimits(s HistorySettings) history.Limits {
	return history.Limits{Rows: s.Rows, Age: time.Duration(s.Days) * 24 * time.Hour}
}
