package engine

import (
	"hash/fnv"
	"io"
	"time"
)

// assigned is the instance that a lane falls to: the one whose hash with the lane is the highest. When an instance comes
// or goes, only the lanes it takes or leaves move. Empty when nobody is alive.
func assigned(lane string, instances []string) string {
	best, most := "", uint64(0)
	for _, i := range instances {
		h := fnv.New64a()
		_, _ = io.WriteString(h, lane) // hashes do not fail
		_, _ = io.WriteString(h, "\x00")
		_, _ = io.WriteString(h, i)
		if score := mix(h.Sum64()); best == "" || score > most || (score == most && i < best) {
			best, most = i, score
		}
	}
	return best
}

// renewal is when a lane that opens now opens anew, or zero. Lanes that opened together do not all do it at one time.
func renewal(lane string, now time.Time, age time.Duration) time.Time {
	if age <= 0 {
		return time.Time{}
	}
	h := fnv.New64a()
	_, _ = io.WriteString(h, lane) // hashes do not fail
	return now.Add(age + time.Duration(mix(h.Sum64())%uint64(age/2+1)))
}

// mix spreads a hash whose last bytes differ little over all bits (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
