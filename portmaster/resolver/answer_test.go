package resolver

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// replyOf makes an upstream's reply of records as text; those of the
// authority section stand after "--".
func replyOf(t testing.TB, name, qtype string, records ...string) (*dns.Msg, dns.Question) {
	t.Helper()
	question := new(dns.Msg)
	question.SetQuestion(name, dns.StringToType[qtype])
	m := new(dns.Msg)
	m.SetReply(question)
	section := &m.Answer
	for _, text := range records {
		if text == "--" {
			section = &m.Ns
			continue
		}
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		*section = append(*section, rr)
	}
	return m, question.Question[0]
}

func TestReadAnswer(t *testing.T) {
	for _, c := range []struct {
		name, qtype string
		records     []string
		want        string // records taken, aliases, addresses, time
	}{
		{"a.test.", "A", []string{"A.TEST. 60 A 192.0.2.1"}, "1 [] [192.0.2.1] 1m0s"},
		{"a.test.", "A", []string{"a.test. 60 A 192.0.2.1", "b.test. 60 A 192.0.2.2", "a.test. 60 AAAA ::1", "a.test. 60 TXT x"}, "1 [] [192.0.2.1] 1m0s"},
		{"a.test.", "A", []string{"a.test. 60 CNAME b.test.", "b.test. 30 CNAME C.test.", "c.test. 90 A 192.0.2.3", "a.test. 5 A 192.0.2.4"}, "3 [b.test c.test] [192.0.2.3] 30s"},
		{"a.test.", "A", []string{"c.test. 90 A 192.0.2.3", "b.test. 30 CNAME c.test.", "a.test. 60 CNAME b.test."}, "3 [b.test c.test] [192.0.2.3] 30s"},
		{"a.test.", "CNAME", []string{"a.test. 60 CNAME b.test.", "b.test. 30 CNAME c.test."}, "1 [b.test] [] 1m0s"},
		{"x.d.test.", "A", []string{"d.test. 50 DNAME e.test.", "x.d.test. 50 CNAME x.e.test.", "x.e.test. 60 A 192.0.2.5"}, "3 [x.e.test] [192.0.2.5] 50s"},
		{"a.test.", "AAAA", []string{"a.test. 60 AAAA ::ffff:192.0.2.1"}, "1 [] [192.0.2.1] 1m0s"},
		{"a.test.", "A", []string{"a.test. 4294967295 A 192.0.2.1"}, "1 [] [192.0.2.1] 0s"},
		{"a.test.", "A", []string{"a.test. 2147483647 A 192.0.2.1"}, "1 [] [192.0.2.1] 24h0m0s"},
		{"a.test.", "A", []string{"--", "test. 900 SOA ns.test. m.test. 1 2 3 4 300", "test. 900 NS ns.test."}, "0 [] [] 5m0s"},
		{"a.test.", "A", []string{"a.test. 100 CNAME b.test.", "--", "test. 900 SOA ns.test. m.test. 1 2 3 4 300"}, "1 [b.test] [] 1m40s"},
		{"a.test.", "A", []string{"--", "test. 90000 SOA ns.test. m.test. 1 2 3 4 90000"}, "0 [] [] 1h0m0s"},
		{"a.test.", "A", nil, "0 [] [] 0s"},
		{"a.test.", "MX", []string{"a.test. 60 MX 1 mail.test.", "mail.test. 60 A 192.0.2.1"}, "1 [] [] 1m0s"},
	} {
		m, q := replyOf(t, c.name, c.qtype, c.records...)
		a, err := readAnswer(m, q)
		if err != nil {
			t.Errorf("%v: %v", c.records, err)
			continue
		}
		if got := fmt.Sprint(len(a.records), a.cnames, a.addrs, a.ttl); got != c.want {
			t.Errorf("%v: got %s; want %s", c.records, got, c.want)
		}
	}
}

func TestReadAnswerRefuses(t *testing.T) {
	var long []string
	for i := range 20 {
		long = append(long, fmt.Sprintf("a%d.test. 60 CNAME a%d.test.", i, i+1))
	}
	for _, c := range []struct {
		records []string
		want    string
	}{
		{[]string{"a0.test. 60 CNAME b.test.", "b.test. 60 CNAME a0.test."}, "in a circle"},
		{[]string{"a0.test. 60 CNAME a0.test."}, "in a circle"},
		{[]string{"a0.test. 60 CNAME b.test.", "a0.test. 60 CNAME c.test."}, "two aliases"},
		{long, "too far"},
		{[]string{`a0.test. 60 CNAME x\.b.test.`}, "a dot within a label"},
	} {
		m, q := replyOf(t, "a0.test.", "A", c.records...)
		if a, err := readAnswer(m, q); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %+v, %v; want %s", c.records, a, err, c.want)
		}
	}
	m, q := replyOf(t, "a.test.", "A")
	m.Rcode = dns.RcodeRefused
	if _, err := readAnswer(m, q); err == nil {
		t.Error("a refusal was taken for an answer")
	}
}

