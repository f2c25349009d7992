package cli

import (
	"io"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"

	"slipstream/gateway/rdimetrics"
)

// statusJSON is the shape of `status -o json`: the members of spec 9.1, then ours.
type statusJSON struct {
	Pipeline    pipelineJSON              `json:"rdi_pipeline_status"`
	Connections map[string]connectionJSON `json:"connections"`
	Streams     streamsJSON               `json:"data_streams"`
	Performance performanceJSON           `json:"processing_performance"`
	Recorder    recorderJSON              `json:"recorder"`
	Lanes       []laneJSON                `json:"lanes"`
	Gaps        []gapJSON                 `json:"gaps"`
	Sweeps      []sweepJSON               `json:"sweeps"`
	Services    []serviceJSON             `json:"services"`
	Instances   []string                  `json:"instances"`
	Stale       []staleJSON               `json:"stale"`
}

type pipelineJSON struct {
	Version    string `json:"rdi_version"`
	Address    string `json:"address"`
	RunStatus  string `json:"run_status"`
	SyncMode   string `json:"sync_mode"`
	Name       string `json:"name"`
	Generation uint64 `json:"generation"`
	ReadMs     int64  `json:"read_ms"`
}

type connectionJSON struct {
	Type     string `json:"type"`
	Host     string `json:"host"`
	Port     string `json:"port"`
	Database string `json:"database"`
	User     string `json:"user"`
	Password string `json:"password"`
	Status   string `json:"status"`
}

type streamsJSON struct {
	Totals  streamJSON            `json:"totals"`
	Streams map[string]streamJSON `json:"streams"`
}

type streamJSON struct {
	Total         uint64 `json:"total"`
	Pending       uint64 `json:"pending"`
	Inserted      uint64 `json:"inserted"`
	Updated       uint64 `json:"updated"`
	Deleted       uint64 `json:"deleted"`
	Filtered      uint64 `json:"filtered"`
	Rejected      uint64 `json:"rejected"`
	Skipped       uint64 `json:"skipped"`
	ExpiredUnread uint64 `json:"expired_unread"`
	DeadLetters   uint64 `json:"dead_letters"`
	LagMs         int64  `json:"lag_ms"`
	LastArrival   int64  `json:"last_arrival"`
	NotLoaded     int64  `json:"not_loaded"`
	Enabled       bool   `json:"enabled"`
}

type performanceJSON struct {
	Batches          uint64  `json:"total_batches"`
	BatchSize        float64 `json:"batch_size_avg"`
	ReadTime         float64 `json:"read_time_avg"`
	TransformTime    float64 `json:"transform_time_avg"`
	WriteTime        float64 `json:"write_time_avg"`
	ProcessTime      float64 `json:"process_time_avg"`
	AckTime          float64 `json:"ack_time_avg"`
	TotalTime        float64 `json:"total_time_avg"`
	RecordsPerSecond float64 `json:"rec_per_sec_avg"`
}

type recorderJSON struct {
	Method    string `json:"method"`
	Guarantee string `json:"guarantee"`
	Owner     string `json:"owner"`
	Connected bool   `json:"connected"`
	Recorded  uint64 `json:"recorded"`
	Reason    string `json:"reason"`
	Gaps      uint64 `json:"gaps"`
}

type laneJSON struct {
	Generation uint64  `json:"generation,omitempty"`
	Job        string  `json:"job"`
	Connection string  `json:"connection"`
	Partition  uint32  `json:"partition"`
	Layout     uint32  `json:"layout"`
	State      string  `json:"state"`
	Owner      string  `json:"owner"`
	Epoch      uint64  `json:"epoch"`
	Backlog    uint64  `json:"backlog"`
	InFlight   uint64  `json:"in_flight_bytes"`
	Rate       float64 `json:"rate"`
	P50        float64 `json:"latency_p50_ms"`
	P99        float64 `json:"latency_p99_ms"`
	Commit     float64 `json:"commit_ms"`
	Dialect    string  `json:"dialect"`
	Delivery   string  `json:"delivery"`
	Class      string  `json:"fault_class,omitempty"`
	Reason     string  `json:"reason,omitempty"`
	Fix        string  `json:"fix,omitempty"`
}

