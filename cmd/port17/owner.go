package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"text/tabwriter"

	"safing/internal/command"
	"safing/netmap"
	"safing/tinker/keyfile"
)

type ownerCommand struct {
	New   ownerNew   `cmd:"" help:"Make the key of somebody who runs nodes, and print its public half."`
	Show  ownerShow  `cmd:"" help:"Print the public half of an owner's key."`
	Nodes ownerNodes `cmd:"" help:"Print how an owner's nodes fare on the map."`
	Sign  ownerSign  `cmd:"" help:"Prove that a node is the owner's, for the node's settings."`
}

type ownerNew struct {
	File string `arg:"" help:"The key's file, such as owner.key. It must not exist." type:"path"`
	newPassphrase
}

// Help is what --help says besides the flags.
func (*ownerNew) Help() string {
	return "All nodes of an owner name the same key, so that nobody else can run nodes in the owner's name, and so that the " +
		"owner can find them on the map with port17 owner nodes. The key itself need not be on any of the machines: each " +
		"node has a proof that port17 owner sign makes.\n\n" +
		"Keep a copy of it safe. Who steals it can run nodes in your name, which routes then take for yours; it gives no " +
		"power over the nodes that there are. If it is lost, make another and sign for all nodes anew.\n\n" +
		"Example: port17 owner new owner.key --encrypt"
}

// Run never replaces a key.
func (c *ownerNew) Run(ctx context.Context, io command.IO) error {
	key, encrypted, err := c.makeKey(ctx, io, c.File, keyfile.Ed25519, "port17 owner show")
	if err != nil {
		return err
	}
	fmt.Fprintf(io.Err, "The owner's key is %s: keep it secret, and a copy of it safe. For each node: port17 owner sign NODE --owner-key %s\n", c.File, c.File)
	return printOwner(io, key.(ed25519.PrivateKey), encrypted)
}

type ownerShow struct {
	File string `arg:"" help:"The key's file." type:"path"`
	passphraseFile
}

// Run prints nothing that is secret.
func (c *ownerShow) Run(ctx context.Context, io command.IO) error {
	key, passphrase, err := c.loadOwner(ctx, io, c.File)
	if err != nil {
		return err
	}
	return printOwner(io, key, passphrase != "")
}

func printOwner(io command.IO, key ed25519.PrivateKey, encrypted bool) error {
	answer := "no"
	if encrypted {
		answer = "yes"
	}
	t := tabwriter.NewWriter(io.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "owner key\t%s\nencrypted\t%s\n", ownerKey(key), answer)
	return t.Flush()
}

// ownerKey returns the public half.
func ownerKey(key ed25519.PrivateKey) netmap.OwnerKey {
	return netmap.OwnerKey(key.Public().(ed25519.PublicKey))
}

// loadOwner reads an owner's key, and gets its passphrase if it has one.
func (p passphraseFile) loadOwner(ctx context.Context, io command.IO, path string) (ed25519.PrivateKey, string, error) {
	key, passphrase, err := p.load(ctx, io, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("%s is not there: make an owner's key with port17 owner new", path)
	}
	if err != nil {
		return nil, "", err
	}
	owner, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, "", fmt.Errorf("%s is an %s key: the key of an owner is an Ed25519 key, which port17 owner new makes", path, keyfile.KindOf(key))
	}
	return owner, passphrase, nil
}

type ownerSign struct {
	Node     netmap.NodeID `arg:"" help:"The node's ID, as port17 node join or port17 key show prints it."`
	Group    string        `help:"The group of the node, as its settings say." placeholder:"NAME"`
	OwnerKey string        `help:"File of the owner's key." required:"" type:"path" placeholder:"FILE"`
	passphraseFile
}

// Help is what --help says besides the flags.
func (*ownerSign) Help() string {
	return "What is printed goes into the settings of the node. It holds for this node in this group alone, and for as long as " +
		"both stay the same; it is no secret.\n\n" +
		"Example: port17 owner sign 43kuaxi5f3ds3bwsrknp6p6vqlylvy5npslxgqaaqweron75ojaq --group attic --owner-key owner.key >> node.toml"
}

// Run prints settings.
func (c *ownerSign) Run(ctx context.Context, io command.IO) error {
	key, _, err := c.loadOwner(ctx, io, c.OwnerKey)
	if err != nil {
		return err
	}
	if c.Group != "" {
		fmt.Fprintf(io.Out, "group = %q\n", c.Group)
	}
	fmt.Fprintf(io.Out, "owner_key = %q\nowner_proof = %q\n", ownerKey(key), netmap.OwnerProof(netmap.SignOwner(key, c.Node, c.Group)))
	return nil
}
