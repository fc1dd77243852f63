package tinker

import (
	"bytes"
	"runtime"
	"testing"
)

const (
	recordCells = 16 // cells in a record of a link
	roundCells  = 64 // cells until keys step
)

// benchOne runs a role's work for cells with each suite on one core. A round
// is the work for roundCells cells.
func benchOne(b *testing.B, newRound func(testing.TB, SuiteID) (round func() error)) {
	for _, id := range Suites() {
		b.Run(id.String(), func(b *testing.B) {
			round := newRound(b, id)
			b.SetBytes(unitSize)
			b.ReportAllocs()
			for n := 1; b.Loop(); n++ {
				if n%roundCells == 0 {
					if err := round(); err != nil {
						b.Fatal(err)
					}
				}
			}
			perGB(b)
		})
	}
}

// benchAll is benchOne on all cores, each with an end of its own.
func benchAll(b *testing.B, newRound func(testing.TB, SuiteID) (round func() error)) {
	for _, id := range Suites() {
		b.Run(id.String(), func(b *testing.B) {
			rounds := make(chan func() error, runtime.GOMAXPROCS(0))
			for range cap(rounds) {
				rounds <- newRound(b, id)
			}
			b.SetBytes(unitSize)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				round := <-rounds
				for n := 1; pb.Next(); n++ {
					if n%roundCells == 0 {
						if err := round(); err != nil {
							b.Error(err)
							return
						}
					}
				}
			})
			perGB(b)
		})
	}
}

// perGB reports seconds of wall time per 10⁹ bytes of cells.
func perGB(b *testing.B) {
	b.ReportMetric(b.Elapsed().Seconds()/(float64(b.N)*unitSize)*1e9, "s/GB")
}

func unlimited(s ...*Session) {
	for _, s := range s {
		s.Limit(Limits{Life: 1 << 62, Root: 1 << 62, RootBytes: 1 << 62})
	}
}

// rewind returns a function that sets a chain back to where it is now.
func rewind(c *chain) func() {
	saved, key := *c, bytes.Clone(c.key)
	return func() {
		*c = saved
		copy(c.key, key)
	}
}

// A benchRecord is a record of a link and the cells in it.
type benchRecord struct {
	sealed []byte
	cells  [][]byte // payloads
}

func newBenchRecord() benchRecord {
	r := benchRecord{sealed: make([]byte, 1+recordCells*unitSize+tagSize)}
	for i := range recordCells {
		r.cells = append(r.cells, r.sealed[1+i*unitSize+5:][:payloadSize])
	}
	return r
}

// BenchmarkRelayCell is a relay's work for each cell: it opens the link's
// record and its layer, and seals the next link's record.
func BenchmarkRelayCell(b *testing.B) { benchOne(b, relayRound) }

// BenchmarkRelayCellAllCores is the same with a relay on each core.
func BenchmarkRelayCellAllCores(b *testing.B) { benchAll(b, relayRound) }

func relayRound(b testing.TB, id SuiteID) func() error {
	inSend, inRecv := handshake(b, id)
	outSend, _ := handshake(b, id)
	client, hop := handshake(b, id)
	unlimited(inSend, inRecv, outSend, client, hop)
	onion, relay := NewOnion(payloadSize, 0, nil), NewRelay(hop, payloadSize, 0, nil)
	onion.Add(client)
	var records []benchRecord
	for range roundCells / recordCells {
		r := newBenchRecord()
		if err := onion.SealAll(r.cells, LayerRelay); err != nil {
			b.Fatal(err)
		}
		if err := inSend.Send.Seal(r.sealed, 1); err != nil {
			b.Fatal(err)
		}
		records = append(records, r)
	}
	rewindLink, rewindHop := rewind(inRecv.Recv.chain), rewind(hop.Recv.chain)
	opened, next, out := newBenchRecord(), newBenchRecord(), make([]Opened, recordCells)
	dst := make([][]byte, recordCells)
	for i := range dst {
		dst[i] = next.sealed[1+i*unitSize+4:][:1+payloadSize]
	}
	return func() error {
		rewindLink()
		rewindHop()
		for _, r := range records {
			if _, _, err := inRecv.Recv.OpenTo(opened.sealed[:0], r.sealed); err != nil {
				return err
			}
			if _, err := relay.OpenAll(dst, opened.cells, out); err != nil {
				return err
			}
			if err := outSend.Send.Seal(next.sealed, 1); err != nil {
				return err
			}
		}
		return nil
	}
}

