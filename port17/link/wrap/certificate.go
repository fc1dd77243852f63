package wrap

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"sync"
	"time"
)

// recheck is how often a certificate's files are looked at.
const recheck = 10 * time.Second

// A certificate is what a node's web server shows.
type certificate struct {
	certFile, keyFile string // "" if it was made here
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	state   [2]fileState
	looked  time.Time
}

// A fileState tells whether a file has changed.
type fileState struct {
	modified time.Time
	size     int64
}

func newCertificate(c Config) (*certificate, error) {
	own := &certificate{certFile: c.Certificate, keyFile: c.Key, log: c.Log}
	if (c.Certificate == "") != (c.Key == "") {
		return nil, errors.New("listen in TLS: a certificate needs its key, and a key its certificate: name both files")
	}
	if c.Certificate == "" {
		made, err := selfSigned()
		own.current = &made
		return own, err
	}
	own.looked = time.Now()
	return own, own.loadLocked()
}

// LoadCertificate reads a certificate's files and sees that it is for the host,
// unless that is empty.
func LoadCertificate(certFile, keyFile, host string) error {
	c, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err == nil && host != "" {
		err = c.Leaf.VerifyHostname(host)
	}
	if err != nil {
		return fmt.Errorf("load certificate %s: %w", certFile, err)
	}
	return nil
}

// get returns the certificate for a connection.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.certFile != "" && time.Since(c.looked) >= recheck {
		c.looked = time.Now()
		if err := c.reloadLocked(); err != nil { // perhaps the other file is about to change
			c.log.Warn("the new certificate can't be read and the old one stays in use", "error", err)
		}
	}
	return c.current, nil
}

func (c *certificate) reloadLocked() error {
	state, err := c.stat()
	if err != nil || state == c.state {
		return err
	}
	return c.loadLocked()
}

func (c *certificate) stat() (state [2]fileState, err error) {
	for i, path := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(path)
		if err != nil {
			return state, err
		}
		state[i] = fileState{info.ModTime(), info.Size()}
	}
	return state, nil
}

func (c *certificate) loadLocked() error {
	state, err := c.stat() // before they are read: what changes then is read again
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}
	loaded, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("load certificate %s: %w", c.certFile, err)
	}
	c.current, c.state = &loaded, state
	return nil
}

// selfSigned makes a certificate that nobody can check.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