type gapJSON struct {
	ID       string `json:"id"`
	Cause    string `json:"cause"`
	Job      string `json:"job"`
	Began    int64  `json:"began_ms"`
	Ended    int64  `json:"ended_ms"`
	Repaired int64  `json:"repaired_ms"`
	Detail   string `json:"detail"`
}

type sweepJSON struct {
	ID      string `json:"id"`
	Job     string `json:"job"`
	Cause   string `json:"cause"`
	Scanned uint64 `json:"scanned"`
	Matched uint64 `json:"matched"`
	Total   uint64 `json:"total"`
	Started int64  `json:"started_ms"`
	Ended   int64  `json:"ended_ms"`
	Settled int64  `json:"settled_ms"`
	Waits   string `json:"waits,omitempty"`
}

type serviceJSON struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Status  string `json:"status"`
	Version string `json:"version"`
}

func printStatusAs(w io.Writer, output, address string, res *gatewayv1.StatusResponse) error {
	st, r := res.GetStatus(), res.GetStatus().GetRecorder()
	out := statusJSON{
		Pipeline: pipelineJSON{
			Version: res.GetVersion(), Address: address, RunStatus: runStatus(st), SyncMode: rdimetrics.SyncMode(st),
			Name: st.GetPipeline(), Generation: st.GetGeneration(), ReadMs: st.GetReadMs(),
		},
		Connections: make(map[string]connectionJSON),
		Streams:     streamsJSON{Streams: make(map[string]streamJSON)},
		Recorder: recorderJSON{
			Method: word(r.GetMethod().String(), "CAPTURE_METHOD_"), Guarantee: word(r.GetGuarantee().String(), "GUARANTEE_"),
			Owner: r.GetOwner(), Connected: r.GetConnected(), Recorded: r.GetRecorded(), Reason: r.GetReason(), Gaps: r.GetGaps(),
		},
		Lanes: []laneJSON{}, Gaps: []gapJSON{}, Sweeps: []sweepJSON{}, Services: []serviceJSON{},
		Instances: append([]string{}, st.GetInstances()...), Stale: []staleJSON{},
	}
	for _, s := range res.GetStale() {
		out.Stale = append(out.Stale, staleOf(s))
	}
	for _, c := range res.GetConnections() {
		out.Connections[c.GetName()] = connectionJSON{
			Type: c.GetType(), Host: c.GetHost(), Port: c.GetPort(), Database: c.GetDatabase(), User: c.GetUser(),
			Password: hidden(c), Status: c.GetStatus(),
		}
	}
	for _, j := range st.GetJobs() {
		s := stream(j)
		out.Streams.Streams[j.GetJob()] = s
		out.Streams.Totals.add(s)
	}
	for _, l := range st.GetLanes() {
		out.Lanes = append(out.Lanes, laneOf(l))
	}
	out.Performance = performance(st)
	for _, g := range st.GetGaps() {
		out.Gaps = append(out.Gaps, gapJSON{
			ID: g.GetId(), Cause: g.GetCause(), Job: g.GetJob(), Began: g.GetBeganMs(), Ended: g.GetEndedMs(),
			Repaired: g.GetRepairedMs(), Detail: g.GetDetail(),
		})
	}
	for _, s := range st.GetSweeps() {
		out.Sweeps = append(out.Sweeps, sweepJSON{
			ID: s.GetId(), Job: s.GetJob(), Cause: s.GetCause(), Scanned: s.GetScanned(), Matched: s.GetMatched(), Total: s.GetTotal(),
			Started: s.GetStartedMs(), Ended: s.GetEndedMs(), Settled: s.GetSettledMs(),
			Waits: s.GetWaits(),
		})
	}
	for _, s := range res.GetServices() {
		out.Services = append(out.Services, serviceJSON{Name: s.GetName(), Address: s.GetAddress(), Status: s.GetStatus(), Version: s.GetVersion()})
	}
	return printAs(w, output, out)
}

