package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"

	"safing/internal/command"
	"safing/tinker/keyfile"
)

// passphraseFile is where a program without a terminal gets the passphrase of
// its key.
type passphraseFile struct {
	PassphraseFile string `help:"File with the key's passphrase, such as a credential of systemd; nobody else may have access to it. Needed if the key is encrypted." type:"path" placeholder:"FILE" toml:"passphrase_file"`
}

// passphrase returns "" if no file was named.
func (p passphraseFile) passphrase() (string, error) {
	if p.PassphraseFile == "" {
		return "", nil
	}
	return keyfile.ReadPassphrase(p.PassphraseFile)
}

// ask gets the passphrase of an encrypted key, from a person if need be.
func (p passphraseFile) ask(ctx context.Context, io command.IO, path string) (string, error) {
	if p.PassphraseFile != "" || !onTerminal() {
		passphrase, err := p.passphrase()
		if passphrase == "" && err == nil {
			err = fmt.Errorf("%s is encrypted, and there is no terminal on which to ask for the passphrase: name a file that holds it with --passphrase-file", path)
		}
		return passphrase, err
	}
	return prompt(ctx, io, "Passphrase of "+path+": ")
}

// newPassphrase is how a new key is encrypted.
type newPassphrase struct {
	PassphraseFile string `help:"Encrypt the key with the passphrase in this file, to which nobody else may have access." type:"path" placeholder:"FILE"`
	Encrypt        bool   `help:"Encrypt the key with a passphrase that is asked for on the terminal."`
}

// choose returns "" if the key is not to be encrypted.
func (p newPassphrase) choose(ctx context.Context, io command.IO, path string) (string, error) {
	switch {
	case p.PassphraseFile != "":
		return keyfile.ReadPassphrase(p.PassphraseFile)
	case p.Encrypt:
		return promptTwice(ctx, io, path, "--passphrase-file")
	}
	return "", nil
}

// advise adds what to do about a key that does not fit the command line.
func advise(err error, path string) error {
	switch {
	case errors.Is(err, keyfile.ErrEncrypted):
		return fmt.Errorf("%w: name a file that holds it with --passphrase-file", err)
	case errors.Is(err, keyfile.ErrPlain):
		return fmt.Errorf("%w: encrypt it with port17 key passphrase %s, or leave --passphrase-file out", err, path)
	}
	return err
}

func onTerminal() bool { return term.IsTerminal(int(os.Stdin.Fd())) }

// promptTwice asks for a new passphrase; option is what to use where there is
// no terminal.
func promptTwice(ctx context.Context, io command.IO, path, option string) (string, error) {
	if !onTerminal() {
		return "", fmt.Errorf("there is no terminal on which to ask for the new passphrase: name a file that holds it with %s", option)
	}
	first, err := prompt(ctx, io, "New passphrase of "+path+": ")
	if err != nil {
		return "", err
	}
	again, err := prompt(ctx, io, "The same again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", errors.New("the two passphrases are not the same: nothing was changed")
	}
	return first, nil
}

// prompt asks on the terminal, which does not show what is typed.
func prompt(ctx context.Context, io command.IO, question string) (string, error) {
	type answer struct {
		text []byte
		err  error
	}
	terminal := int(os.Stdin.Fd())
	before, err := term.GetState(terminal)
	if err != nil {
		return "", fmt.Errorf("ask for the passphrase: %w", err)
	}
	fmt.Fprint(io.Err, question)
	answers := make(chan answer, 1)
	go func() { // after an interrupt it ends with the process
		text, err := term.ReadPassword(terminal)
		answers <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(io.Err)
		return "", errors.Join(errors.New("interrupted: nothing was changed"), term.Restore(terminal, before))
	case a := <-answers:
		fmt.Fprintln(io.Err)
		defer clear(a.text)
		switch {
		case a.err != nil:
			return "", fmt.Errorf("ask for the passphrase: %w", a.err)
		case len(a.text) == 0:
			return "", errors.New("the passphrase is empty: nothing was changed")
		}
		return string(a.text), nil
	}
}
