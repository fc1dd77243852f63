package main

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"safing/internal/command"
	"safing/netmap"
	"safing/tinker/keyfile"
)

type keyCommand struct {
	New        keyNew        `cmd:"" help:"Make a key, and print its public half."`
	Show       keyShow       `cmd:"" help:"Print the public half of a key, and whether the key is encrypted."`
	Passphrase keyPassphrase `cmd:"" help:"Set, change or remove the passphrase of a key."`
}

type keyNew struct {
	File string       `arg:"" help:"The key's file, such as STATE/identity of a node. It must not exist." type:"path"`
	Kind keyfile.Kind `help:"Ed25519 for nodes and authorities, RSA for issuers of tokens." enum:"Ed25519,RSA" default:"Ed25519"`
	newPassphrase
}

// Help is what --help says besides the flags.
func (*keyNew) Help() string {
	return "A node makes its own key when it starts and has none. Make it before to learn the node's " +
		"ID, or to encrypt the key: then start the node with --passphrase-file."
}

// Run never replaces a key: without it, a node's ID or a network is lost.
func (c *keyNew) Run(ctx context.Context, io command.IO) error {
	key, encrypted, err := c.makeKey(ctx, io, c.File, c.Kind, "port17 key show")
	if err != nil {
		return err
	}
	return printKey(io, key, encrypted)
}

// makeKey makes a key in a new file. Show is the command that shows one that is
// there already.
func (p newPassphrase) makeKey(ctx context.Context, io command.IO, file string, kind keyfile.Kind, show string) (key crypto.Signer, encrypted bool, err error) {
	if _, err := os.Lstat(file); err == nil {
		return nil, false, fmt.Errorf("%s already exists: choose another name, or look at it with %s", file, show)
	}
	passphrase, err := p.choose(ctx, io, file)
	if err != nil {
		return nil, false, err
	}
	if key, err = keyfile.Generate(kind); err != nil {
		return nil, false, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, false, fmt.Errorf("make the key's folder: %w", err)
	}
	return key, passphrase != "", keyfile.Save(file, key, keyfile.Options{Passphrase: passphrase})
}

type keyShow struct {
	File string `arg:"" help:"The key's file." type:"path"`
	passphraseFile
}

// Help is what --help says besides the flags.
func (*keyShow) Help() string {
	return "The fingerprint is the SHA-256 of the public key, as \"openssl pkey -pubout -outform DER | sha256sum\" " +
		"prints it. Only Ed25519 keys have an ID, by which a network knows a node."
}

// Run prints nothing that is secret.
func (c *keyShow) Run(ctx context.Context, io command.IO) error {
	key, passphrase, err := c.load(ctx, io, c.File)
	if err != nil {
		return err
	}
	return printKey(io, key, passphrase != "")
}

type keyPassphrase struct {
	File string `arg:"" help:"The key's file." type:"path"`
	passphraseFile
	NewPassphraseFile string `help:"File with the new passphrase; without it, it is asked for on the terminal." type:"path" placeholder:"FILE" xor:"new"`
	Remove            bool   `help:"Keep the key without a passphrase." xor:"new"`
}

// Help is what --help says besides the flags.
func (*keyPassphrase) Help() string {
	return "The key stays the same. What the file held before may stay on the disk, and in copies: " +
		"a key that somebody may have read should be replaced, not encrypted."
}

// Run replaces the file.
func (c *keyPassphrase) Run(ctx context.Context, io command.IO) error {
	key, passphrase, err := c.load(ctx, io, c.File)
	if err != nil {
		return err
	}
	if c.Remove && passphrase == "" {
		return fmt.Errorf("%s is not encrypted: there is no passphrase to remove", c.File)
	}
	next, err := c.next(ctx, io)
	if err != nil {
		return err
	}
	if err := keyfile.Save(c.File, key, keyfile.Options{Passphrase: next, Replace: true}); err != nil {
		return err
	}
	if next == "" {
		fmt.Fprintf(io.Out, "%s is no longer encrypted.\n", c.File)
		return nil
	}
	fmt.Fprintf(io.Out, "%s is encrypted with the new passphrase.\n", c.File)
	return nil
}

func (c *keyPassphrase) next(ctx context.Context, io command.IO) (string, error) {
	switch {
	case c.Remove:
		return "", nil
	case c.NewPassphraseFile != "":
		return keyfile.ReadPassphrase(c.NewPassphraseFile)
	}
	return promptTwice(ctx, io, c.File, "--new-passphrase-file")
}

// load reads a key of any kind, and gets its passphrase if it has one.
func (p passphraseFile) load(ctx context.Context, io command.IO, path string) (key crypto.Signer, passphrase string, err error) {
	key, err = keyfile.Load[crypto.Signer](path, "")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("%w: make a key with port17 key new", err)
	}
	if !errors.Is(err, keyfile.ErrEncrypted) {
		return key, "", err
	}
	if passphrase, err = p.ask(ctx, io, path); err != nil {
		return nil, "", err
	}
	key, err = keyfile.Load[crypto.Signer](path, passphrase)
	return key, passphrase, err
}

func printKey(io command.IO, key crypto.Signer, encrypted bool) error {
	fingerprint, err := keyfile.Fingerprint(key.Public())
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(io.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "kind\t%s\n", keyfile.KindOf(key))
	if public, ok := key.Public().(ed25519.PublicKey); ok {
		fmt.Fprintf(t, "id\t%s\n", netmap.NodeID(public))
	}
	answer := "no"
	if encrypted {
		answer = "yes"
	}
	fmt.Fprintf(t, "fingerprint\t%s\nencrypted\t%s\n", fingerprint, answer)
	return t.Flush()
}
