package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	"safing/internal/command"
	"safing/internal/wan"
)

// Folder is the flag that every command of the lab shares.
type Folder struct {
	State string `help:"The lab's folder." default:".lab" type:"path" env:"LAB_STATE"`
}

// A state is what a running lab writes down for the other commands.
type state struct {
	Running     bool           `json:"running"`
	PID         int            `json:"pid"`
	Started     time.Time      `json:"started"`
	Network     string         `json:"network"`
	NetworkFile string         `json:"network_file"`
	Authority   string         `json:"authority"`
	Socks       string         `json:"socks"`
	SocksPort   uint16         `json:"socks_port"`
	ClientAPI   string         `json:"client_api"`
	UI          string         `json:"ui,omitempty"`
	API         string         `json:"api,omitempty"`
	Stamp       string         `json:"stamp,omitempty"`
	Names       string         `json:"names,omitempty"`
	Cgroup      string         `json:"cgroup,omitempty"`
	Links       *linkState     `json:"links,omitempty"`
	Server      *hostState     `json:"server,omitempty"` // for destinations
	Processes   []processState `json:"processes"`
}

type processState struct {
	Role    string `json:"role"`
	Name    string `json:"name"`
	PID     int    `json:"pid"`
	Running bool   `json:"running"`
	Address string `json:"address,omitempty"`
	ID      string `json:"id,omitempty"`
	Owner   string `json:"owner,omitempty"`
	Country string `json:"country,omitempty"`
	Exit    bool   `json:"exit,omitempty"`
	API     string `json:"api,omitempty"`
	Netns   string `json:"netns,omitempty"`
	Log     string `json:"log"`
}

// A linkState says what each link does to packets, where it does anything.
type linkState struct {
	Delay time.Duration `json:"delay_ns"` // one way
	Loss  wan.Share     `json:"loss"`     // of all packets
	Rate  wan.Rate      `json:"rate_bps"` // 0: unlimited
	Seed  uint64        `json:"seed"`
}

// A hostState is a host's address and its network namespace, as nsenter --net
// takes it.
type hostState struct {
	Address netip.Addr `json:"address"`
	Netns   string     `json:"netns"`
}

func statePath(dir string) string { return filepath.Join(dir, "state.json") }

// describe is the state of the world's network and processes.
func (w *world) describe(n *network) state {
	s := state{
		Running: true, PID: os.Getpid(), Started: time.Now().UTC(),
		Network: n.name, NetworkFile: n.file, Authority: n.authority,
		Socks: n.socks.String(), SocksPort: n.socks.Port(), ClientAPI: n.socket,
	}
	if h := w.hosts; h != nil {
		s.Links = &linkState{Delay: h.link.Delay, Loss: h.link.Loss, Rate: h.link.Rate, Seed: h.seed}
		s.Server = &hostState{Address: h.server.addr, Netns: h.server.netns.Path()}
	}
	for _, p := range w.snapshot() {
		s.Processes = append(s.Processes, p.describe())
	}
	return s
}

func (p *process) describe() processState {
	d := processState{Role: p.role, Name: p.name, PID: p.cmd.Process.Pid, Running: true, ID: p.ready["id"], API: p.ready["api"], Log: p.log}
	for _, key := range []string{"listen", "http", "socks", "ui"} {
		if a := p.ready[key]; a != "" {
			d.Address = a
			break
		}
	}
	if s := p.site; s != nil {
		d.Owner, d.Country, d.Exit = s.owner, s.country, s.exit
	}
	if p.host != nil {
		d.Netns = p.host.netns.Path()
	}
	return d
}

// save replaces the state file in one step. It holds the address of the
// firewall's page with its token, so only the owner may read it.
func (s state) save(dir string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	tmp := statePath(dir) + ".new"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the lab's state: %w", err)
	}
	return os.Rename(tmp, statePath(dir))
}

// load reads the state that the lab in dir wrote, and looks what of it still
// runs.
func load(dir string) (state, error) {
	b, err := os.ReadFile(statePath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, fmt.Errorf("no lab runs in %s: start one with `make up`, or name its folder with --state", dir)
	}
	if err != nil {
		return state{}, fmt.Errorf("read the lab's state: %w", err)
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return state{}, fmt.Errorf("read %s: %w: remove the folder with `lab clean`", statePath(dir), err)
	}
	s.Running = locked(dir)
	for i := range s.Processes {
		s.Processes[i].Running = s.Running && alive(s.Processes[i].PID)
	}
	return s, nil
}

// running is load for commands that need a lab that runs.
func running(dir string) (state, error) {
	s, err := load(dir)
	if err == nil && !s.Running {
		err = fmt.Errorf("the lab in %s has stopped: start it again with `make up`", dir)
	}
	return s, err
}

// locked says whether a lab holds the folder.
func locked(dir string) bool {
	f, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}

// alive says whether a process runs; one that waits to be reaped does not.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	var state byte
	if _, err := fmt.Sscanf(string(b[lastParen(b)+1:]), " %c", &state); err != nil {
		return false
	}
	return state != 'Z' && state != 'X'
}

// lastParen finds the end of the program's name in /proc/PID/stat.
func lastParen(b []byte) int {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == ')' {
			return i
		}
	}
	return 0
}

type statusCommand struct {
	Folder `embed:""`
	JSON   bool `help:"Print JSON."`
}

func (c *statusCommand) Run(_ context.Context, io command.IO) error {
	s, err := load(c.State)
	if err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(io.Out)
		e.SetIndent("", "  ")
		return e.Encode(s)
	}
	if !s.Running {
		_, err := fmt.Fprintf(io.Out, "no lab runs in %s\n", c.State)
		return err
	}
	fmt.Fprintf(io.Out, "running since %s, pid %d\n", s.Started.Local().Format(time.TimeOnly), s.PID)
	if s.UI != "" {
		fmt.Fprintf(io.Out, "portmaster  %s\nstamp       %s\n", s.UI, s.Stamp)
	}
	fmt.Fprintf(io.Out, "socks       %s\n\n", s.Socks)
	t := tabwriter.NewWriter(io.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ROLE\tNAME\tPID\tOWNER\tCOUNTRY\tSTATE")
	for _, p := range s.Processes {
		what := "running"
		if !p.Running {
			what = "ended"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\n", p.Role, p.Name, p.PID, p.Owner, p.Country, what)
	}
	return t.Flush()
}

type cleanCommand struct {
	Folder `embed:""`
}

func (c *cleanCommand) Run(_ context.Context, io command.IO) error {
	if _, err := os.Stat(c.State); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := os.Stat(filepath.Join(c.State, "lock")); err != nil {
		return fmt.Errorf("%s is not a lab's folder: nothing was removed", c.State)
	}
	w, err := open(c.State, io.Err)
	if err != nil {
		return err
	}
	defer w.lock.Close()
	if s, err := load(w.dir); err == nil {
		if err := w.unguard(s.Cgroup); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(w.dir); err != nil {
		return fmt.Errorf("remove the lab's folder: %w", err)
	}
	return nil
}
