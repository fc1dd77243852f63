package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/internal/command"
	"safing/netmap"
	"safing/port17/authority"
	"safing/port17/directory"
)

// speaker is an operator of an authority, who says something by hand.
type speaker struct {
	State   string `help:"Folder of the authority, which holds its key." default:"/var/lib/port17/authority" type:"path" placeholder:"DIR"`
	Network string `help:"The network's file. Without it, the one in the folder, with which the authority runs." type:"path" placeholder:"FILE"`
	passphraseFile
}

func (s *speaker) network() (*netmap.Network, error) {
	if s.Network == "" {
		s.Network = filepath.Join(s.State, authorityNetFile)
	}
	return netmap.LoadNetwork(s.Network)
}

// signer loads the key, and says whether it is encrypted.
func (s *speaker) signer(ctx context.Context, io command.IO, n *netmap.Network) (signer note.Signer, encrypted bool, err error) {
	path := filepath.Join(s.State, authorityKey)
	key, passphrase, err := s.load(ctx, io, path)
	if err != nil {
		return nil, false, err
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, false, fmt.Errorf("%s is not the key of an authority", path)
	}
	signer, err = authority.NewSigner(n.Name, private)
	return signer, passphrase != "", err
}

// publish hands a statement to the network's authorities.
func (s *speaker) publish(ctx context.Context, n *netmap.Network, signed []byte) error {
	if _, err := n.OpenStatement(signed); err != nil {
		return fmt.Errorf("%w: name the network's file that has this authority with --network", err)
	}
	return directory.New(directory.Config{Network: n}).PublishStatement(ctx, signed)
}

// A judgement is what all statements about nodes have in common.
type judgement struct {
	Node   netmap.NodeID `arg:"" help:"ID of the node."`
	Reason string        `help:"Why, in words that the node's operator and everybody else understand: it is published." required:"" placeholder:"TEXT"`
	speaker
}

func (j *judgement) run(ctx context.Context, io command.IO, action netmap.Action) error {
	n, err := j.network()
	if err != nil {
		return err
	}
	signer, _, err := j.signer(ctx, io, n)
	if err != nil {
		return err
	}
	m := &netmap.Moderation{Network: n.Name, Node: j.Node, Action: action, Date: time.Now(), Reason: j.Reason}
	signed, err := m.Sign(signer)
	if err != nil {
		return err
	}
	if err := j.publish(ctx, n, signed); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "Your authority says: %s %s. It happens if %d of %d authorities say so; what each says is on the map, with its reason.\n",
		action, j.Node.Short(), n.Threshold, len(n.Authorities))
	return nil
}

type (
	authoritySuspend  struct{ judgement }
	authorityRestore  struct{ judgement }
	authorityTrust    struct{ judgement }
	authorityDistrust struct{ judgement }
)

// Run says that the node should not be on the map.
func (c *authoritySuspend) Run(ctx context.Context, io command.IO) error {
	return c.run(ctx, io, netmap.Suspend)
}

// Run takes back what suspend has said.
func (c *authorityRestore) Run(ctx context.Context, io command.IO) error {
	return c.run(ctx, io, netmap.Restore)
}

// Run says that the operator of the node is known and trusted.
func (c *authorityTrust) Run(ctx context.Context, io command.IO) error {
	return c.run(ctx, io, netmap.Trust)
}

// Run takes back what trust has said.
func (c *authorityDistrust) Run(ctx context.Context, io command.IO) error {
	return c.run(ctx, io, netmap.Distrust)
}

type authorityCanary struct {
	For      days   `help:"How long it holds, such as 30d: sign the next one before." default:"30d" placeholder:"TIME"`
	Text     string `help:"File with what else you want to say, such as the day's news, which shows that it is not older." type:"existingfile" placeholder:"FILE"`
	Withdraw bool   `help:"Take the last one back: something has happened of which you must not speak."`
	speaker
}

// Help is what --help says besides the flags.
func (*authorityCanary) Help() string {
	return "With a canary you say that nobody has made you do what you would not do freely, as an operator of this " +
		"authority. It is on the map, where everybody sees when it is withdrawn or the next one does not come.\n\n" +
		"It has to be made by a person, so the authority's key must be encrypted, and the passphrase is asked for. " +
		"Don't let a machine renew it: then it says nothing."
}

// Run signs it.
func (c *authorityCanary) Run(ctx context.Context, io command.IO) error {
	n, err := c.network()
	if err != nil {
		return err
	}
	signer, encrypted, err := c.signer(ctx, io, n)
	if err != nil {
		return err
	}
	if !encrypted && !c.Withdraw {
		path := filepath.Join(c.State, authorityKey)
		return fmt.Errorf("%s is not encrypted, so anything on this machine could sign a canary: encrypt it with port17 key passphrase %s", path, path)
	}
	var text []byte
	if c.Text != "" {
		if text, err = os.ReadFile(c.Text); err != nil {
			return err
		}
	}
	now := time.Now()
	canary := &netmap.Canary{Network: n.Name, Date: now, Until: now.Add(time.Duration(c.For)), Good: !c.Withdraw, Text: string(text)}
	signed, err := canary.Sign(signer)
	if err != nil {
		return err
	}
	if err := c.publish(ctx, n, signed); err != nil {
		return err
	}
	if c.Withdraw {
		fmt.Fprintln(io.Out, "The canary is withdrawn.")
		return nil
	}
	fmt.Fprintf(io.Out, "The canary holds until %s.\n", canary.Until.UTC().Format(time.DateOnly))
	return nil
}

// days is a span that may be written in days, such as 30d.
type days span

// UnmarshalText reads a time that is not negative.
func (d *days) UnmarshalText(text []byte) error {
	count, ok := strings.CutSuffix(string(text), "d")
	if !ok {
		return (*span)(d).UnmarshalText(text)
	}
	n, err := strconv.ParseUint(count, 10, 16)
	if err != nil {
		return fmt.Errorf("%q is not a number of days such as 30d", text)
	}
	*d = days(n) * days(24*time.Hour)
	return nil
}
