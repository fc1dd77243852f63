package main

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"
)

func TestWrite(t *testing.T) {
	var v4, v6 document
	for text, into := range map[string]*document{
		`<registry xmlns="http://www.iana.org/assignments"><updated>2019-12-27</updated>
			<record><prefix>001/8</prefix><whois>whois.apnic.net</whois></record>
			<record><prefix>010/8</prefix></record></registry>`: &v4,
		`<registry xmlns="http://www.iana.org/assignments"><updated>2019-11-06</updated>
			<record><prefix>2a00:0000::/12</prefix><whois>whois.ripe.net</whois></record>
			<record><prefix>2001:0000::/23</prefix><whois>whois.iana.org</whois></record>
			<record><prefix>2001:0200::/23</prefix><whois>whois.apnic.net</whois></record></registry>`: &v6,
	} {
		if err := xml.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := write4(&b, v4); err != nil {
		t.Fatal(err)
	}
	if err := write6(&b, v6); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"State: 2019-12-27.", "{\n1: 2,\n}",
		"State: 2019-11-06.", "{\n{0x20010200, 23, 2}, // 2001:200::/23\n{0x2a000000, 12, 5}, // 2a00::/12\n}",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("there is no %q in\n%s", want, &b)
		}
	}
	v4.Records[0].Prefix = "001/9"
	if write4(&b, v4) == nil {
		t.Error("a /9 was taken for a /8")
	}
	v6.Records[0].Prefix = "2a00::/48"
	if write6(&b, v6) == nil {
		t.Error("a /48 was taken")
	}
}
