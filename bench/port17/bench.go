package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A bench is one run.
type bench struct {
	rounds   int
	window   time.Duration
	delay    time.Duration
	quiet    float64       // cores that others may use
	wait     time.Duration // for that
	parts    []string
	only     string
	port17   string
	rawFile  string
	out, log io.Writer

	dir  string
	crew *crew
	raw  *json.Encoder

	mu      sync.Mutex
	conns   []net.Conn // to close at the end
	results results
}

var allParts = []string{"loop", "delayed", "memory"}

// parse reads the command line.
func parse(args []string, out, log io.Writer) (*bench, error) {
	b := &bench{out: out, log: log}
	f := flag.NewFlagSet("bench-port17", flag.ContinueOnError)
	f.SetOutput(log)
	f.IntVar(&b.rounds, "rounds", 5, "how often each measurement is repeated; the figures are medians")
	f.DurationVar(&b.window, "window", 4*time.Second, "how long one measurement of throughput counts")
	f.DurationVar(&b.delay, "delay", 25*time.Millisecond, "part delayed: one way of every link")
	f.Float64Var(&b.quiet, "quiet", 0.6, "wait, and repeat a measurement, while other work uses more cores than this")
	f.DurationVar(&b.wait, "wait", 10*time.Second, "how long to wait for quiet before each measurement")
	f.StringVar(&b.port17, "port17", "bin/port17", "the program to measure")
	f.StringVar(&b.rawFile, "raw", "bin/bench-port17.jsonl", "file for all values, as JSON lines")
	f.StringVar(&b.only, "only", "", "measure only what has one of these names, separated by commas")
	parts := f.String("parts", strings.Join(allParts, ","), "what to measure, separated by commas")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	b.parts = strings.Split(*parts, ",")
	for _, p := range b.parts {
		if !slices.Contains(allParts, p) {
			return nil, fmt.Errorf("unknown part %q: use %s", p, strings.Join(allParts, ", "))
		}
	}
	if b.rounds < 1 || b.window <= 0 || b.delay <= 0 {
		return nil, errors.New("nothing to measure: --rounds, --window and --delay must be positive")
	}
	return b, nil
}

// chosen says whether a contestant is to be measured.
func (b *bench) chosen(name string) bool {
	return b.only == "" || slices.Contains(strings.Split(b.only, ","), name)
}

// check says what is missing.
func (b *bench) check() (err error) {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root: run this as root")
	}
	for program, from := range map[string]string{"tor": "tor", "tor-gencert": "tor", "ip": "iproute2"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is missing: apt-get install %s", program, from)
		}
	}
	if b.port17, err = filepath.Abs(b.port17); err != nil {
		return err
	}
	if _, err := os.Stat(b.port17); err != nil {
		return fmt.Errorf("%w: run make build first, or name the program with --port17", err)
	}
	return nil
}

// run measures all parts and prints their tables.
func (b *bench) run(ctx context.Context) (err error) {
	if err := b.check(); err != nil {
		return err
	}
	raiseFileLimit()
	if b.dir, err = os.MkdirTemp("", "bench-port17-"); err != nil {
		return err
	}
	raw, err := os.Create(b.rawFile)
	if err != nil {
		return err
	}
	defer raw.Close()
	b.raw = json.NewEncoder(raw)
	b.crew = &crew{dir: b.dir}
	defer func() {
		b.close()
		if err == nil || ctx.Err() != nil {
			os.RemoveAll(b.dir)
			return
		}
		fmt.Fprintf(b.log, "the logs are in %s\n", b.dir)
	}()
	unregister := context.AfterFunc(ctx, b.close)
	defer unregister()
	about := b.about()
	fmt.Fprintln(b.out, about)
	if err := b.raw.Encode(map[string]any{"about": about, "rounds": b.rounds, "window": b.window.String(), "delay": b.delay.String()}); err != nil {
		return err
	}
	for _, part := range b.parts {
		measure := map[string]func(context.Context) error{"loop": b.loop, "delayed": b.delayed, "memory": b.memory}[part]
		if err := measure(ctx); err != nil {
			return fmt.Errorf("part %s: %w", part, err)
		}
	}
	return b.printBars()
}

// about is what was measured and where.
func (b *bench) about() string {
	tor, _ := exec.Command("tor", "--version").Output()
	torVersion, _, _ := strings.Cut(string(tor), "\n")
	port17, _ := exec.Command(b.port17, "--version").Output()
	return fmt.Sprintf("%s; %s; %s; %s", time.Now().UTC().Format("2 January 2006 15:04 UTC"),
		machine(), strings.TrimSuffix(torVersion, "."), strings.TrimSpace(string(port17)))
}

// keep closes a connection when the run ends.
func (b *bench) keep(c net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns = append(b.conns, c)
}

// close stops all processes, the namespaces' included.
func (b *bench) close() {
	b.mu.Lock()
	for _, c := range b.conns {
		c.Close()
	}
	b.conns = nil
	b.mu.Unlock()
	b.crew.close()
}

func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(b.log, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// raiseFileLimit lets this program and its children have many connections.
func raiseFileLimit() {
	const enough = 1 << 16
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: enough, Max: enough}) == nil {
		return
	}
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		l.Cur = l.Max
		unix.Setrlimit(unix.RLIMIT_NOFILE, &l) //nolint:errcheck // then there are fewer streams, which the table says
	}
}
