package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "interrupted; everything has been stopped")
		os.Exit(1)
	default:
		fmt.Fprintf(os.Stderr, "bench-port17: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 1 {
		switch args[0] {
		case "load", "serve", "forward", "cells":
			signal.Reset() // these have nothing to tidy up
			return role(args[0], args[1:])
		}
	}
	b, err := parse(args, os.Stdout, os.Stderr)
	if err != nil {
		return err
	}
	return b.run(ctx)
}

// role is what this program does as its own child.
func role(name string, args []string) error {
	switch {
	case name == "load" && len(args) == 1:
		return load(args[0])
	case name == "serve" && len(args) == 1:
		return serve(args[0])
	case name == "forward" && len(args) == 2:
		return forward(args[0], args[1], splice, splice)
	case name == "cells" && len(args) == 3:
		position, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		up, down := cellCodecs(position)
		return forward(args[1], args[2], up, down)
	}
	return fmt.Errorf("%s: wrong number of arguments", name)
}
