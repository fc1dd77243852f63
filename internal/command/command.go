package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// IO is where a command prints: results to Out, everything else to Err.
type IO struct{ Out, Err io.Writer }

// Exit codes of a program.
const (
	exitFailed = 1 // the command failed
	exitUsage  = 2 // the command line is wrong
)

// linked may be set at link time (-X safing/internal/command.linked=1.2.3);
// nothing else writes it. Without it the version comes from the build's own
// record.
var linked string

// Main runs the program's command line and exits. The first SIGINT or SIGTERM
// ends the context, a second one ends the program at once.
func Main(name, description string, grammar any, options ...kong.Option) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := Run(ctx, name, description, grammar, os.Args[1:], IO{os.Stdout, os.Stderr}, options...)
	stop()
	os.Exit(code)
}

// errExit stops kong where it would end the process, after --help.
type errExit int

// Run parses args into grammar, runs the chosen command and returns the exit
// code. A command is a type with a method
//
//	Run(ctx context.Context, io command.IO) error
//
// where each of the two parameters may be left out. It panics only when the
// grammar itself is wrong, which any test of the program shows.
func Run(ctx context.Context, name, description string, grammar any, args []string, io IO, options ...kong.Option) (code int) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case errExit:
			code = int(r)
		default:
			panic(r)
		}
	}()
	options = append([]kong.Option{
		kong.Name(name),
		kong.Description(description),
		kong.Writers(io.Out, io.Err),
		kong.Exit(func(code int) { panic(errExit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ValueFormatter(valueHelp),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(io),
		kong.Embed(&versionFlag{name: name}),
	}, options...)
	parser, err := kong.New(grammar, options...)
	if err != nil {
		panic(fmt.Sprintf("command line of %s: %v", name, err)) // the grammar is part of the program
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return usage(io, name, err)
	}
	if err := parsed.Run(); err != nil {
		fmt.Fprintf(io.Err, "%s: %s\n", name, line(err))
		return exitFailed
	}
	return 0
}

// valueHelp is the help of an option or an argument. Where a placeholder stands
// in for the default, that is said, too.
func valueHelp(v *kong.Value) string {
	help := kong.DefaultHelpValueFormatter(v)
	if v.Flag == nil || v.Flag.PlaceHolder == "" || v.Default == "" {
		return help
	}
	return fmt.Sprintf("%s Default: %s.", help, v.Default)
}

// usage prints what is wrong with the command line, and where help is.
func usage(io IO, name string, err error) int {
	help := name
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		for _, step := range parse.Context.Path {
			if step.Command != nil {
				help += " " + step.Command.Name
			}
		}
	}
	fmt.Fprintf(io.Err, "%s: %s (see \"%s --help\")\n", name, line(err), help)
	return exitUsage
}

// line is the error's text on one line; joined errors have several.
func line(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}

// versionFlag adds --version to every program.
type versionFlag struct {
	name    string
	Version printVersion `help:"Print the version and exit."`
}

type printVersion bool

// BeforeReset prints before anything that is missing could be an error.
func (printVersion) BeforeReset(app *kong.Kong) error {
	fmt.Fprintf(app.Stdout, "%s %s\n", app.Model.Name, version())
	app.Exit(0)
	return nil
}

func version() string {
	if linked != "" {
		return linked
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return info.Main.Version
}
