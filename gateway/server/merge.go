package server

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// merge makes one status of what several capture instances see. What only an owner knows (a lane, the recorder) is taken
// from the owner; of what stands in Redis the newest view is taken, and of counters, which only grow, the highest.
func merge(views []*capturev1.PipelineStatus) *capturev1.PipelineStatus {
	out := &capturev1.PipelineStatus{}
	// Oldest first, so that what is newer replaces what is older.
	views = slices.SortedStableFunc(slices.Values(views), func(a, b *capturev1.PipelineStatus) int {
		return cmp.Compare(a.GetReadMs(), b.GetReadMs())
	})
	var owned bool
	for _, v := range views {
		out.Pipeline = v.GetPipeline()
		out.Generation = max(out.GetGeneration(), v.GetGeneration())
		out.Running = out.GetRunning() || v.GetRunning()
		out.SourceServer = cmp.Or(v.GetSourceServer(), out.GetSourceServer())
		out.SourceAddress = cmp.Or(v.GetSourceAddress(), out.GetSourceAddress())
		out.ReadMs = v.GetReadMs()
		out.Instances = append(append(out.GetInstances(), v.GetInstances()...), v.GetInstance())
		if r := v.GetRecorder(); r != nil && !owned {
			owned = r.GetOwner() != "" && r.GetOwner() == v.GetInstance()
			if owned || out.GetRecorder() == nil || out.GetRecorder().GetOwner() == "" {
				out.Recorder = proto.CloneOf(r)
			}
		}
		mergeLanes(out, v)
		for _, job := range v.GetJobs() {
			mergeJob(out, job)
		}
		for _, g := range v.GetGaps() {
			mergeGap(out, g)
		}
		for _, s := range v.GetSweeps() {
			mergeSweep(out, s)
		}
	}
	if len(views) == 1 {
		out.Instance = views[0].GetInstance()
	}
	slices.Sort(out.Instances)
	out.Instances = slices.DeleteFunc(slices.Compact(out.Instances), func(s string) bool { return s == "" })
	slices.SortFunc(out.GetLanes(), func(a, b *capturev1.LaneStatus) int { return strings.Compare(laneKey(a), laneKey(b)) })
	slices.SortFunc(out.GetGaps(), func(a, b *capturev1.Gap) int {
		return cmp.Or(cmp.Compare(b.GetBeganMs(), a.GetBeganMs()), strings.Compare(a.GetId(), b.GetId()))
	})
	slices.SortFunc(out.GetSweeps(), func(a, b *capturev1.Sweep) int {
		return cmp.Or(cmp.Compare(begun(b), begun(a)), strings.Compare(a.GetId(), b.GetId()))
	})
	sortJobs(out)
	return out
}

// begun is when a sweep began. One that is queued is newer than those that have.
func begun(s *capturev1.Sweep) int64 {
	if s.GetStartedMs() == 0 {
		return math.MaxInt64
	}
	return s.GetStartedMs()
}

func sortJobs(p *capturev1.PipelineStatus) {
	slices.SortFunc(p.GetJobs(), func(a, b *capturev1.JobStatus) int { return strings.Compare(a.GetJob(), b.GetJob()) })
}

func laneKey(l *capturev1.LaneStatus) string {
	lane := l.GetLane()
	// Numbers in equal width, so that partitions sort by number.
	return strings.Join([]string{
		lane.GetJob(), lane.GetConnection(), number(lane.GetLayout()), lane.GetShard(), number(lane.GetPartition()),
	}, "\x00")
}

func number(n uint32) string {
	digits := []byte("0000000000")
	for i := len(digits) - 1; n > 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	return string(digits)
}

