package netmap

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"
)

func newNetwork(t testing.TB) (*Network, note.Signer) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(nil, "test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return &Network{
		Name: "test", Threshold: 1, PrivateAddresses: true, // of documentation
		Authorities: []Authority{{URL: "http://127.0.0.1:1", Key: vkey}},
	}, signer
}

func TestNetworkFile(t *testing.T) {
	network, _ := newNetwork(t)
	if period, validity := network.Times(); period != DefaultPeriod || validity != DefaultValidity {
		t.Errorf("period %s, validity %s without settings", period, validity)
	}
	network.Period, network.Validity = Duration(time.Minute), Duration(time.Hour)
	network.Mirrors = []string{"https://mirror.example"}
	network.WitnessThreshold, network.Witnesses = 1, testHeadNetwork().Witnesses
	path := filepath.Join(t.TempDir(), "network.toml")
	if err := network.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := LoadNetwork(path)
	if diff := cmp.Diff(network, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for text, want := range map[string]string{
		"":                            "name",
		"nme = 'x'":                   `network.toml:1:1: there is no setting "nme"`,
		"name = 'x'":                  "names no [[authority]]",
		"name = 'x'\n[[authority]]\n": "threshold 0",
		"name = 'x'\nthreshold=1\n[[authority]]\nurl='ftp:'":              "has to begin with http",
		"name = 'x'\nthreshold=1\n[[authority]]\nurl='http://x'\nkey='k'": "authority key",
		"period = 'x'": "network.toml:1:",
		network.Authorities[0].file("mirrors = ['x']"):                `mirror "x"`,
		network.Authorities[0].file("period = '1ms'"):                 "period 1ms",
		network.Authorities[0].file("period = '2h'\nvalidity = '1h'"): "validity 1h0m0s",
		network.Authorities[0].file("witness_threshold = 1"):          "witness_threshold 1: it has to be 0 to 0",
		network.Authorities[0].file("[[witness]]\nurl = 'http://w'"):  "witness key",
		network.Authorities[0].file("[[witness]]\nurl = 'w'"):         `witness url "w"`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadNetwork(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("file %q: error %v, want %q in it", text, err, want)
		}
	}
}

// file returns a network's file with more settings.
func (a Authority) file(settings string) string {
	return fmt.Sprintf("name = 'x'\nthreshold = 1\n%s\n[[authority]]\nurl = %q\nkey = %q\n", settings, a.URL, a.Key)
}
