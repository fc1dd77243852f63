package main

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"safing/portmaster/history"
)

// upstream answers every question for an IPv4 address with 127.0.0.1.
func (g *guarded) upstream() string {
	g.t.Helper()
	var c net.PacketConn
	err := g.in(func() (err error) { c, err = net.ListenPacket("udp", "127.0.0.1:0"); return err })
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := c.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			if b, err := answer(buf[:n]); err == nil {
				c.WriteTo(b, from) //nolint:errcheck // the asker asks again
			}
		}
	}()
	return "udp://" + c.LocalAddr().String()
}

func answer(question []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return nil, err
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	for _, q := range m.Questions {
		if q.Type == dnsmessage.TypeA {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60},
				Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
			})
		}
	}
	return m.Pack()
}

func TestGuardedNames(t *testing.T) {
	g := newGuarded(t)
	g.apart()
	_, port, err := net.SplitHostPort(g.serve("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	g.write("own.hosts", "# a list\n0.0.0.0 ads.example\n")
	g.write("portmaster.toml", "default = \"deny\"\n[resolver]\nupstreams = [\""+g.upstream()+"\"]\n[[list]]\nname = \"own\"\nurl = \"own.hosts\"\n")
	g.write("profiles/dial.toml", "paths = [\""+g.self+"\"]\ndefault = \"deny\"\nrules = [\"permit .fine.example\"]\n")
	g.start()

	if out, errs, err := g.dial("www.fine.example:" + port); out != "hello\n" {
		t.Fatalf("a permitted name: %q, %q, %v\n%s", out, errs, err, &g.log)
	}
	c := g.entry("127.0.0.1", func(c history.Connection) bool { return c.Verdict == "permit" })
	if c.Destination.Domain != "www.fine.example" || c.Rule != "permit .fine.example" {
		t.Errorf("its entry: %+v", c)
	}
	// The same address by number is not the name.
	if _, errs, err := g.dial("127.0.0.2:" + port); err == nil || !strings.Contains(errs, "operation not permitted") {
		t.Errorf("another address: %q, %v", errs, err)
	}

	g.write("profiles/dial.toml", "paths = [\""+g.self+"\"]\ndefault = \"permit\"\n")
	if _, err := g.ask("reload"); err != nil {
		t.Fatal(err)
	}
	if _, errs, err := g.dial("tracker.ads.example:" + port); err == nil || !strings.Contains(errs, "no such host") {
		t.Errorf("a listed name: %q, %v", errs, err)
	}
	out, err := g.ask("connections", "--json", "--verdict", "deny")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"kind": "dns"`, `"domain": "tracker.ads.example"`, `list \"own\"`, "entry ads.example, line 2"} {
		if !strings.Contains(out, want) {
			t.Errorf("the refused question: %s is not in %s", want, out)
		}
	}
	if out, err := g.ask("why", "dial", "tracker.ads.example"); err != nil || !strings.Contains(out, "deny: blocked by list") {
		t.Errorf("why: %q, %v", out, err)
	}
	g.stop(syscall.SIGTERM)
}
