package main

import (
	"errors"
	"fmt"
	"os"

	"safing/internal/command"
	"safing/profile"
)

type profileCommand struct {
	Check checkCommand `cmd:"" help:"Say whether profile files are right, and where they are not."`
}

type checkCommand struct {
	Files []string `arg:"" name:"file" help:"Profile files." type:"path"`
}

// Run checks every file; what is wrong is the error.
func (c *checkCommand) Run(io command.IO) error {
	var errs []error
	for _, file := range c.Files {
		text, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p, err := profile.Parse(file, text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintf(io.Out, "%s: %d rules, else %s\n", file, len(p.Rules), p.Default)
	}
	return errors.Join(errs...)
}
