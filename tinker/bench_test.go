package tinker

import (
	"fmt"
	"runtime"
	"testing"
)

const benchBatch = 16

// perGB reports seconds of wall time per 10⁹ bytes.
func perGB(b *testing.B, bytes int) {
	b.ReportMetric(b.Elapsed().Seconds()/(float64(b.N)*float64(bytes))*1e9, "s/GB")
}

// benchSuites runs a benchmark with each suite, on one core and on all.
func benchSuites(b *testing.B, bench func(*testing.B, SuiteID, *Workers)) {
	for _, id := range Suites() {
		b.Run(id.String()+"/one", func(b *testing.B) { bench(b, id, nil) })
	}
	for _, id := range Suites() {
		b.Run(fmt.Sprintf("%v/all", id), func(b *testing.B) {
			w := NewWorkers(runtime.GOMAXPROCS(0) - 1)
			defer w.Close()
			bench(b, id, w)
		})
	}
}

func unlimited(s ...*Session) {
	for _, s := range s {
		s.Limit(Limits{Life: 1 << 62, Root: 1 << 62, RootBytes: 1 << 62})
	}
}

// BenchmarkRelayCell is a relay's work for each cell: it opens the link's
// record and its layer, and seals the next link's record.
func BenchmarkRelayCell(b *testing.B) {
	benchSuites(b, func(b *testing.B, id SuiteID, w *Workers) {
		inSend, inRecv := handshake(b, id)
		out, _ := handshake(b, id)
		client, hop := handshake(b, id)
		unlimited(inSend, inRecv, out, client, hop)
		onion, relay := NewOnion(payloadSize, 0, nil), NewRelay(hop, payloadSize, 0, w)
		onion.Add(client)
		const record = 1 + benchBatch*unitSize + tagSize
		sealed, next := make([]byte, record), make([]byte, record)
		src, dst, out1 := make([][]byte, benchBatch), make([][]byte, benchBatch), make([]Opened, benchBatch)
		b.SetBytes(unitSize)
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			if n++; n%benchBatch != 0 { // work is done by the batch
				continue
			}
			b.StopTimer()
			for i := range src {
				src[i] = sealed[1+i*unitSize+5:][:payloadSize]
				dst[i] = next[1+i*unitSize+4:][:1+payloadSize]
			}
			err := onion.SealAll(src, LayerRelay)
			if err == nil {
				err = inSend.Send.Seal(sealed, 1)
			}
			b.StartTimer()
			if err == nil {
				_, _, err = inRecv.Recv.Open(sealed)
			}
			if err == nil {
				_, err = relay.OpenAll(dst, src, out1)
			}
			if err == nil {
				err = out.Send.Seal(next, 1)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		perGB(b, unitSize)
	})
}

// BenchmarkClientCell3Hops is a client's work for each cell that it sends:
// three layers, and the link's record.
func BenchmarkClientCell3Hops(b *testing.B) {
	benchSuites(b, func(b *testing.B, id SuiteID, w *Workers) {
		onion := NewOnion(payloadSize, 1, w)
		for range 3 {
			s, _ := handshake(b, id)
			unlimited(s)
			onion.Add(s)
		}
		link, _ := handshake(b, id)
		unlimited(link)
		record := make([]byte, 1+benchBatch*unitSize+tagSize)
		cells := make([][]byte, benchBatch)
		for i := range cells {
			cells[i] = record[1+i*unitSize+5:][:payloadSize]
		}
		b.SetBytes(unitSize)
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			if n++; n%benchBatch != 0 {
				continue
			}
			if err := onion.SealAll(cells, LayerLocal); err != nil {
				b.Fatal(err)
			}
			if err := link.Send.Seal(record, 1); err != nil {
				b.Fatal(err)
			}
		}
		perGB(b, unitSize)
	})
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
