package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/internal/command"
	"safing/netmap"
	"safing/port17/authority"
	"safing/port17/directory"
	"safing/tinker/policy"
)

type authorityPolicy struct {
	Sign policySign `cmd:"" help:"Sign which suites of algorithms the network may use."`
	Show policyShow `cmd:"" help:"Print a policy, and who has signed it."`
}

type policySign struct {
	File   string   `arg:"" help:"The policy's text, or a copy of it that others have signed. The signature is added to the file." type:"existingfile"`
	Copies []string `arg:"" optional:"" help:"Copies with signatures of others, which are added, too." type:"existingfile"`
	speaker
}

// Help is what --help says besides the flags.
func (*policySign) Help() string {
	return "As many authorities have to sign a policy as sign maps. One writes its text, signs it, and hands the file to " +
		"the next; or all sign the same text, and one of them signs its copy with those of the others behind it. Where " +
		"there are enough signatures the policy is put into the authority's folder, and is on the next map; it is " +
		"enough that one authority has it. Each policy needs a higher version than the one before:\n\n" +
		"  tinker suite policy v1\n  network lab.example\n  version 1\n  expires 2027-01-31T00:00:00Z\n" +
		"  TK1 preferred\n  TK2 allowed\n\n" +
		"What it does not name may not be used, and nothing may once it has expired: sign the next one in time."
}

// Run adds the authority's signature.
func (c *policySign) Run(ctx context.Context, io command.IO) error {
	n, err := c.network()
	if err != nil {
		return err
	}
	copies, err := readAll(append([]string{c.File}, c.Copies...))
	if err != nil {
		return err
	}
	verifiers, err := n.Verifiers()
	if err != nil {
		return err
	}
	p, _, before, err := policy.Gather(copies, verifiers)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	folder := filepath.Join(c.State, authority.PolicyFile)
	if err := c.check(n, p, folder); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	signer, _, err := c.signer(ctx, io, n)
	if err != nil {
		return err
	}
	if !knows(verifiers, signer) {
		return fmt.Errorf("the network's file does not name the authority in %s: name one that does with --network", c.State)
	}
	_, signed, count, err := policy.Gather(copies, verifiers, signer)
	if err != nil {
		return err
	}
	if err := replace(c.File, signed); err != nil {
		return err
	}
	if count == before {
		fmt.Fprintln(io.Out, "Your authority has signed it before.")
	}
	if count < n.Threshold {
		fmt.Fprintf(io.Out, "%d of the %d signatures that are needed are in %s: give it to the next authority.\n", count, n.Threshold, c.File)
		return nil
	}
	if err := replace(folder, signed); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "It has %d signatures, and %d are needed: it is in %s, and will be on the next map.\n", count, n.Threshold, folder)
	return nil
}

// check refuses what members of the network would not take, or could not live
// with.
func (c *policySign) check(n *netmap.Network, p *policy.Policy, folder string) error {
	if p.Network != n.Name {
		return fmt.Errorf("the policy is of the network %s, not %s", p.Network, n.Name)
	}
	if now := time.Now(); !now.Before(p.Expires) {
		return fmt.Errorf("the policy has expired at %s: nobody could use anything", p.Expires.Format(time.RFC3339))
	}
	last, err := authority.LoadPolicy(n, folder)
	if err != nil {
		return fmt.Errorf("look up the last policy: %w", err)
	}
	if last != nil && p.Version < last.Version {
		return fmt.Errorf("the policy has version %d, and version %d is in force: give it a higher one", p.Version, last.Version)
	}
	return nil
}

func knows(verifiers []note.Verifier, s note.Signer) bool {
	for _, v := range verifiers {
		if v.Name() == s.Name() && v.KeyHash() == s.KeyHash() {
			return true
		}
	}
	return false
}

func readAll(paths []string) (all [][]byte, err error) {
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

type policyShow struct {
	File    string `arg:"" optional:"" help:"File with a policy. Without it, the policy on the newest map is printed." type:"existingfile"`
	Network string `help:"The network's file." required:"" type:"existingfile" placeholder:"FILE"`
}

// Run prints it.
func (c *policyShow) Run(ctx context.Context, io command.IO) error {
	n, err := netmap.LoadNetwork(c.Network)
	if err != nil {
		return err
	}
	b, err := c.read(ctx, n)
	if err != nil {
		return err
	}
	if len(b) == 0 {
		fmt.Fprintln(io.Out, "The map has no policy: all suites may be used, and TK1 is.")
		return nil
	}
	verifiers, err := n.Verifiers()
	if err != nil {
		return err
	}
	p, signed, count, err := policy.Gather([][]byte{b}, verifiers)
	if err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "network %s\nversion %d\nexpires %s\n", p.Network, p.Version, p.Expires.Format(time.RFC3339))
	for _, r := range p.Rules {
		fmt.Fprintln(io.Out, r)
	}
	fmt.Fprintf(io.Out, "\n%d of the %d signatures that are needed\n", count, n.Threshold)
	for i, v := range verifiers {
		if _, err := policy.Open(signed, 1, v); err == nil {
			fmt.Fprintf(io.Out, "signed by %s\n", n.Authorities[i].URL)
		}
	}
	return nil
}

func (c *policyShow) read(ctx context.Context, n *netmap.Network) ([]byte, error) {
	if c.File != "" {
		return os.ReadFile(c.File)
	}
	m, err := directory.New(directory.Config{Network: n}).Fetch(ctx)
	if err != nil {
		return nil, err
	}
	return m.Policy, nil
}
