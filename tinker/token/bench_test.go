package token

import (
	"crypto/sha256"
	"os"
	"sync/atomic"
	"testing"
)

func BenchmarkBlind(b *testing.B) {
	key, c := spendIssuer().Key(), SpendChallenge(issuerName, node, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := key.Blind(c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	_, request, err := spendIssuer().Key().Blind(CreditChallenge(issuerName, 1))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := spendIssuer().Sign(request); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFinish(b *testing.B) {
	p, request, err := spendIssuer().Key().Blind(CreditChallenge(issuerName, 1))
	if err != nil {
		b.Fatal(err)
	}
	response, err := spendIssuer().Sign(request)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Finish(response); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	key, c := spendIssuer().Key(), SpendChallenge(issuerName, node, 1)
	made := issue(b, spendIssuer(), c)
	b.ReportAllocs()
	for b.Loop() {
		if err := key.Verify(made, c); err != nil {
			b.Fatal(err)
		}
	}
}

// Each key is durable before the call returns; the calls of 256 goroutines for
// each CPU share the syncs.
func BenchmarkSpend(b *testing.B) {
	s := mustOpen(b, b.TempDir(), SpentConfig{Limit: maxSpentLimit})
	var next atomic.Int64
	b.SetParallelism(256)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.Spend(b.Context(), 1, testKey(int(next.Add(1)))); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	mustClose(b, s)
}

// One caller, who waits for a sync of its own.
func BenchmarkSpendAlone(b *testing.B) {
	s := mustOpen(b, b.TempDir(), SpentConfig{Limit: maxSpentLimit})
	n := 0
	for b.Loop() {
		n++
		if err := s.Spend(b.Context(), 1, testKey(n)); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	mustClose(b, s)
}

func BenchmarkReload2M(b *testing.B) {
	const entries = 2_000_000
	dir := b.TempDir()
	e := &epoch{number: 1}
	d := (&faultyDisk{}).disk()
	for n := range entries {
		e.waiting = append(e.waiting, hashedKey(n))
		if len(e.waiting) == 1000 {
			if err := e.write(dir, d); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := e.seal((disk{write: (*os.File).WriteAt, sync: (*os.File).Sync})); err != nil {
		b.Fatal(err)
	}
	if err := e.file.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s, err := OpenSpent(dir, SpentConfig{})
		if err != nil {
			b.Fatal(err)
		}
		if s.Len() != entries {
			b.Fatalf("%d entries", s.Len())
		}
		b.StopTimer()
		mustClose(b, s)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/entries, "ns/entry")
	b.ReportMetric(entries, "entries")
}

func hashedKey(n int) [32]byte {
	key := testKey(n)
	return sha256.Sum256(key[:])
}
