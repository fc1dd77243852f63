package main

import (
	"regexp"
	"strings"
	"testing"
)

const events = `{"Action":"start","Package":"p/a"}
{"Action":"run","Package":"p/a","Test":"TestWhole"}
{"Action":"run","Package":"p/a","Test":"TestWhole/part"}
{"Action":"output","Package":"p/a","Test":"TestWhole/part","Output":"--- PASS: TestWhole/part (0.00s)\n"}
{"Action":"pass","Package":"p/a","Test":"TestWhole/part"}
{"Action":"pass","Package":"p/a","Test":"TestWhole"}
{"Action":"run","Package":"p/a","Test":"TestKernel"}
{"Action":"output","Package":"p/a","Test":"TestKernel","Output":"=== RUN   TestKernel\n"}
{"Action":"output","Package":"p/a","Test":"TestKernel","Output":"    a_test.go:7: needs root: kernel hooks\n"}
{"Action":"output","Package":"p/a","Test":"TestKernel","Output":"--- SKIP: TestKernel (0.00s)\n"}
{"Action":"skip","Package":"p/a","Test":"TestKernel"}
{"Action":"pass","Package":"p/a","Elapsed":0.25}
`

func summarise(t *testing.T, in, forbid string) (out string, ok bool) {
	t.Helper()
	r := newRun()
	if forbid != "" {
		r.forbidden = regexp.MustCompile(forbid)
	}
	var b strings.Builder
	if err := r.read(strings.NewReader(in), &b); err != nil {
		t.Fatal(err)
	}
	ok = r.finish(&b)
	return b.String(), ok
}

func TestSummary(t *testing.T) {
	tests := []struct {
		name, in, forbid string
		want             []string // in this order
		ok               bool
	}{
		{
			name: "passes and skips", in: events, ok: true,
			want: []string{"ok    p/a", "skip  p/a TestKernel: needs root: kernel hooks\n", "2 passed, 0 failed, 1 skipped\n"},
		},
		{
			name: "a forbidden skip fails", in: events, forbid: "root",
			want: []string{"FAIL  p/a TestKernel\n", "must run here: needs root", "2 passed, 1 failed, 0 skipped\n"},
		},
		{
			name: "another reason may skip", in: events, forbid: "chromium", ok: true,
			want: []string{"2 passed, 0 failed, 1 skipped\n"},
		},
		{
			name: "a failure shows its output once",
			in: `{"Action":"run","Package":"p","Test":"TestX"}
{"Action":"output","Package":"p","Test":"TestX","Output":"    x_test.go:3: got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"TestX"}
{"Action":"output","Package":"p","Output":"FAIL\n"}
{"Action":"fail","Package":"p"}
`,
			want: []string{"FAIL  p TestX\n", "x_test.go:3: got 1, want 2\n", "0 passed, 1 failed, 0 skipped\n"},
		},
		{
			name: "a broken build is one failure",
			in: `{"ImportPath":"p [p.test]","Action":"build-output","Output":"p.go:1: undefined: y\n"}
{"ImportPath":"p [p.test]","Action":"build-fail"}
{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}
`,
			want: []string{"FAIL  p\n", "undefined: y\n", "0 passed, 1 failed, 0 skipped\n"},
		},
		{
			name: "a test that dies is named",
			in: `{"Action":"run","Package":"p","Test":"TestX"}
{"Action":"output","Package":"p","Output":"exit status 2\n"}
{"Action":"fail","Package":"p"}
`,
			want: []string{"FAIL  p TestX\n", "did not end\n", "exit status 2\n", "0 passed, 1 failed, 0 skipped\n"},
		},
		{
			name: "an exit outside tests is one failure",
			in: `{"Action":"run","Package":"p","Test":"TestX"}
{"Action":"pass","Package":"p","Test":"TestX"}
{"Action":"output","Package":"p","Output":"goroutines left\n"}
{"Action":"fail","Package":"p"}
`,
			want: []string{"FAIL  p\n", "goroutines left\n", "1 passed, 1 failed, 0 skipped\n"},
		},
		{
			name: "an interrupted run has failed",
			in: `{"Action":"run","Package":"p","Test":"TestX"}
`,
			want: []string{"FAIL  p TestX\n", "did not end\n", "0 passed, 1 failed, 0 skipped\n"},
		},
		{
			name: "go test that ends with an error has failed", in: "go: go.mod: unknown directive\n" + events + `{"Action":"exit"}` + "\n",
			want: []string{"go: go.mod: unknown directive\n", "FAIL  go test\n", "2 passed, 1 failed, 1 skipped\n"},
		},
		{
			name: "the exit after a failure adds none",
			in: `{"Action":"run","Package":"p","Test":"TestX"}
{"Action":"fail","Package":"p","Test":"TestX"}
{"Action":"fail","Package":"p"}
{"Action":"exit"}
`,
			want: []string{"FAIL  p TestX\n", "0 passed, 1 failed, 0 skipped\n"},
		},
		{
			name: "what is no event is passed on", in: "go: cannot find main module\n",
			want: []string{"go: cannot find main module\n", "no test was run\n", "0 passed, 1 failed, 0 skipped\n"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out, ok := summarise(t, test.in, test.forbid)
			if ok != test.ok {
				t.Errorf("ok = %v, want %v", ok, test.ok)
			}
			rest := out
			for _, w := range test.want {
				_, after, found := strings.Cut(rest, w)
				if !found {
					t.Fatalf("%q is missing, or not in order, in:\n%s", w, out)
				}
				rest = after
			}
			if rest != "" {
				t.Errorf("%q follows the last line", rest)
			}
		})
	}
}
