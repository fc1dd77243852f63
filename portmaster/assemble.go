package portmaster

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"

	"safing/portmaster/kernel"
	"safing/portmaster/process"
	"safing/portmaster/verdict"
	"safing/profile"
)

// openRules reads lists and profiles and makes the engine that judges by them.
func (d *Daemon) openRules(ctx context.Context) error {
	var err error
	if d.lists, err = newLists(d.state.file("lists"), d.settings.Lists, d.log); err != nil {
		return fmt.Errorf("%w: correct [[list]] in %s", err, d.state.file(settingsFile))
	}
	d.lists.load(ctx)
	d.apps = newApps(d.state.file("profiles"), d.log)
	if _, err := d.apps.load(); err != nil {
		return fmt.Errorf("%w: correct the profile or move it away, then start again", err)
	}
	config, err := d.engineConfig()
	if err != nil {
		return err
	}
	d.engine = verdict.New(config)
	return nil
}

// engineConfig is what the engine judges by now.
func (d *Daemon) engineConfig() (verdict.Config, error) {
	d.mu.Lock()
	s := d.settings
	d.mu.Unlock()
	rules, err := s.parsedRules(d.state.file(settingsFile))
	return verdict.Config{
		Profiles: d.apps.profiles(), Rules: rules, Default: profile.Action(s.Default), Feeds: d.lists.feeds(),
	}, err
}

// openGuard puts the kernel's programs in place. From then on nothing of the
// guarded passes without a verdict.
func (d *Daemon) openGuard(ctx context.Context) error {
	tunnel, err := d.openTunnel(ctx)
	if err != nil {
		return err
	}
	gate4, gate6, err := listenGateway()
	if err != nil {
		return err
	}
	d.finally("the gateway", closeListener(gate4))
	d.finally("the gateway", closeListener(gate6))
	if d.dns, err = d.openResolver(tunnel); err != nil {
		return err
	}
	d.guard, err = kernel.Load(kernel.Config{
		Cgroup: d.config.Cgroup, Log: d.log,
		Gateway4: addrPort(gate4), Gateway6: addrPort(gate6),
		Resolver4: d.dns.v4, Resolver6: d.dns.v6,
		PinDir: pinsOf(d.config.PinDir, d.state.path),
	})
	if err != nil {
		return err
	}
	d.finally("guarding", func() error {
		defer d.recording.Wait() // ends with the guard
		err := d.guard.Close()
		if dir := pinsOf(d.config.PinDir, d.state.path); dir != "" {
			os.Remove(dir) //nolint:errcheck // it stays when another guard's pins are in it
		}
		return err
	})
	d.connect(tunnel)
	if err := d.applyRules(); err != nil {
		return err
	}
	d.work.Go(func() { d.gateway.serve(d.ctx, gate4) })
	d.work.Go(func() { d.gateway.serve(d.ctx, gate6) })
	d.work.Go(func() { d.dns.Serve(d.ctx) })
	return nil
}

// openTunnel opens the network that the settings name, if they name one.
func (d *Daemon) openTunnel(context.Context) (Tunnel, error) {
	if d.settings.Tunnel.Network == "" || d.config.OpenTunnel == nil {
		return noTunnel{}, nil
	}
	t, err := d.config.OpenTunnel(d.ctx, d.settings.Tunnel, d.state.path, d.log)
	if err != nil {
		return nil, fmt.Errorf("open the tunnel: %w: correct [tunnel] in %s", err, d.state.file(settingsFile))
	}
	if c, ok := t.(io.Closer); ok {
		d.finally("the tunnel", c.Close)
	}
	return t, nil
}

// connect joins the kernel's reports with those who use them.
func (d *Daemon) connect(tunnel Tunnel) {
	d.apps.exes = d.guard
	d.names = &names{flows: d.guard, log: d.log, compile: func(q question, addr netip.Addr) []kernel.Case {
		return compileName(d.engine, d.apps.known(q.app).ID, q, addr)
	}}
	who := process.New()
	describe := &describer{apps: d.apps, names: d.names, geo: d.geo, process: who.Describe, rule: d.engine.Rule}
	d.recorder = &recorder{
		source: d.guard, table: d.table, log: d.log,
		describe: describe.event, unbound: d.checkBinding,
	}
	d.gateway = &gateway{tunnel: tunnel, origins: d.guard, table: d.table, describe: describe.redirect, log: d.log}
	d.questions = &questions{
		origins: d.guard, apps: d.apps, names: d.names, table: d.table, describe: describe, engine: d.engine,
	}
}

// checkBinding is told of a program that the kernel takes for one without a
// profile. When a profile names its path, its file was replaced.
func (d *Daemon) checkBinding(path string) {
	if !d.apps.names(path) {
		return
	}
	select {
	case d.rebind <- struct{}{}:
	default:
	}
}

func addrPort(l *net.TCPListener) netip.AddrPort { return l.Addr().(*net.TCPAddr).AddrPort() }
