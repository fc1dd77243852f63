package command_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"safing/internal/command"
)

// grammar is a small program: it greets, fails and completes.
type grammar struct {
	Greet      greet              `cmd:"" help:"Greet somebody."`
	Fail       fail               `cmd:"" help:"Fail, always."`
	Key        key                `cmd:"" help:"Handle keys."`
	Completion command.Completion `cmd:"" help:"Print a completion script."`
}

type greet struct {
	Loud bool   `help:"Greet in capitals."`
	Name string `arg:"" help:"Whom to greet."`
}

func (g *greet) Run(_ context.Context, io command.IO) error {
	text := "hello " + g.Name
	if g.Loud {
		text = strings.ToUpper(text)
	}
	_, err := fmt.Fprintln(io.Out, text)
	return err
}

type fail struct{}

func (*fail) Run(ctx context.Context, _ command.IO) error {
	if ctx.Err() != nil {
		return errors.New("the context has ended")
	}
	return errors.New("open the door: locked; fetch the key")
}

type key struct {
	Show showKey `cmd:"" help:"Show the key's fingerprint."`
}

type showKey struct{}

func (*showKey) Run(io command.IO) error {
	_, err := fmt.Fprintln(io.Out, "fingerprint")
	return err
}

const description = "Greets people."

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"greeter": func() { command.Main("greeter", description, &grammar{}) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata"})
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		args     string
		code     int
		out, err string // parts of what is printed; "" means nothing is
	}{
		{"greet Ada", 0, "hello Ada\n", ""},
		{"greet --loud Ada", 0, "HELLO ADA\n", ""},
		{"key show", 0, "fingerprint\n", ""},
		{"fail", 1, "", "greeter: open the door: locked; fetch the key\n"},
		{"--help", 0, description, ""},
		{"greet --help", 0, "Whom to greet.", ""},
		{"--version", 0, "greeter ", ""},
		{"", 2, "", `(see "greeter --help")`},
		{"--nonsense", 2, "", `(see "greeter --help")`},
		{"nonsense", 2, "", `(see "greeter --help")`},
		{"greet", 2, "", `(see "greeter greet --help")`},
		{"greet --nonsense Ada", 2, "", `(see "greeter greet --help")`},
		{"key", 2, "", `(see "greeter key --help")`},
		{"key show --nonsense", 2, "", `(see "greeter key show --help")`},
		{"completion tcsh", 2, "", `(see "greeter completion --help")`},
	} {
		t.Run(c.args, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := command.Run(t.Context(), "greeter", description, &grammar{}, strings.Fields(c.args), command.IO{Out: &out, Err: &errs})
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			check(t, "standard output", out.String(), c.out)
			check(t, "standard error", errs.String(), c.err)
			if n := strings.Count(errs.String(), "\n"); n > 1 {
				t.Errorf("the error has %d lines, want one: %q", n, errs.String())
			}
		})
	}
}

func TestRunHandsTheContextOn(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	code := command.Run(ctx, "greeter", description, &grammar{}, []string{"fail"}, command.IO{Out: &out, Err: &errs})
	if code != 1 || !strings.Contains(errs.String(), "the context has ended") {
		t.Errorf("got exit code %d and %q", code, errs.String())
	}
}

func check(t *testing.T, what, got, want string) {
	t.Helper()
	if (want == "" && got != "") || !strings.Contains(got, want) {
		t.Errorf("%s is %q, want %q in it", what, got, want)
	}
}
