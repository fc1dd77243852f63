package main

import (
	"github.com/alecthomas/kong"

	"safing/internal/command"
)

const description = "Shows which application talks to whom, and decides whether it may."

// grammar is the command line.
type grammar struct {
	Run         runCommand         `cmd:"" help:"Guard this machine, or one control group, until stopped."`
	Stop        stopCommand        `cmd:"" help:"Stop the daemon, and open the network to what it guarded."`
	Status      statusCommand      `cmd:"" help:"Say what runs and what needs attention."`
	Connections connectionsCommand `cmd:"" help:"List connections with their verdicts and reasons."`
	Why         whyCommand         `cmd:"" help:"Explain what happens to a connection, layer by layer."`
	Profile     profileCommand     `cmd:"" help:"Handle profiles."`
	Reload      reloadCommand      `cmd:"" help:"Read profiles and settings again now."`
	Doctor      doctorCommand      `cmd:"" help:"Check what guarding needs on this machine."`
	Completion  command.Completion `cmd:"" help:"Print a completion script for a shell."`
}

func main() { command.Main("portmaster", description, new(grammar), vars()) }

// vars are what help texts and defaults refer to.
func vars() kong.Vars {
	return kong.Vars{"state": defaultState, "listen": defaultListen}
}