func stream(j *capturev1.JobStatus) streamJSON {
	n := j.GetCounts()
	return streamJSON{
		Total: n.GetChanges(), Pending: j.GetBacklog(), Inserted: n.GetInserted(), Updated: n.GetUpdated(),
		Deleted: n.GetDeleted(), Filtered: n.GetFiltered(), Rejected: n.GetRejected(), Skipped: j.GetSkipped(),
		ExpiredUnread: j.GetExpiredUnread(), DeadLetters: j.GetDeadLetters(), LagMs: j.GetLagMs(),
		LastArrival: j.GetLastArrivalMs(), NotLoaded: j.GetNotLoaded(), Enabled: j.GetEnabled(),
	}
}

// add sums up; of times the latest counts, of lags the longest.
func (t *streamJSON) add(s streamJSON) {
	t.Total += s.Total
	t.Pending += s.Pending
	t.Inserted += s.Inserted
	t.Updated += s.Updated
	t.Deleted += s.Deleted
	t.Filtered += s.Filtered
	t.Rejected += s.Rejected
	t.Skipped += s.Skipped
	t.ExpiredUnread += s.ExpiredUnread
	t.DeadLetters += s.DeadLetters
	t.NotLoaded += max(0, s.NotLoaded)
	t.LagMs = max(t.LagMs, s.LagMs)
	t.LastArrival = max(t.LastArrival, s.LastArrival)
	t.Enabled = t.Enabled || s.Enabled
}

// performance averages over the batches of all jobs, times in milliseconds; the rate is that of now.
func performance(st *capturev1.PipelineStatus) performanceJSON {
	w, _ := rdimetrics.TotalWork(st)
	average := func(of uint64, unit float64) float64 { return float64(of) / unit / float64(max(1, w.GetBatches())) }
	p := performanceJSON{
		Batches: w.GetBatches(), BatchSize: average(w.GetChanges(), 1), ReadTime: average(w.GetReadNs(), 1e6),
		TransformTime: average(w.GetTransformNs(), 1e6), WriteTime: average(w.GetWriteNs(), 1e6), AckTime: average(w.GetAcknowledgeNs(), 1e6),
	}
	p.ProcessTime = p.TransformTime + p.WriteTime
	p.TotalTime = p.ReadTime + p.ProcessTime + p.AckTime
	for _, l := range st.GetLanes() {
		p.RecordsPerSecond += l.GetRate()
	}
	return p
}

func laneOf(l *capturev1.LaneStatus) laneJSON {
	lane, fault := l.GetLane(), l.GetFault()
	out := laneJSON{
		Generation: l.GetGeneration(),
		Job:        lane.GetJob(), Connection: lane.GetConnection(), Partition: lane.GetPartition(), Layout: lane.GetLayout(),
		State: word(l.GetState().String(), "LANE_STATE_"), Owner: l.GetOwner(), Epoch: l.GetEpoch(), Backlog: l.GetBacklog(),
		InFlight: l.GetInFlightBytes(), Rate: l.GetRate(), P50: l.GetLatencyP50Ms(), P99: l.GetLatencyP99Ms(),
		Commit: l.GetCommitMs(), Dialect: l.GetDialect(), Delivery: word(l.GetDelivery().String(), "DELIVERY_"),
		Reason: fault.GetMessage(), Fix: fault.GetFix(),
	}
	if fault.GetClass() != flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED {
		out.Class = word(fault.GetClass().String(), "FAULT_CLASS_")
	}
	return out
}
