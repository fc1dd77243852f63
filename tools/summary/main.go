// Command summary turns the output of go test -json into something to read.
//
// It reads events on standard input, prints the output of every test that
// fails, and in the end the skipped tests with their reasons and one line:
//
//	12 passed, 0 failed, 1 skipped
//
// A test with subtests counts once, and so does each subtest. A package that
// does not build, or that fails outside its tests, counts as one failure. The
// exit status is 1 when something failed or nothing was read.
//
// A go test that cannot even list its packages writes no event. So whoever runs
// it appends {"Action":"exit"} when it fails, and that counts as one failure
// unless another was counted.
//
// With -forbid-skip REGEXP, a skip whose reason matches is a failure: this is
// for machines that have what the test asks for.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
)

func main() {
	forbid := flag.String("forbid-skip", "", "count a skip as a failure when its reason matches this `regexp`")
	flag.Parse()
	r := newRun()
	if *forbid != "" {
		re, err := regexp.Compile(*forbid)
		if err != nil {
			fmt.Fprintf(os.Stderr, "read -forbid-skip: %v; see https://go.dev/s/re2syntax\n", err)
			os.Exit(2)
		}
		r.forbidden = re
	}
	if err := r.read(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "read test events: %v\n", err)
		os.Exit(2)
	}
	if !r.finish(os.Stdout) {
		os.Exit(1)
	}
}
