package witness

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"safing/netmap"
)

const network = "test.example"

// A keeper keeps a log of a network, all of whose authorities it is.
type keeper struct {
	t       testing.TB
	network *netmap.Network
	signers []note.Signer
	stored  []tlog.Hash
	size    int64
}

// newKeeper makes the keys of as many authorities, who all have to sign.
func newKeeper(t testing.TB, authorities int) *keeper {
	t.Helper()
	k := &keeper{t: t, network: &netmap.Network{Name: network, Threshold: authorities}}
	for range authorities {
		secret, public, err := note.GenerateKey(nil, network)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := note.NewSigner(secret)
		if err != nil {
			t.Fatal(err)
		}
		k.signers = append(k.signers, signer)
		k.network.Authorities = append(k.network.Authorities, netmap.Authority{URL: "http://127.0.0.1:1", Key: public})
	}
	return k
}

// fork returns a keeper with the same keys and leaves, who goes on otherwise.
func (k *keeper) fork() *keeper {
	f := *k
	f.stored = append([]tlog.Hash(nil), k.stored...)
	return &f
}

// ReadHashes implements tlog.HashReader.
func (k *keeper) ReadHashes(numbers []int64) (hashes []tlog.Hash, _ error) {
	for _, n := range numbers {
		hashes = append(hashes, k.stored[n])
	}
	return hashes, nil
}

// grow appends leaves until there are as many; kind says which.
func (k *keeper) grow(size int64, kind string) *keeper {
	for ; k.size < size; k.size++ {
		hashes, err := tlog.StoredHashes(k.size, fmt.Appendf(nil, "%s %d\n", kind, k.size), k)
		if err != nil {
			k.t.Fatal(err)
		}
		k.stored = append(k.stored, hashes...)
	}
	return k
}

// checkpoint returns a checkpoint of the first leaves, signed by all or by the
// authorities that are named.
func (k *keeper) checkpoint(size int64, signers ...note.Signer) []byte {
	root, err := tlog.TreeHash(size, k)
	if err != nil {
		k.t.Fatal(err)
	}
	if signers == nil {
		signers = k.signers
	}
	signed, err := netmap.SignCheckpoint(netmap.MakeCheckpoint(network, size, root), signers...)
	if err != nil {
		k.t.Fatal(err)
	}
	return signed
}

// prover proves that the tree of the size begins with smaller ones.
func (k *keeper) prover(size int64) Prover {
	return func(_ context.Context, old int64) ([]tlog.Hash, error) {
		if old == 0 {
			return nil, nil
		}
		return tlog.ProveTree(size, old, k)
	}
}

// request asks for a cosignature, with a proof from the old size if there is one.
func (k *keeper) request(old, size int64) request {
	r := request{old: old, checkpoint: k.checkpoint(size)}
	if old <= size {
		var err error
		if r.proof, err = k.prover(size)(k.t.Context(), old); err != nil {
			k.t.Fatal(err)
		}
	}
	return r
}

// watch adds a witness to the network and serves it.
func (k *keeper) watch(seed byte, state string, log *slog.Logger) (*Witness, *httptest.Server) {
	k.t.Helper()
	w := newWitness(k.t, k.network, seed, state, log)
	server := httptest.NewServer(w.Handler())
	k.t.Cleanup(server.Close)
	k.addWitness(seed, server.URL)
	return w, server
}

func (k *keeper) addWitness(seed byte, url string) {
	key, err := netmap.CosignerKey(witnessName(seed), witnessKey(seed).Public().(ed25519.PublicKey))
	if err != nil {
		k.t.Fatal(err)
	}
	k.network.Witnesses = append(k.network.Witnesses, netmap.Witness{URL: url, Key: key})
}

func witnessName(seed byte) string { return fmt.Sprintf("witness%d.example", seed) }

func witnessKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))
}

func newWitness(t testing.TB, n *netmap.Network, seed byte, state string, log *slog.Logger) *Witness {
	t.Helper()
	w, err := New(t.Context(), Config{Name: witnessName(seed), Key: witnessKey(seed), Networks: []*netmap.Network{n}, State: state, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// post asks the witness and returns its answer.
func post(h http.Handler, body []byte) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/add-checkpoint", bytes.NewReader(body)))
	return answer
}
