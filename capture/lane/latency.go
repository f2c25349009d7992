package lane

import (
	"slices"
	"time"
)

// samples keeps the last latencies of a lane.
type samples struct {
	ring [1024]time.Duration
	n    int // ever added
}

func (s *samples) add(d time.Duration) {
	s.ring[s.n%len(s.ring)] = d
	s.n++
}

// percentiles are the median and the 99th percentile in milliseconds; 0 without samples.
func (s *samples) percentiles() (p50, p99 float64) {
	n := min(s.n, len(s.ring))
	if n == 0 {
		return 0, 0
	}
	sorted := slices.Sorted(slices.Values(s.ring[:n]))
	ms := func(i int) float64 { return float64(sorted[i]) / float64(time.Millisecond) }
	return ms(n / 2), ms(min(n-1, n*99/100))
}

// rateSeconds is the span over which a rate is taken.
const rateSeconds = 5

// rate counts by the second.
type rate struct {
	second [rateSeconds + 1]int64
	count  [rateSeconds + 1]uint64
}

func (r *rate) add(now time.Time, n uint64) {
	s := now.Unix()
	i := s % int64(len(r.second))
	if r.second[i] != s {
		r.second[i], r.count[i] = s, 0
	}
	r.count[i] += n
}

// perSecond is the mean over the last whole seconds.
func (r *rate) perSecond(now time.Time) float64 {
	s := now.Unix()
	var sum uint64
	for i := range r.second {
		if age := s - r.second[i]; age >= 1 && age <= rateSeconds {
			sum += r.count[i]
		}
	}
	return float64(sum) / rateSeconds
}
