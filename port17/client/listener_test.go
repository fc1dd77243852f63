package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/route"
	"safing/port17/shape"
)

func TestParseListener(t *testing.T) {
	id := netmap.NodeID{1}
	for _, test := range []struct {
		text    string
		address string
		want    Request
		err     string // part of it
	}{
		{text: "127.0.0.1:1080", address: "127.0.0.1:1080"},
		{text: "[::1]:1,level=high,nodes=5", address: "[::1]:1", want: Request{Level: route.High, Requirements: route.Requirements{Nodes: 5}}},
		{
			text: "a:1,country=de,country=SE,avoid-country=us,avoid-as=AS64500,avoid-as=1", address: "a:1",
			want: Request{Requirements: route.Requirements{ExitCountries: []string{"DE", "SE"}, AvoidCountries: []string{"US"}, AvoidASNs: []uint32{64500, 1}}},
		},
		{
			text: fmt.Sprintf("a:1,exit=%s,avoid-exit=%s", id, id), address: "a:1",
			want: Request{Requirements: route.Requirements{Exits: []netmap.NodeID{id}, AvoidExits: []netmap.NodeID{id}}},
		},
		{
			text: "a:1,delay=20ms,shape=heavy:9", address: "a:1",
			want: Request{Shape: shape.Shape{Kind: shape.Heavy, Rate: 9}, Requirements: route.Requirements{Delay: 20 * time.Millisecond}},
		},
		{text: "a:1,delay=-1ms", err: "such as delay=50ms"},
		{text: "a:1,delay=1us", err: "such as delay=50ms"},
		{text: "a:1,delay=11s", err: "such as delay=50ms"},
		{text: "a:1,shape=round", err: "use none, constant:RATE"},
		{text: "a:1,shape=own:9;burst=20ms*5,never*3 gap=5ms*1,never*1", err: "set it for all proxies with --shape"},
		{text: "a:1,level=paranoid", err: "use normal, high or extreme"},
		{text: "a:1,nodes=2", err: "3 to 6"},
		{text: "a:1,nodes=7", err: "3 to 6"},
		{text: "a:1,nodes", err: "3 to 6"},
		{text: "a:1,country=Germany", err: "two letters"},
		{text: "a:1,avoid-country=1a", err: "two letters"},
		{text: "a:1,avoid-as=0", err: "avoid-as=64500"},
		{text: "a:1,avoid-as=4294967296", err: "avoid-as=64500"},
		{text: "a:1,exit=node1", err: "port17 map --json"},
		{text: "a:1,speed=high", err: "use level, delay, shape, nodes"},
		{text: "a:1,level=high,", err: "unknown option"},
	} {
		address, got, err := ParseListener(test.text)
		switch {
		case test.err != "":
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: %v, want %q", test.text, err, test.err)
			}
		case err != nil || address != test.address || !reflect.DeepEqual(got, test.want):
			t.Errorf("%s: %s, %+v, %v", test.text, address, got, err)
		}
	}
}

// A proxy's user learns what kind of failure it was.
func TestProxyReplies(t *testing.T) {
	for _, test := range []struct {
		err    error
		reply  byte // RFC 1928, 6
		status int
	}{
		{route.ErrNoExit, 2, http.StatusForbidden},
		{route.ErrNoRoute, 3, http.StatusServiceUnavailable},
		{ErrNoMap, 3, http.StatusServiceUnavailable},
		{netmap.ErrExpired, 3, http.StatusServiceUnavailable},
		{context.DeadlineExceeded, 6, http.StatusGatewayTimeout},
		{errors.New("the link broke"), 1, http.StatusBadGateway},
	} {
		err := fmt.Errorf("open a route: %w", test.err)
		if got := replyTo(err); got != test.reply {
			t.Errorf("%v: SOCKS reply %d, want %d", test.err, got, test.reply)
		}
		if got := statusOf(err); got != test.status {
			t.Errorf("%v: status %d, want %d", test.err, got, test.status)
		}
	}
	if replyTo(errNotLoopback) != 2 {
		t.Error("datagrams for a user elsewhere: another reply than 2")
	}
}
