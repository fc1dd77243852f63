package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// An event is one line of go test -json, as "go doc test2json" describes it.
type event struct {
	Time        time.Time
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Output      string
	Elapsed     float64
	FailedBuild string
}

type key struct{ pkg, test string }

func (k key) String() string {
	if k.test == "" {
		return k.pkg
	}
	return k.pkg + " " + k.test
}

type skip struct {
	key
	reason string
}

// A run is what one go test -json has told so far. One goroutine uses it.
type run struct {
	forbidden *regexp.Regexp // nil: every skip is allowed

	output  map[key][]string // of tests and packages that have not ended
	builds  map[string][]string
	failing map[string]int // failed tests by package
	started map[key]bool   // tests that have not ended

	passed, failed int
	skips          []skip
	events         int
}

func newRun() *run {
	return &run{
		output:  map[key][]string{},
		builds:  map[string][]string{},
		failing: map[string]int{},
		started: map[key]bool{},
	}
}

// read takes events until the end of in. What fails is written to out at once.
// A line that is no event is written as it came: go itself prints such lines.
func (r *run) read(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				r.take(e, out)
			} else {
				fmt.Fprintln(out, strings.TrimRight(string(line), "\r\n"))
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *run) take(e event, out io.Writer) {
	r.events++
	k := key{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		r.builds[e.ImportPath] = append(r.builds[e.ImportPath], e.Output)
	case "run":
		r.started[k] = true
	case "output":
		r.output[k] = append(r.output[k], e.Output)
	case "pass":
		r.end(k)
		if e.Test != "" {
			r.passed++
		} else {
			fmt.Fprintf(out, "ok    %s  %.1fs\n", e.Package, e.Elapsed)
		}
	case "skip":
		if text := r.end(k); e.Test != "" {
			r.skip(skip{k, reason(text)}, out)
		}
	case "fail":
		if e.Test != "" {
			r.fail(k, r.end(k), out)
		} else {
			r.failPackage(e, out)
		}
	case "exit":
		if r.failed == 0 {
			r.fail(key{pkg: "go test"}, []string{"    ended with an error, see above\n"}, out)
		}
	}
}

// end forgets k and returns what it printed.
func (r *run) end(k key) []string {
	text := r.output[k]
	delete(r.output, k)
	delete(r.started, k)
	return text
}

func (r *run) skip(s skip, out io.Writer) {
	if r.forbidden != nil && r.forbidden.MatchString(s.reason) {
		r.fail(s.key, []string{"    skipped, but it must run here: " + s.reason + "\n"}, out)
		return
	}
	r.skips = append(r.skips, s)
}

func (r *run) fail(k key, text []string, out io.Writer) {
	r.failed++
	r.failing[k.pkg]++
	fmt.Fprintf(out, "FAIL  %s\n", k)
	for _, t := range text {
		if !noise(t) {
			fmt.Fprint(out, indent(t))
		}
	}
}

// failPackage counts what no test of the package has counted: a build that
// broke, tests that were running when the process died, an exit of TestMain.
func (r *run) failPackage(e event, out io.Writer) {
	if e.FailedBuild != "" {
		r.fail(key{e.Package, ""}, r.builds[e.FailedBuild], out)
		r.end(key{e.Package, ""})
		return
	}
	text := r.end(key{e.Package, ""})
	for _, k := range r.running(e.Package) {
		r.fail(k, append(r.end(k), "    did not end\n"), out)
	}
	if r.failing[e.Package] == 0 {
		r.fail(key{e.Package, ""}, text, out)
		return
	}
	for _, t := range text {
		if !noise(t) {
			fmt.Fprint(out, indent(t))
		}
	}
}

func (r *run) running(pkg string) []key {
	var keys []key
	for k := range r.started {
		if k.pkg == pkg {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b key) int { return strings.Compare(a.test, b.test) })
	return keys
}

// finish writes the skips and the last line. It reports whether all is well.
func (r *run) finish(out io.Writer) bool {
	for _, k := range r.packagesRunning() {
		r.fail(k, append(r.end(k), "    did not end\n"), out)
	}
	for _, s := range r.skips {
		fmt.Fprintf(out, "skip  %s: %s\n", s.key, s.reason)
	}
	if r.events == 0 {
		fmt.Fprintln(out, "no test was run")
		r.failed++
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, len(r.skips))
	return r.failed == 0
}

func (r *run) packagesRunning() []key {
	var keys []key
	for k := range r.started {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

// noise reports whether a line only frames a test's own output.
func noise(line string) bool {
	t := strings.TrimSpace(line)
	for _, p := range []string{"=== RUN", "=== PAUSE", "=== CONT", "=== NAME", "--- FAIL", "--- SKIP", "--- PASS"} {
		if strings.HasPrefix(t, p) {
			return true
		}
	}
	return t == "FAIL" || t == "" || strings.HasPrefix(line, "FAIL\t")
}

func indent(line string) string {
	return "      " + strings.TrimRight(strings.TrimPrefix(line, "    "), "\n") + "\n"
}

// source matches the place that testing puts before a message.
var source = regexp.MustCompile(`^[\w.-]+\.go:\d+: `)

// reason takes what a skipped test said from its output.
func reason(text []string) string {
	var said []string
	for _, t := range text {
		if !noise(t) {
			said = append(said, source.ReplaceAllString(strings.TrimSpace(t), ""))
		}
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
}
