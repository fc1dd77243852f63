package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"safing/internal/command"
)

type benchCommand struct {
	Folder `embed:""`
	Rounds int           `help:"How often each measurement is repeated; the figures are medians." default:"5"`
	Window time.Duration `help:"How long one measurement takes." default:"2s"`
	Part   string        `help:"What to measure: ${enum}." enum:"all,network,firewall" default:"all"`
}

// A series is the values of one measurement, one for each round.
type series struct {
	what   string
	unit   string
	values []float64
	of     *series // what the ratio is taken of, round by round
}

func (s *series) add(v float64) { s.values = append(s.values, v) }

// ratio is the median of the ratios within the rounds.
func (s *series) ratio() string {
	if s.of == nil {
		return ""
	}
	var r []float64
	for i, v := range s.values {
		if base := s.of.values[i]; base > 0 {
			r = append(r, v/base)
		}
	}
	if len(r) == 0 {
		return ""
	}
	return fmt.Sprintf("%.3f", median(r))
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v) == 0 {
		return 0
	}
	if len(v)%2 == 0 {
		return (v[len(v)/2-1] + v[len(v)/2]) / 2
	}
	return v[len(v)/2]
}

// table prints a Markdown table of the series.
func table(w io.Writer, title string, all []*series) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n| what | unit | median | min | max | ratio |\n|---|---|--:|--:|--:|--:|\n", title)
	for _, s := range all {
		fmt.Fprintf(&b, "| %s | %s | %.4g | %.4g | %.4g | %s |\n",
			s.what, s.unit, median(s.values), slices.Min(s.values), slices.Max(s.values), s.ratio())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Run prints what machine this is and then the tables.
func (c *benchCommand) Run(ctx context.Context, io command.IO) error {
	if c.Rounds < 1 || c.Window <= 0 {
		return errors.New("nothing to measure: --rounds and --window must be positive")
	}
	fmt.Fprintln(io.Out, machine())
	for _, part := range []struct {
		name string
		run  func(context.Context, command.IO) error
	}{{"network", c.network}, {"firewall", c.firewall}} {
		if c.Part != "all" && c.Part != part.name {
			continue
		}
		if err := part.run(ctx, io); err != nil {
			return interrupted(ctx, err)
		}
	}
	return nil
}

// open opens a world for one measurement.
func (c *benchCommand) open(io command.IO) (*world, error) {
	return openTemporary(c.State, "bench-", io.Err)
}

// progress says on standard error how far a measurement is.
func (c *benchCommand) progress(io command.IO, part string, round int) {
	fmt.Fprintf(io.Err, "%s: round %d of %d\n", part, round+1, c.Rounds)
}

// machine is one line about where this was measured.
func machine() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return runtime.GOOS
	}
	return fmt.Sprintf("%s, %d cores, Linux %s, %s", cpuModel(), runtime.NumCPU(), unix.ByteSliceToString(u.Release[:]), runtime.Version())
}

func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return cmp.Or(strings.TrimSpace(value), runtime.GOARCH)
		}
	}
	return runtime.GOARCH
}