func TestHintsAreTakenOut(t *testing.T) {
	m, q := replyOf(t, "a.test.", "HTTPS",
		`a.test. 60 HTTPS 1 . alpn="h3,h2" ipv4hint="192.0.2.1" ipv6hint="2001:db8::1" ech="AAAA" port="8443"`,
		`a.test. 60 HTTPS 2 . mandatory="ipv4hint" ipv4hint="192.0.2.1"`)
	a, err := readAnswer(m, q)
	if err != nil || len(a.records) != 1 {
		t.Fatalf("got %v, %v", a, err)
	}
	got := a.records[0].String()
	if strings.Contains(got, "hint") || !strings.Contains(got, `alpn="h3,h2"`) || !strings.Contains(got, "ech=") || !strings.Contains(got, "port=") {
		t.Errorf("got %s", got)
	}
}

func TestCache(t *testing.T) {
	var c cache
	at := time.Unix(1_000_000, 0)
	m, q := replyOf(t, "a.test.", "A", "a.test. 60 A 192.0.2.1")
	a, err := readAnswer(m, q)
	if err != nil {
		t.Fatal(err)
	}
	key := func(i int) cacheKey { return cacheKey{name: fmt.Sprint(i)} }
	c.put(key(0), a, at)
	if got, ok := c.get(key(0), at.Add(59*time.Second)); !ok || got.records[0].Header().Ttl != 1 || got.ttl != time.Second {
		t.Errorf("after 59 s: got %+v, %v", got, ok)
	}
	if a.records[0].Header().Ttl != 60 {
		t.Error("what is kept was changed")
	}
	if got, ok := c.get(key(0), at.Add(-time.Hour)); !ok || got.records[0].Header().Ttl != 60 {
		t.Errorf("when the clock went back: got %+v, %v", got, ok)
	}
	if _, ok := c.get(key(0), at.Add(time.Minute)); ok {
		t.Error("it is there after its time")
	}
	for i := range cacheLimit + 5 {
		c.put(key(i), a, at)
		c.get(key(0), at) // in use
	}
	if _, ok := c.get(key(0), at); !ok || len(c.entries) != cacheLimit || c.recent.Len() != cacheLimit {
		t.Errorf("in use: %v; %d entries, %d in order", ok, len(c.entries), c.recent.Len())
	}
	if _, ok := c.get(key(1), at); ok {
		t.Error("the one not used longest is there")
	}
}

// bench answers every question with the reply that a test gives.
func bench(t testing.TB, h *house, reply *dns.Msg) *Server[string] {
	t.Helper()
	c := h.config("udp://127.0.0.1:9")
	c.Listen = c.Listen[:1]
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.resolve = func(_ context.Context, q dns.Question, _, _ bool, _ path) (*answer, error) {
		m := reply.Copy()
		m.Question = []dns.Question{q}
		return readAnswer(m, q)
	}
	return s
}

func TestUnusualQuestions(t *testing.T) {
	m, _ := replyOf(t, "a.test.", "A", "a.test. 60 A 192.0.2.1")
	s := bench(t, new(house), m)
	source := netip.MustParseAddrPort("127.0.0.1:1000")
	for name, c := range map[string]struct {
		change func(m *dns.Msg)
		want   string
	}{
		"plain":         {func(*dns.Msg) {}, "NOERROR; a.test. 60 IN A 192.0.2.1"},
		"any":           {func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeANY }, "REFUSED; EDE 18 ask for a type of its own instead of ANY (RFC 8482)"},
		"transfer":      {func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAXFR }, "REFUSED; EDE 18 such questions are not answered"},
		"class":         {func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, "REFUSED; EDE 18 only the class IN is answered"},
		"two questions": {func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, "FORMERR"},
		"no question":   {func(m *dns.Msg) { m.Question = nil }, "FORMERR"},
		"two OPT":       {func(m *dns.Msg) { m.Extra = append(m.Extra, m.Extra[0]) }, "FORMERR"},
		"dot in label":  {func(m *dns.Msg) { m.Question[0].Name = `x\.a.test.` }, "REFUSED; EDE 18 a dot within a label is not answered"},
		"notify":        {func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }, "NOTIMP"},
		"EDNS version":  {func(m *dns.Msg) { m.IsEdns0().SetVersion(1) }, dns.RcodeToString[dns.RcodeBadVers]},
		"response":      {func(m *dns.Msg) { m.Response = true }, ""},
	} {
		q := new(dns.Msg)
		q.SetQuestion("a.test.", dns.TypeA)
		q.SetEdns0(1232, false)
		c.change(q)
		packed, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		got := s.handle(context.Background(), packed, source, UDP)
		reply := new(dns.Msg)
		if c.want == "" {
			if got != nil {
				t.Errorf("%s: there is an answer", name)
			}
			continue
		}
		if err := reply.Unpack(got); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if shown(reply) != c.want || reply.Id != q.Id || !reply.Response {
			t.Errorf("%s: got %s; want %s", name, shown(reply), c.want)
		}
	}
	for message, want := range map[string]string{
		"":      "",
		"short": "",
		"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xff": "\x12\x34\x80\x01\x00\x00\x00\x00\x00\x00\x00\x00",
		"\x12\x34\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00\xff": "",
	} {
		if got := s.handle(context.Background(), []byte(message), source, UDP); string(got) != want {
			t.Errorf("%q: got %q; want %q", message, got, want)
		}
	}
}

