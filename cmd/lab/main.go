package main

import (
	"safing/internal/command"
)

const description = "Run the whole of Safing on this machine, to try it and to work on it."

type grammar struct {
	Up         upCommand          `cmd:"" help:"Start everything and run until Ctrl-C."`
	Exec       execCommand        `cmd:"" help:"Run a command behind the lab's Portmaster."`
	Net        netCommand         `cmd:"" help:"Start a Port17 network alone, for measurements."`
	Soak       soakCommand        `cmd:"" help:"Put load on a Port17 network for a long time, kill its nodes, and check every byte."`
	Status     statusCommand      `cmd:"" help:"Say what runs."`
	Bench      benchCommand       `cmd:"" help:"Measure the network and the firewall, interleaved with their baselines."`
	Correlate  correlateCommand   `cmd:"" help:"Simulate who can tell which circuits belong together, and what hiding that costs."`
	Connect    connectCommand     `cmd:"" hidden:"" help:"Open connections as fast as possible, for bench."`
	Clean      cleanCommand       `cmd:"" help:"Remove the lab's folder."`
	Completion command.Completion `cmd:"" help:"Print a completion script for a shell."`
}

func main() {
	command.Main("lab", description, &grammar{})
}
