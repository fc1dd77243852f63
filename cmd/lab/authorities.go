package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pelletier/go-toml/v2"

	"safing/netmap"
)

const (
	authorities      = 3 // of which two have to agree
	witnesses        = 3 // two of which have to have seen a map
	witnessThreshold = 2
	validity         = 10 * time.Minute // of maps
	authorityPort    = 8120             // on a host of its own, as
	witnessPort      = 8130
)

// period returns how often there is a map: often, as nobody likes to wait for the
// lab, but no oftener than authorities that are so far apart can vote.
func (p plan) period() time.Duration {
	return max(2*time.Second, (60 * p.link.Delay).Truncate(time.Second))
}

// An office is where an authority or a witness works.
type office struct {
	role, name string
	addr       netip.Addr // of its host, where there are hosts
	port       uint16
	host       *host
	address    string
}

// offices makes the hosts of authorities and witnesses, or takes free ports.
func (w *world) offices() (all []*office, err error) {
	for i := range authorities {
		all = append(all, &office{role: "authority", name: numbered("authority", i), addr: authorityHost(i), port: authorityPort})
	}
	for i := range witnesses {
		all = append(all, &office{role: "witness", name: numbered("witness", i), addr: witnessHost(i), port: witnessPort})
	}
	for _, o := range all {
		if o.host, err = w.hosts.add(o.addr); err != nil {
			return nil, err
		}
		o.address = netip.AddrPortFrom(o.addr, o.port).String()
		if o.host == nil {
			if o.address, err = freeAddress(); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// numbered is the name of a process; the first of its role has that.
func numbered(role string, i int) string {
	if i == 0 {
		return role
	}
	return fmt.Sprint(role, i+1)
}

// startAuthorities makes the network's file and starts the authorities and
// witnesses that it names. Their keys stay the same from one start to the next, as
// the folder's owner would expect of a network.
func (w *world) startAuthorities(ctx context.Context, n *network, period time.Duration) error {
	all, err := w.offices()
	if err != nil {
		return err
	}
	n.authority = "http://" + all[0].address
	trust, err := netmap.LoadNetwork(n.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		trust, err = w.found(ctx, n, all)
	case err == nil && (len(trust.Authorities) != authorities || len(trust.Witnesses) != witnesses):
		err = fmt.Errorf("%s is of an older lab: remove it with `lab clean`", n.file)
	}
	if err != nil {
		return err
	}
	for i, o := range all[:authorities] {
		trust.Authorities[i].URL = "http://" + o.address
	}
	for i, o := range all[authorities:] {
		trust.Witnesses[i].URL = "http://" + o.address
	}
	trust.Period, trust.Validity = netmap.Duration(period), netmap.Duration(validity)
	if err := trust.Save(n.file); err != nil {
		return err
	}
	return atOnce(all, func(o *office) error {
		_, err := w.startOn(ctx, o.host, o.role, o.name, "port17", o.role, "run",
			"--state", filepath.Join(w.dir, o.name), "--network", n.file, "--listen", o.address)
		return err
	})
}

// found makes the keys and the network's file, as operators do.
func (w *world) found(ctx context.Context, n *network, all []*office) (*netmap.Network, error) {
	file := func(o *office) string { return filepath.Join(w.dir, o.name+".toml") }
	err := atOnce(all, func(o *office) error {
		url, state := "http://"+o.address, filepath.Join(w.dir, o.name)
		if o.role == "authority" {
			_, err := w.run(ctx, "port17", "authority", "init", "--state", state, "--network", n.name, "--url", url, "--out", file(o), "--private-addresses")
			return err
		}
		out, err := w.run(ctx, "port17", "witness", "init", "--state", state, "--name", o.name, "--url", url)
		if err != nil {
			return err
		}
		return os.WriteFile(file(o), out, 0o600)
	})
	if err != nil {
		return nil, err
	}
	args := []string{"authority", "network", "--out", n.file}
	for _, o := range all[:authorities] {
		args = append(args, file(o))
	}
	if _, err := w.run(ctx, "port17", args...); err != nil {
		return nil, err
	}
	trust, err := netmap.LoadNetwork(n.file)
	if err != nil {
		return nil, err
	}
	for _, o := range all[authorities:] {
		b, err := os.ReadFile(file(o))
		if err != nil {
			return nil, err
		}
		var one netmap.Network // what witness init prints is a part of one
		if err := toml.Unmarshal(b, &one); err != nil || len(one.Witnesses) != 1 {
			return nil, fmt.Errorf("read what port17 witness init has printed, %q: %w", b, err)
		}
		trust.Witnesses = append(trust.Witnesses, one.Witnesses[0])
	}
	trust.WitnessThreshold = witnessThreshold
	return trust, nil
}

// atOnce calls f for all at the same time.
func atOnce(all []*office, f func(*office) error) error {
	errs := make([]error, len(all))
	var running sync.WaitGroup
	for i, o := range all {
		running.Go(func() { errs[i] = f(o) })
	}
	running.Wait()
	return errors.Join(errs...)
}