// mergeLanes prefers the lane that the answering instance owns itself; else the one that somebody owns.
func mergeLanes(out, v *capturev1.PipelineStatus) {
	rank := func(l *capturev1.LaneStatus, instance string) int {
		switch {
		case l.GetOwner() == "":
			return 0
		case l.GetOwner() == instance:
			return 2
		default:
			return 1
		}
	}
	for _, l := range v.GetLanes() {
		i := slices.IndexFunc(out.GetLanes(), func(o *capturev1.LaneStatus) bool { return laneKey(o) == laneKey(l) })
		if i < 0 {
			out.Lanes = append(out.Lanes, l)
			continue
		}
		old := out.GetLanes()[i]
		// An epoch is issued by the target: of two that call themselves owner, the higher one is.
		if r, o := rank(l, v.GetInstance()), rank(old, old.GetOwner()); r > o || r == o && l.GetEpoch() >= old.GetEpoch() {
			out.Lanes[i] = l
		}
	}
}

func mergeJob(out *capturev1.PipelineStatus, job *capturev1.JobStatus) {
	i := slices.IndexFunc(out.GetJobs(), func(o *capturev1.JobStatus) bool { return o.GetJob() == job.GetJob() })
	if i < 0 {
		out.Jobs = append(out.Jobs, proto.CloneOf(job))
		return
	}
	old, now := out.GetJobs()[i], proto.CloneOf(job)
	now.Stream = cmp.Or(now.GetStream(), old.GetStream())
	now.Skipped = max(now.GetSkipped(), old.GetSkipped())
	now.ExpiredUnread = max(now.GetExpiredUnread(), old.GetExpiredUnread())
	now.LastArrivalMs = max(now.GetLastArrivalMs(), old.GetLastArrivalMs())
	if now.GetNotLoaded() < 0 {
		now.NotLoaded = old.GetNotLoaded()
	}
	now.Counts = highest(old.GetCounts(), now.GetCounts())
	if old.GetWork().GetBatches() > now.GetWork().GetBatches() {
		now.Work, now.LastBatch = old.GetWork(), old.GetLastBatch()
	}
	out.Jobs[i] = now
}

func highest(a, b *flowv1.Counts) *flowv1.Counts {
	if a == nil {
		return b
	}
	return &flowv1.Counts{
		Changes: max(a.GetChanges(), b.GetChanges()), Filtered: max(a.GetFiltered(), b.GetFiltered()),
		Rejected: max(a.GetRejected(), b.GetRejected()), Inserted: max(a.GetInserted(), b.GetInserted()),
		Updated: max(a.GetUpdated(), b.GetUpdated()), Deleted: max(a.GetDeleted(), b.GetDeleted()),
		Rows: max(a.GetRows(), b.GetRows()), TakenOver: max(a.GetTakenOver(), b.GetTakenOver()),
		Outdated: max(a.GetOutdated(), b.GetOutdated()),
	}
}

// mergeGap keeps the view that knows more: a gap is repaired once, never unrepaired.
func mergeGap(out *capturev1.PipelineStatus, g *capturev1.Gap) {
	i := slices.IndexFunc(out.GetGaps(), func(o *capturev1.Gap) bool { return o.GetId() == g.GetId() })
	if i < 0 {
		out.Gaps = append(out.Gaps, g)
	} else if out.GetGaps()[i].GetRepairedMs() == 0 {
		out.Gaps[i] = g
	}
}

func mergeSweep(out *capturev1.PipelineStatus, s *capturev1.Sweep) {
	i := slices.IndexFunc(out.GetSweeps(), func(o *capturev1.Sweep) bool { return o.GetId() == s.GetId() })
	if i < 0 {
		out.Sweeps = append(out.Sweeps, s)
	} else if old := out.GetSweeps()[i]; old.GetSettledMs() == 0 && s.GetScanned() >= old.GetScanned() {
		out.Sweeps[i] = s
	}
}

// stateWord is a lane's state in a word, lower case.
func stateWord(state capturev1.LaneState) string {
	word := strings.ToLower(strings.TrimPrefix(state.String(), "LANE_STATE_"))
	if word == "unspecified" {
		return "unknown"
	}
	return word
}
