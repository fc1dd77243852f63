package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"safing/internal/command"
	"safing/internal/systemd"
	"safing/netmap"
	"safing/port17/witness"
	"safing/tinker/keyfile"
)

type witnessCommand struct {
	Init witnessInit `cmd:"" help:"Make the key of a new witness, and print what networks need of it."`
	Run  witnessRun  `cmd:"" help:"Watch the logs of networks, and cosign what follows from what was seen."`
}

// The files in a witness's folder.
const (
	witnessKey  = "witness.key"
	witnessName = "name"
)

type witnessInit struct {
	State string `help:"Folder of the witness." default:"/var/lib/port17/witness" type:"path" placeholder:"DIR"`
	Name  string `help:"Name of the witness, such as witness.example.org: letters without spaces." required:"" placeholder:"NAME"`
	URL   string `help:"Where authorities will reach the witness." required:"" placeholder:"URL"`
	newPassphrase
}

// Help is what --help says besides the flags.
func (*witnessInit) Help() string {
	return "A witness makes sure that a network has one log of its maps, which only grows. Then nobody can be shown " +
		"another map than all others see, even if every authority wants it.\n\n" +
		"It should be run by somebody else than the authorities, on another machine. What is printed goes into the " +
		"network's file, for which port17 authority network takes it with --witness; or by hand, with witness_threshold = N at " +
		"the top of the file: so many witnesses have to have seen the log that a map is in.\n\n" +
		"Example: port17 witness init --name witness.example.org --url https://witness.example.org > witness.toml"
}

// Run makes the key. It never replaces one: every network would have to publish
// another file.
func (c *witnessInit) Run(ctx context.Context, io command.IO) error {
	path := filepath.Join(c.State, witnessKey)
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s already holds the key of a witness: name another folder with --state", c.State)
	}
	if !strings.HasPrefix(c.URL, "http://") && !strings.HasPrefix(c.URL, "https://") {
		return fmt.Errorf("--url=%s: it has to begin with http:// or https://", c.URL)
	}
	passphrase, err := c.choose(ctx, io, path)
	if err != nil {
		return err
	}
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	verifier, err := netmap.CosignerKey(c.Name, public)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.State, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.State, witnessName), []byte(c.Name), 0o600); err != nil {
		return err
	}
	if err := keyfile.Save(path, key, keyfile.Options{Passphrase: passphrase}); err != nil {
		return err
	}
	fmt.Fprintf(io.Err, "The witness's key is %s: keep it secret, and use it nowhere else.\nNetworks that trust the witness have this in their file:\n", path)
	fmt.Fprintf(io.Out, "[[witness]]\nurl = %q\nkey = %q\n", c.URL, verifier)
	return nil
}

type witnessRun struct {
	State   string   `help:"Folder of the witness." default:"/var/lib/port17/witness" type:"path" placeholder:"DIR"`
	Network []string `help:"File of a network whose log is watched; may be given more than once." required:"" type:"existingfile" placeholder:"FILE" sep:"none"`
	Listen  string   `help:"Address and port on which authorities are answered." default:"127.0.0.1:8130" placeholder:"ADDR"`
	Verbose bool     `help:"Log what a developer wants to see." short:"v"`
	passphraseFile
}

// Help is what --help says besides the flags.
func (*witnessRun) Help() string {
	return "The witness speaks c2sp.org/tlog-witness: POST /add-checkpoint. It cosigns a checkpoint that as many " +
		"authorities have signed as the network's file says, and that is proven to follow from the last one. Put a web " +
		"server with TLS in front of it where the way to it is watched; nothing that it answers is secret.\n\n" +
		"What it has cosigned is in witness.db in its folder. Never go back to an older copy of it: the witness would " +
		"vouch for a log that contradicts what it said before. If the file is lost, make a witness with another key.\n\n" +
		"Two logs of one network are an error in its log, and both checkpoints are kept in the table evidence: they are " +
		"proof, with the authorities' signatures, that these have cheated."
}

// Run serves until ctx ends.
func (c *witnessRun) Run(ctx context.Context, io command.IO) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	name, err := os.ReadFile(filepath.Join(c.State, witnessName))
	if err != nil {
		return err
	}
	var networks []*netmap.Network
	for _, path := range c.Network {
		n, err := netmap.LoadNetwork(path)
		if err != nil {
			return err
		}
		networks = append(networks, n)
	}
	log := logTo(io, c.Verbose)
	l, err := command.Listen(c.Listen, "--listen")
	if err != nil {
		return err
	}
	w, err := witness.New(ctx, witness.Config{Name: string(name), Key: key, Networks: networks, State: c.State, Log: log})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	fmt.Fprintf(io.Out, "ready http=%s\n", l.Addr())
	notify(systemd.Ready, log)
	err = serveHTTP(ctx, l, w.Handler(), log)
	notify(systemd.Stopping, log)
	return errors.Join(err, w.Close())
}

func (c *witnessRun) key() (ed25519.PrivateKey, error) {
	passphrase, err := c.passphrase()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(c.State, witnessKey)
	key, err := keyfile.Load[ed25519.PrivateKey](path, passphrase)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no key of a witness: make one with port17 witness init", c.State)
	}
	return key, advise(err, path)
}