// BenchmarkClientCell3Hops is a client's work for each cell that it sends:
// three layers, and the link's record.
func BenchmarkClientCell3Hops(b *testing.B) { benchOne(b, clientRound(nil)) }

// BenchmarkClientCell3HopsAllCores is the same with a client on each core.
func BenchmarkClientCell3HopsAllCores(b *testing.B) { benchAll(b, clientRound(nil)) }

// BenchmarkClientCell3HopsWorkers is the same for one client that uses all
// cores.
func BenchmarkClientCell3HopsWorkers(b *testing.B) {
	workers := NewWorkers(runtime.GOMAXPROCS(0) - 1)
	defer workers.Close()
	benchOne(b, clientRound(workers))
}

func clientRound(workers *Workers) func(testing.TB, SuiteID) func() error {
	return func(b testing.TB, id SuiteID) func() error { return newClientRound(b, id, workers) }
}

func newClientRound(b testing.TB, id SuiteID, workers *Workers) func() error {
	onion := NewOnion(payloadSize, 1, workers)
	for range 3 {
		s, _ := handshake(b, id)
		unlimited(s)
		onion.Add(s)
	}
	link, _ := handshake(b, id)
	unlimited(link)
	var records []benchRecord
	var cells [][]byte
	for range roundCells / recordCells {
		r := newBenchRecord()
		records, cells = append(records, r), append(cells, r.cells...)
	}
	return func() error {
		if err := onion.SealAll(cells, LayerLocal); err != nil {
			return err
		}
		for _, r := range records {
			if err := link.Send.Seal(r.sealed, 1); err != nil {
				return err
			}
		}
		return nil
	}
}

// BenchmarkHello3Hops is a client's whole work to build a route of three hops:
// the nested hellos, and the three replies.
func BenchmarkHello3Hops(b *testing.B) {
	for _, id := range Suites() {
		b.Run(id.String(), func(b *testing.B) {
			hops, keys := make([]Hop, 3), make([]*Prekeys, 3)
			for i := range hops {
				keys[i], hops[i].Recipient = newPair(b, id)
			}
			_, hello, err := InitiateRoute("bench", hops, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(hello)))
			b.ReportAllocs()
			for b.Loop() {
				initiators, hello, err := InitiateRoute("bench", hops, nil)
				if err != nil {
					b.Fatal(err)
				}
				for i, k := range keys {
					b.StopTimer()
					r, err := k.Respond("bench", hello)
					b.StartTimer()
					if err != nil {
						b.Fatal(err)
					}
					if _, err := initiators[i].Finish(r.Reply); err != nil {
						b.Fatal(err)
					}
					hello = r.Payload
				}
			}
		})
	}
}

// BenchmarkHelloRelay is a relay's share: it opens its hello and answers it.
func BenchmarkHelloRelay(b *testing.B) {
	for _, id := range Suites() {
		b.Run(id.String(), func(b *testing.B) {
			keys, to := newPair(b, id)
			b.SetBytes(int64(id.HelloOverhead()))
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				_, hello, err := Initiate(to, "bench", nil)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if _, err := keys.Respond("bench", hello); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkStep is a whole step of the ratchet, both sides.
func BenchmarkStep(b *testing.B) {
	for _, id := range Suites() {
		b.Run(id.String(), func(b *testing.B) {
			s, r := handshake(b, id)
			unlimited(s, r)
			for b.Loop() {
				step(b, s, r, id)
			}
		})
	}
}