func TestSignaturesOnlyForThoseWhoAsk(t *testing.T) {
	const sig = "a.test. 60 RRSIG A 8 2 60 20300101000000 20200101000000 1 test. AAAA"
	m, _ := replyOf(t, "a.test.", "A", "a.test. 60 A 192.0.2.1", sig)
	m.AuthenticatedData = true
	s := bench(t, new(house), m)
	for _, dnssec := range []bool{false, true} {
		q := new(dns.Msg)
		q.SetQuestion("a.test.", dns.TypeA)
		q.SetEdns0(1232, dnssec)
		packed, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		reply := new(dns.Msg)
		if err := reply.Unpack(s.handle(context.Background(), packed, netip.MustParseAddrPort("127.0.0.1:1000"), UDP)); err != nil {
			t.Fatal(err)
		}
		if (len(reply.Answer) == 2) != dnssec || reply.AuthenticatedData != dnssec {
			t.Errorf("asked for signatures: %v; got %v, verified %v", dnssec, reply.Answer, reply.AuthenticatedData)
		}
	}
}

func BenchmarkCachedAnswer(b *testing.B) {
	m, _ := replyOf(b, "a.test.", "A", "a.test. 60 A 192.0.2.1", "a.test. 60 A 192.0.2.2")
	h := new(house)
	s := bench(b, h, m)
	s.config.Learn = func(string, string, []string, []netip.Addr, time.Duration) error { return nil }
	q := new(dns.Msg)
	q.SetQuestion("a.test.", dns.TypeA)
	packed, err := q.Pack()
	if err != nil {
		b.Fatal(err)
	}
	source := netip.MustParseAddrPort("127.0.0.1:1000")
	b.ReportAllocs()
	for b.Loop() {
		s.handle(context.Background(), packed, source, UDP)
	}
}

func FuzzHandle(f *testing.F) {
	q := new(dns.Msg)
	q.SetQuestion("a.test.", dns.TypeA)
	q.SetEdns0(1232, true)
	packed, err := q.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed, true)
	q.Question[0].Qtype = dns.TypeANY
	q.Extra = nil
	if packed, err = q.Pack(); err != nil {
		f.Fatal(err)
	}
	f.Add(packed, false)
	f.Add([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xff"), true)
	m, _ := replyOf(f, "a.test.", "A", "a.test. 60 A 192.0.2.1")
	h := &house{decide: func(domain string, _ []string) Decision {
		return Decision{Action: Action(len(domain) % 3), Reason: domain}
	}}
	s := bench(f, h, m)
	f.Fuzz(func(t *testing.T, message []byte, stream bool) {
		protocol := uint8(UDP)
		if stream {
			protocol = TCP
		}
		h.learned = nil
		got := s.handle(context.Background(), message, netip.MustParseAddrPort("127.0.0.1:1000"), protocol)
		if got == nil {
			return
		}
		reply := new(dns.Msg)
		if err := reply.Unpack(got); err != nil {
			t.Fatalf("%x: the reply cannot be read: %v", message, err)
		}
		if !reply.Response || !bytes.Equal(got[:2], message[:2]) || protocol == UDP && len(got) > udpLargest {
			t.Fatalf("%x: reply %v", message, reply)
		}
		if len(h.learned) == 0 && len(reply.Answer) > 0 {
			t.Fatalf("%x: addresses were sent that were not learned: %v", message, reply)
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	for _, records := range [][]string{
		{"a.test. 60 A 192.0.2.1"},
		{"a.test. 60 CNAME b.test.", "b.test. 60 A 192.0.2.1", "--", "test. 900 SOA ns.test. m.test. 1 2 3 4 300"},
		{`a.test. 60 HTTPS 1 . alpn="h3" ipv4hint="192.0.2.1"`},
	} {
		m, _ := replyOf(f, "a.test.", "A", records...)
		packed, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		m := new(dns.Msg)
		if m.Unpack(message) != nil || len(m.Question) != 1 {
			return
		}
		a, err := readAnswer(m, m.Question[0])
		if err != nil {
			return
		}
		addresses := 0
		for _, rr := range a.records {
			switch rr := rr.(type) {
			case *dns.A, *dns.AAAA:
				addresses++
			case *dns.HTTPS:
				if strings.Contains(rr.String(), "hint=") {
					t.Fatalf("a hint is left: %v", rr)
				}
			}
		}
		if addresses != len(a.addrs) || len(a.cnames) > chainLimit+1 || a.ttl < 0 || a.ttl > longestKept {
			t.Fatalf("got %+v", a)
		}
		a.aged(time.Second)
	})
}
