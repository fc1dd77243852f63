package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"

	"safing/portmaster/history"
)

// printable makes text from outside safe for a terminal: names, paths and
// command lines are chosen by strangers.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, s)
}

// application is the name under which people know it.
func application(c history.Connection) string {
	switch {
	case c.App.Name != "":
		return printable(c.App.Name)
	case c.Process.Path != "":
		return printable(c.Process.Path)
	default:
		return fmt.Sprintf("process %d", c.Process.PID)
	}
}

// destination is what the application asked for, by name where there is one.
func destination(c history.Connection) string {
	host := c.Destination.Domain
	if host == "" && c.Destination.Address.IsValid() {
		host = c.Destination.Address.String()
	}
	if c.Kind == history.KindDNS {
		return printable(host) + " (DNS)"
	}
	return printable(net.JoinHostPort(host, strconv.Itoa(int(c.Destination.Port))))
}

// overNodes is the nodes' names with their countries.
func overNodes(c history.Connection) string {
	hops := make([]string, len(c.Route))
	for i, h := range c.Route {
		hops[i] = printable(h.Name)
		if h.Country != "" {
			hops[i] += " " + printable(h.Country)
		}
	}
	return strings.Join(hops, " › ")
}

// because is the reason, and what went wrong after it.
func because(c history.Connection) string {
	if c.Error != "" {
		return printable(c.Reason + "; " + c.Error)
	}
	return printable(c.Reason)
}
