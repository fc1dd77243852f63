package correlation

import (
	"math"
	"math/rand/v2"
	"time"
)

// The workload is that of SURGE: Barford and Crovella, Generating Representative
// Web Workloads for Network and Server Performance Evaluation, SIGMETRICS 1998.
// Its tails are cut, as one flow must not outlast the window.
const (
	sizeMu, sizeSigma     = 9.357, 1.318 // lognormal body of objects' sizes, bytes
	sizeTail, sizeAlpha   = 133000, 1.1  // Pareto tail
	tailShare             = 0.07
	maxSize               = 1 << 20
	embeddedAlpha         = 2.43 // Pareto, objects of a page
	maxEmbedded           = 50
	activeScale, activeBy = 1.46, 0.382 // Weibull, seconds between objects of a page
	maxActive             = 5
	inactiveAlpha         = 1.5 // Pareto, seconds between pages
	maxInactive           = 30
)

// A request asks for an object.
type request struct {
	at    time.Duration // since the flow began
	cells int           // of the answer
	think time.Duration // of the server
}

func pareto(r *rand.Rand, least, alpha, most float64) float64 {
	return min(least*math.Pow(1-r.Float64(), -1/alpha), most)
}

func weibull(r *rand.Rand, scale, shape, most float64) float64 {
	return min(scale*math.Pow(r.ExpFloat64(), 1/shape), most)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// requests draws what one user asks for in the window.
func requests(r *rand.Rand, window time.Duration) (all []request) {
	at := seconds(r.Float64() * 5)
	for at < window {
		objects := int(pareto(r, 1, embeddedAlpha, maxEmbedded))
		for range objects {
			if at >= window {
				return all
			}
			all = append(all, request{at: at, cells: cells(objectSize(r)), think: seconds(0.02 + 0.03*r.ExpFloat64())})
			at += seconds(weibull(r, activeScale, activeBy, maxActive))
		}
		at += seconds(pareto(r, 1, inactiveAlpha, maxInactive))
	}
	return all
}

func objectSize(r *rand.Rand) float64 {
	if r.Float64() < tailShare {
		return pareto(r, sizeTail, sizeAlpha, maxSize)
	}
	return min(math.Exp(sizeMu+sizeSigma*r.NormFloat64()), maxSize)
}

// cells is how many cells an object takes.
func cells(size float64) int { return 1 + int(size/4000) }
