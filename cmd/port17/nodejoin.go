package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"safing/internal/command"
	"safing/internal/settings"
	"safing/netmap"
)

type nodeJoin struct {
	Out             string `help:"The file for the node's settings. It must not exist." default:"/etc/port17/node.toml" type:"path" placeholder:"FILE"`
	OwnerPassphrase string `help:"File with the passphrase of the owner's key; without it, it is asked for on the terminal." name:"owner-passphrase-file" type:"path" placeholder:"FILE"`
	Wait            bool   `help:"Start the node, say when the map lists it or why it does not, and run it until it is stopped."`
}

// Help is what --help says besides the flags.
func (*nodeJoin) Help() string {
	return `Makes the node's identity, if it has none, and its settings of the options given here, with a copy of the network's file beside them. Then the settings and the machine are checked, as port17 node check does; whether others can connect is found out by the network once the node runs.

The owner's key says whose node it is. It need not be on the machine: name its file with --owner-key where it is; else name the public key, and with --owner-proof what port17 owner sign prints elsewhere. Without either the node's identity is made and printed, so that it can be signed; run the same again with both.

Nothing is started: that is systemctl enable --now port17-node. With --wait the node runs here, and the exit code is 1 with the reason if the network does not take it.

Examples:

  port17 node join --network network.toml --owner-key owner.key --owner example.org --group attic --name cedar --listen 192.0.2.1:1717 --country DE --exit-policy web

  port17 node join --network network.toml --owner-key 43ku… --owner-proof ifx2… --owner example.org --name cedar --listen 192.0.2.1:1717 --out node.toml --state state --wait`
}

// Run sets the node up.
func (c *nodeJoin) Run(ctx context.Context, io command.IO, o *nodeOptions) error {
	if _, err := os.Lstat(c.Out); err == nil {
		return fmt.Errorf("%s already exists: change it with an editor, or name another file with --out", c.Out)
	}
	key, err := o.identity()
	if err != nil {
		return err
	}
	id := netmap.NodeID(key.Public().(ed25519.PublicKey))
	fmt.Fprintf(io.Err, "identity  %s, in %s\n", id, o.identityFile())
	if err := c.own(ctx, io, o, id); err != nil {
		return err
	}
	if err := o.checkOwner(key); err != nil {
		return err
	}
	if _, err := o.config(); err != nil {
		return err
	}
	if err := c.write(o); err != nil {
		return err
	}
	fmt.Fprintf(io.Err, "settings  %s\n", c.Out)
	findings, err := o.check(ctx, io)
	if err != nil {
		return err
	}
	if err := printFindings(command.IO{Out: io.Err, Err: io.Err}, findings, false); err != nil {
		return err
	}
	if problems := countProblems(findings); problems > 0 {
		return fmt.Errorf("%d checks have found a problem: do what they say, then port17 node check --config %s", problems, c.Out)
	}
	if c.Wait {
		return c.await(ctx, io, o)
	}
	fmt.Fprintln(io.Out, c.next())
	return nil
}

// unit is where the systemd unit looks for settings.
const unit = "/etc/port17/node.toml"

func (c *nodeJoin) next() string {
	if c.Out == unit {
		return "Next: systemctl enable --now port17-node, then port17 node check --config " + c.Out
	}
	return "Next: port17 node run --config " + c.Out
}

// own proves whose node it is, as far as that can be done here.
func (c *nodeJoin) own(ctx context.Context, io command.IO, o *nodeOptions, id netmap.NodeID) error {
	if o.OwnerKey == (ownerRef{}) {
		if o.OwnerProof == (netmap.OwnerProof{}) {
			fmt.Fprintf(io.Err, "owner     %q, which nobody has proven: anybody can use the name. %s proves it\n", o.Owner, signCommand(id, o.Group))
		}
		return nil
	}
	if o.OwnerKey.file != "" && o.OwnerProof == (netmap.OwnerProof{}) {
		owner, _, err := passphraseFile{PassphraseFile: c.OwnerPassphrase}.loadOwner(ctx, io, o.OwnerKey.file)
		if err != nil {
			return err
		}
		o.OwnerKey, o.OwnerProof = ownerRef{key: ownerKey(owner)}, netmap.SignOwner(owner, id, o.Group)
	}
	fmt.Fprintf(io.Err, "owner     %q, with the key %s\n", o.Owner, o.OwnerKey)
	return nil
}

// write writes the settings, with a copy of the network's file beside them.
func (c *nodeJoin) write(o *nodeOptions) error {
	dir := filepath.Dir(c.Out)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder of the settings: %w; name another file with --out", err)
	}
	network, err := settings.Read(o.Network)
	if err != nil {
		return err
	}
	beside := filepath.Join(dir, "network.toml")
	switch there, err := os.ReadFile(beside); {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.WriteFile(beside, network, 0o644); err != nil {
			return fmt.Errorf("copy the network's file: %w", err)
		}
	case err != nil:
		return err
	case !bytes.Equal(there, network):
		return fmt.Errorf("%s is the file of another network, or another version: replace it with %s, or name another folder with --out", beside, o.Network)
	}
	copied := *o
	copied.Network = "network.toml"
	text, err := copied.text()
	if err != nil {
		return err
	}
	if err := settings.Decode(c.Out, text, new(nodeOptions)); err != nil {
		return err
	}
	f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	return nil
}
