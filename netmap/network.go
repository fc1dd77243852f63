package netmap

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/mod/sumdb/note"

	"safing/internal/settings"
)

// Errors of Verify.
var (
	ErrSignature = errors.New("the map is not signed by enough of the network's authorities: " +
		"check that the network file is the right one")
	ErrWitness = errors.New("the map was not seen by enough of the network's witnesses: " +
		"check that the network file is the right one, or wait for the next map")
	ErrNotYet   = errors.New("the map is not valid yet: check the clock")
	ErrTooLarge = errors.New("the map is too large")
	ErrExpired  = errors.New("the map is out of date: check the clock and the way to the authority")
)

// A Network is whom to believe about a network. It is a file:
//
//	name = "lab.example"
//	threshold = 1
//
//	[[authority]]
//	url = "http://127.0.0.1:8120"
//	key = "lab.example+c9f1ed0a+AX…"
type Network struct {
	Name string `toml:"name"`
	// Threshold is how many of the authorities have to sign a map.
	Threshold int `toml:"threshold"`
	// PrivateAddresses lets nodes be where only some can reach them, as in a lab
	// or a company's network: see [Descriptor.CheckPublic].
	PrivateAddresses bool `toml:"private_addresses,omitempty"`
	// Period is the time between two maps, and Validity how long one is valid;
	// [Network.Times] has the defaults.
	Period   Duration `toml:"period,omitempty"`
	Validity Duration `toml:"validity,omitempty"`
	// Mirrors are URLs at which there are the files that authorities serve.
	// Nobody has to believe them.
	Mirrors     []string    `toml:"mirrors,omitempty"`
	Authorities []Authority `toml:"authority"`
	// WitnessThreshold is how many of the witnesses have to have seen the log
	// that a map is in; 0 if none is asked.
	WitnessThreshold int       `toml:"witness_threshold,omitempty"`
	Witnesses        []Witness `toml:"witness,omitempty"`
}

// Defaults of a Network.
const (
	DefaultPeriod   = 10 * time.Minute
	DefaultValidity = 3 * time.Hour
)

// Bounds of a Network's times.
const (
	leastPeriod  = 100 * time.Millisecond
	mostValidity = 7 * 24 * time.Hour
)

// A Duration is written as text, such as "10m".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// Times returns the time between two maps and how long one is valid.
func (n *Network) Times() (period, validity time.Duration) {
	return time.Duration(cmp.Or(n.Period, Duration(DefaultPeriod))), time.Duration(cmp.Or(n.Validity, Duration(DefaultValidity)))
}

// An Authority signs maps.
type Authority struct {
	URL string `toml:"url"`
	// Key is a verifier key (c2sp.org/signed-note).
	Key string `toml:"key"`
}

// A Witness makes sure that a network has one log, which only grows.
type Witness struct {
	URL string `toml:"url"`
	// Key is a verifier key as [CosignerKey] returns it.
	Key string `toml:"key"`
}

// LoadNetwork reads a network's file.
func LoadNetwork(path string) (*Network, error) {
	var network Network
	if err := settings.Load(path, &network); err != nil {
		return nil, fmt.Errorf("load network: %w", err)
	}
	if err := network.validate(); err != nil {
		return nil, fmt.Errorf("load network %s: %w", path, err)
	}
	return &network, nil
}

func (n *Network) validate() error {
	if n.Name == "" || strings.ContainsFunc(n.Name, func(r rune) bool { return r <= ' ' || r == '+' || r > '~' }) {
		return fmt.Errorf("name %q: it has to be plain letters without spaces or +", n.Name)
	}
	if len(n.Authorities) == 0 {
		return errors.New("it names no [[authority]]")
	}
	if n.Threshold < 1 || n.Threshold > len(n.Authorities) {
		return fmt.Errorf("threshold %d: it has to be 1 to %d, the number of authorities", n.Threshold, len(n.Authorities))
	}
	for _, a := range n.Authorities {
		if err := checkURL("authority url", a.URL); err != nil {
			return err
		}
		if _, err := note.NewVerifier(a.Key); err != nil {
			return fmt.Errorf("authority key %q: %w", a.Key, err)
		}
	}
	for _, url := range n.Mirrors {
		if err := checkURL("mirror", url); err != nil {
			return err
		}
	}
	if err := n.validateTimes(); err != nil {
		return err
	}
	return n.validateWitnesses()
}

func (n *Network) validateWitnesses() error {
	if n.WitnessThreshold < 0 || n.WitnessThreshold > len(n.Witnesses) {
		return fmt.Errorf("witness_threshold %d: it has to be 0 to %d, the number of witnesses", n.WitnessThreshold, len(n.Witnesses))
	}
	for _, w := range n.Witnesses {
		if err := checkURL("witness url", w.URL); err != nil {
			return err
		}
		if _, err := NewCosignatureVerifier(w.Key); err != nil {
			return fmt.Errorf("witness key %q: %w", w.Key, err)
		}
	}
	if len(n.signers()) != len(n.Authorities)+len(n.Witnesses) {
		return errors.New("two authorities, or two witnesses, have the same key")
	}
	return nil
}

func (n *Network) validateTimes() error {
	period, validity := n.Times()
	if period < leastPeriod {
		return fmt.Errorf("period %s: it has to be %s at least", period, leastPeriod)
	}
	if validity < period || validity > mostValidity {
		return fmt.Errorf("validity %s: it has to be from %s, the period, to %s", validity, period, mostValidity)
	}
	return nil
}

func checkURL(what, url string) error {
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		return fmt.Errorf("%s %q: it has to begin with http:// or https://", what, url)
	}
	return nil
}

// Save writes the file, atomically.
func (n *Network) Save(path string) error {
	if err := n.validate(); err != nil {
		return fmt.Errorf("save network %s: %w", path, err)
	}
	b, err := toml.Marshal(n)
	if err != nil {
		return fmt.Errorf("save network %s: %w", path, err)
	}
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.WriteFile(temp, b, 0o644); err != nil {
		return fmt.Errorf("save network: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("save network: %w", err)
	}
	return nil
}

// Verify checks and reads a signed map, as [AssembleMap] makes it, and leaves out
// the nodes at addresses to which the network's members are not to connect. It
// has no keys: see [Map.AddKeys]. The error wraps [ErrSignature], [ErrWitness],
// [ErrExpired], [ErrNotYet], [ErrTooLarge] or [ErrMap].
func (n *Network) Verify(signed []byte, now time.Time) (*Map, error) {
	b, body, err := SplitMap(signed)
	if err != nil {
		return nil, err
	}
	head, err := ParseHead(b)
	if err != nil {
		return nil, err
	}
	header, err := n.openHead(head)
	if err != nil {
		return nil, err
	}
	if err := header.checkTime(now); err != nil {
		return nil, err
	}
	m, err := DecodeMap(header, body)
	if err != nil {
		return nil, err
	}
	if !n.PrivateAddresses {
		m = m.public()
	}
	return m, nil
}
