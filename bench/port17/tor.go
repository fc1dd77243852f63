package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A tor is a private Tor network: three directory authorities that are also
// relays, three more relays, an exit, and a client.
type tor struct {
	*contestant
	extra   string // lines for every torrc
	control *torControl
}

const (
	torAuthorities = 3
	torSocks       = "127.0.0.1:9050"
	torControlAt   = "127.0.0.1:9051"
)

// torTuned turns off what costs Tor throughput here: the scheduler's pauses
// between writes, and the second circuit on which it sends data too.
const torTuned = "Schedulers Vanilla\nConfluxEnabled 0\n"

// torParameters are the public network's consensus parameters of 17 January
// 2026 that touch speed. Without them Tor falls back to fixed windows.
const torParameters = "CircuitPriorityHalflifeMsec=30000 KISTSchedRunInterval=3 UseOptimisticData=1 cc_alg=2 " +
	"cc_cwnd_full_gap=4 cc_cwnd_full_minpct=25 cc_cwnd_inc=1 cc_cwnd_inc_rate=31 cc_cwnd_min=124 " +
	"cc_sscap_exit=600 cc_sscap_onion=475 cc_sscap_sbws=600 cc_vegas_alpha_exit=186 cc_vegas_alpha_sbws=186 " +
	"cc_vegas_beta_onion=372 cc_vegas_beta_sbws=248 cc_vegas_delta_exit=310 cc_vegas_delta_onion=434 " +
	"cc_vegas_delta_sbws=310 cc_vegas_gamma_onion=248 cc_vegas_gamma_sbws=186 cfx_low_exit_threshold=5000 " +
	"circ_max_cell_queue_size=1250 circ_max_cell_queue_size_out=1000 guard-n-primary-guards-to-use=2 " +
	"sendme_accept_min_version=1"

const torAuthorityLines = `
DirPort %s:9030
AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
TestingDirAuthVoteExit *
TestingDirAuthVoteGuard *
TestingV3AuthInitialVotingInterval 20
TestingV3AuthInitialVoteDelay 4
TestingV3AuthInitialDistDelay 4
V3AuthVotingInterval 20
V3AuthVoteDelay 4
V3AuthDistDelay 4
ConsensusParams %s
`

const torClientLines = `
SocksPort %s IsolateSOCKSAuth
ControlPort %s
ClientOnly 1
ClientRejectInternalAddresses 0
ClientDNSRejectInternalAddresses 0
MaxCircuitDirtiness 1 hour
`

// startTor starts a Tor network with extra lines in every torrc, and waits
// until its client knows all relays.
func (a *arena) startTor(ctx context.Context, name, extra string) (*contestant, error) {
	t := &tor{extra: extra, contestant: &contestant{
		name: name, arena: a, sockets: []string{torSocks},
		target: target{Addr: destinationAddress, Socks: torSocks},
	}}
	t.contestant.fresh = t.fresh
	var authorities strings.Builder
	for i := range torAuthorities {
		line, err := t.makeKeys(i)
		if err != nil {
			return nil, err
		}
		authorities.WriteString(line)
	}
	for i := range relays {
		p, err := t.launch(i, authorities.String()+t.relayLines(i))
		if err != nil {
			return nil, err
		}
		t.relays = append(t.relays, p)
	}
	client, err := t.launch(-1, authorities.String()+fmt.Sprintf(torClientLines, torSocks, torControlAt))
	if err != nil {
		return nil, err
	}
	t.exits = t.relays[relays-1:]
	t.carriers = append([]*process{client}, t.relays...)
	if err := t.bootstrap(ctx); err != nil {
		return nil, err
	}
	return t.contestant, t.voteRarely()
}

// torName is that of relay i; the client is -1.
func torName(i int) string {
	switch {
	case i < 0:
		return "client"
	case i < torAuthorities:
		return fmt.Sprintf("authority%d", i+1)
	case i == relays-1:
		return "exit"
	}
	return fmt.Sprintf("relay%d", i+1)
}

func (t *tor) dir(i int) string { return filepath.Join(t.arena.bench.dir, t.arena.name, torName(i)) }

func (t *tor) relayLines(i int) string {
	lines := fmt.Sprintf(`
Nickname %s
Address %[2]s
ORPort %[2]s:9001
OutboundBindAddress %[2]s
ContactInfo bench
SocksPort 0
AssumeReachable 1
`, torName(i), relayHost(i))
	if i < torAuthorities {
		lines += fmt.Sprintf(torAuthorityLines, relayHost(i), torParameters)
	}
	if i == relays-1 {
		return lines + "ExitRelay 1\nExitPolicyRejectPrivate 0\nExitPolicy accept *:*\n"
	}
	return lines + "ExitRelay 0\n"
}

// launch starts relay i, or the client.
func (t *tor) launch(i int, torrc string) (*process, error) {
	dir := t.dir(i)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	torrc = fmt.Sprintf("TestingTorNetwork 1\nDataDirectory %s\nLog notice file %s/log\nShutdownWaitLength 0\nSafeLogging 0\n%s%s",
		dir, dir, torrc, t.extra)
	file := filepath.Join(dir, "torrc")
	if err := os.WriteFile(file, []byte(torrc), 0o600); err != nil {
		return nil, err
	}
	host := clientHost
	if i >= 0 {
		host = relayHost(i)
	}
	return t.arena.start(host, torName(i), "tor", "--quiet", "--defaults-torrc", "/nonexistent", "--ignore-missing-torrc", "-f", file)
}

// voteRarely ends the quick votes that a fast start needs: they cost CPU time
// and memory that a real network does not spend.
func (t *tor) voteRarely() error {
	for i := range torAuthorities {
		file := filepath.Join(t.dir(i), "torrc")
		torrc, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		torrc = []byte(strings.Replace(string(torrc), "V3AuthVotingInterval 20", "V3AuthVotingInterval 30 minutes", 1))
		if err := os.WriteFile(file, torrc, 0o600); err != nil {
			return err
		}
		if err := t.relays[i].cmd.Process.Signal(syscall.SIGHUP); err != nil {
			return err
		}
	}
	return nil
}

// bootstrap waits until the client knows every relay and has built a circuit.
func (t *tor) bootstrap(ctx context.Context) error {
	const limit = 4 * time.Minute
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			return err
		}
		if t.control == nil {
			c, err := t.dialControl()
			if err != nil {
				continue // the client may just be starting
			}
			t.control = c
		}
		phase, err := t.control.command("GETINFO status/bootstrap-phase")
		if err != nil {
			return err
		}
		known, err := t.control.command("GETINFO ns/all")
		if err != nil {
			return err
		}
		if strings.Contains(phase, "PROGRESS=100") && strings.Count(known, "\r\nr ")+strings.Count(known, "=r ") >= relays {
			return nil
		}
	}
	return fmt.Errorf("%s did not start within %v; its logs are below %s", t.name, limit, filepath.Dir(t.dir(0)))
}

// fresh keeps Tor from building circuits ahead, and closes those that it has.
func (t *tor) fresh(_ context.Context, on bool) error {
	value := 0
	if on {
		value = 1
	}
	if _, err := t.control.command(fmt.Sprintf("SETCONF __DisablePredictedCircuits=%d", value)); err != nil {
		return err
	}
	if !on {
		return nil
	}
	open, err := t.control.circuits()
	if err != nil {
		return err
	}
	for _, id := range open {
		t.control.command("CLOSECIRCUIT " + id) //nolint:errcheck // it may have ended
	}
	return nil
}
