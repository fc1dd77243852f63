package main

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// A torControl is a connection to a Tor client's control port, for one caller
// at a time (https://spec.torproject.org/control-spec).
type torControl struct {
	conn net.Conn
	in   *bufio.Reader
}

func (t *tor) dialControl() (*torControl, error) {
	var c net.Conn
	err := t.arena.hosts[clientHost].Do(func() (err error) {
		// An address, not a name: the dial must stay on this thread.
		c, err = net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(torControlAt)))
		return err
	})
	if err != nil {
		return nil, err
	}
	t.arena.bench.keep(c)
	control := &torControl{conn: c, in: bufio.NewReader(c)}
	_, err = control.command(`AUTHENTICATE ""`)
	return control, err
}

// command sends a command and returns the text of the reply.
func (c *torControl) command(line string) (string, error) {
	c.conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := fmt.Fprintf(c.conn, "%s\r\n", line); err != nil {
		return "", err
	}
	var text strings.Builder
	for {
		l, err := c.in.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("tor's control port: %w", err)
		}
		text.WriteString(l)
		if len(l) > 3 && l[3] == '+' {
			for l != ".\r\n" {
				if l, err = c.in.ReadString('\n'); err != nil {
					return "", fmt.Errorf("tor's control port: %w", err)
				}
				text.WriteString(l)
			}
			continue
		}
		if len(l) < 4 || l[3] != ' ' {
			continue
		}
		if l[0] != '2' {
			return "", fmt.Errorf("tor's control port answers %q to %q", strings.TrimSpace(l), line)
		}
		return text.String(), nil
	}
}

// circuits are the numbers of the client's circuits.
func (c *torControl) circuits() ([]string, error) {
	text, err := c.command("GETINFO circuit-status")
	if err != nil {
		return nil, err
	}
	return parseCircuits(text), nil
}

func parseCircuits(text string) (ids []string) {
	for l := range strings.SplitSeq(text, "\r\n") {
		l = strings.TrimPrefix(l, "250-circuit-status=")
		if f := strings.Fields(l); len(f) > 2 && f[1] == "BUILT" {
			ids = append(ids, f[0])
		}
	}
	return ids
}

var (
	fingerprintLine = regexp.MustCompile(`(?m)^\S+ ((?:[0-9A-F]{4} ?){10})$`)
	certFingerprint = regexp.MustCompile(`(?m)^fingerprint ([0-9A-F]{40})$`)
)

// makeKeys makes the keys of authority i and returns the line that names it.
func (t *tor) makeKeys(i int) (string, error) {
	dir, at := t.dir(i), relayHost(i)
	keys := filepath.Join(dir, "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		return "", err
	}
	in := func(file string) string { return filepath.Join(keys, file) }
	generate := exec.Command("tor-gencert", "--create-identity-key", "-m", "12", "-a", fmt.Sprintf("%s:9030", at), "--passphrase-fd", "0",
		"-i", in("authority_identity_key"), "-s", in("authority_signing_key"), "-c", in("authority_certificate"))
	generate.Stdin = strings.NewReader("bench\n")
	if out, err := generate.CombinedOutput(); err != nil {
		return "", fmt.Errorf("tor-gencert: %w: %s", err, out)
	}
	certificate, err := os.ReadFile(in("authority_certificate"))
	if err != nil {
		return "", err
	}
	identity := certFingerprint.FindSubmatch(certificate)
	out, err := exec.Command("tor", "--quiet", "--ignore-missing-torrc", "--defaults-torrc", "/nonexistent", "-f", "/nonexistent",
		"--DataDirectory", dir, "--Nickname", torName(i), "--ORPort", "9001", "--ContactInfo", "bench",
		"--list-fingerprint").CombinedOutput()
	fingerprint := fingerprintLine.FindSubmatch(out)
	if err != nil || identity == nil || fingerprint == nil {
		return "", fmt.Errorf("the fingerprint of %s: %v: %s", torName(i), err, out)
	}
	return fmt.Sprintf("DirAuthority %s orport=9001 no-v2 v3ident=%s %s:9030 %s\n",
		torName(i), identity[1], at, strings.ReplaceAll(string(fingerprint[1]), " ", "")), nil
}
