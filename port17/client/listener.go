package client

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/route"
	"safing/port17/shape"
)

// ParseListener reads where a proxy listens and what the routes of those who
// use it have to fulfil: an address and port, followed by options with commas
// before them, such as "127.0.0.1:1081,level=high,country=DE".
//
//	level=LEVEL           normal, high or extreme
//	delay=TIME            cells wait so long at each node, on the average
//	shape=SHAPE           padding: constant:RATE, light or heavy; one's own has
//	                      commas in it and can't stand here
//	nodes=NUMBER          at least so many nodes
//	country=CODE          the exit is in this country, or in one of several
//	avoid-country=CODE    no node is in this country
//	avoid-as=NUMBER       no node is in this network
//	exit=ID               the exit is this node, or one of several
//	avoid-exit=ID         the exit is another node
//
// Those from country on may be there several times.
func ParseListener(text string) (address string, r Request, err error) {
	address, options, _ := strings.Cut(text, ",")
	if options == "" {
		return address, r, nil
	}
	for option := range strings.SplitSeq(options, ",") {
		if err := r.set(option); err != nil {
			return "", r, fmt.Errorf("listener %s: %w", address, err)
		}
	}
	return address, r, nil
}

func (r *Request) set(option string) (err error) {
	key, value, _ := strings.Cut(option, "=")
	switch key {
	case "level":
		r.Level, err = route.ParseLevel(value)
	case "delay":
		if r.Delay, err = time.ParseDuration(value); err != nil || (circuit.Dialer{Delay: r.Delay}).Validate() != nil {
			err = fmt.Errorf("%q: write milliseconds up to %s, such as delay=50ms", option, shape.MaxDelay)
		}
	case "shape":
		if strings.HasPrefix(value, "own") {
			return fmt.Errorf("%q: a shape of your own has commas, and these separate options here: set it for all proxies with --shape", option)
		}
		r.Shape, err = shape.Parse(value)
	case "nodes":
		if r.Nodes, err = strconv.Atoi(value); err != nil || r.Nodes < 3 || r.Nodes > cell.Positions {
			err = fmt.Errorf("%q: a route has 3 to %d nodes", option, cell.Positions)
		}
	case "country":
		err = addCountry(&r.ExitCountries, option, value)
	case "avoid-country":
		err = addCountry(&r.AvoidCountries, option, value)
	case "avoid-as":
		n, bad := strconv.ParseUint(strings.TrimPrefix(strings.ToUpper(value), "AS"), 10, 32)
		if r.AvoidASNs = append(r.AvoidASNs, uint32(n)); bad != nil || n == 0 {
			err = fmt.Errorf("%q: write the number of a network, such as avoid-as=64500", option)
		}
	case "exit":
		err = addNode(&r.Exits, option, value)
	case "avoid-exit":
		err = addNode(&r.AvoidExits, option, value)
	default:
		err = fmt.Errorf("unknown option %q: use level, delay, shape, nodes, country, avoid-country, avoid-as, exit or avoid-exit", option)
	}
	return err
}

func addCountry(to *[]string, option, code string) error {
	code = strings.ToUpper(code)
	if len(code) != 2 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return fmt.Errorf("%q: write a country's two letters, such as DE", option)
	}
	*to = append(*to, code)
	return nil
}

func addNode(to *[]netmap.NodeID, option, text string) error {
	id, err := netmap.ParseNodeID(text)
	if err != nil {
		return fmt.Errorf("%q: %w; port17 map --json shows the nodes' whole IDs", option, err)
	}
	*to = append(*to, id)
	return nil
}
