package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"

	"slipstream/gateway/rdimetrics"
)

// printStatus prints the sections of spec 9.1, and what there is to say beyond: services, lanes, gaps, sweeps.
func printStatus(w io.Writer, address string, res *gatewayv1.StatusResponse) error {
	return printPage(w, address, res, res.GetStatus(), "")
}

// printPage prints a status with the streams and lanes of a page; which says which that is.
func printPage(w io.Writer, address string, res *gatewayv1.StatusResponse, page *capturev1.PipelineStatus, which string) error {
	st := res.GetStatus()
	fmt.Fprintf(w, "Slipstream %s on %s\n%s\n", res.GetVersion(), address, runStatus(st))
	engine(w, st)
	connectionTable(w, res)
	rows := [][]string{}
	for _, s := range res.GetServices() {
		rows = append(rows, []string{s.GetName(), s.GetAddress(), s.GetVersion(), s.GetStatus()})
	}
	table(w, "Services", []string{"Name", "Address", "Version", "Status"}, rows)
	streamTable(w, page, which)
	laneTable(w, page)
	gapTable(w, st)
	sweepTable(w, st)
	staleTable(w, res)
	return nil
}

func runStatus(st *capturev1.PipelineStatus) string {
	if st.GetRunning() {
		return "started"
	}
	return "stopped"
}

// method and guarantee are always said (G9).
func method(r *capturev1.RecorderStatus) string {
	return word(r.GetMethod().String(), "CAPTURE_METHOD_") + ", " + word(r.GetGuarantee().String(), "GUARANTEE_")
}

func word(enum, prefix string) string {
	w := strings.ToLower(strings.TrimPrefix(enum, prefix))
	if w == "unspecified" {
		return "unknown"
	}
	return w
}

func openGaps(st *capturev1.PipelineStatus) (n int) {
	for _, g := range st.GetGaps() {
		if g.GetRepairedMs() == 0 {
			n++
		}
	}
	return n
}

func engine(w io.Writer, st *capturev1.PipelineStatus) {
	r := st.GetRecorder()
	recorder := r.GetReason()
	if r.GetConnected() {
		recorder = fmt.Sprintf("connected, %d changes recorded by %s", r.GetRecorded(), r.GetOwner())
	}
	var arrival int64
	for _, j := range st.GetJobs() {
		arrival = max(arrival, j.GetLastArrivalMs())
	}
	fmt.Fprint(w, "\nEngine State\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"Pipeline", st.GetPipeline() + ", generation " + number(st.GetGeneration())},
		{"Source", strings.TrimSpace(st.GetSourceAddress() + " " + st.GetSourceServer())},
		{"Capture", method(r)},
		{"Recorder", recorder},
		{"Sync mode", rdimetrics.SyncMode(st)},
		{"Last data retrieved", moment(arrival)},
		{"Open gaps", strconv.Itoa(openGaps(st))},
		{"Instances", strings.Join(st.GetInstances(), ", ")},
	} {
		fmt.Fprintf(t, "  %s:\t%s\n", line[0], oneLine(line[1]))
	}
	_ = t.Flush()
}

func connectionTable(w io.Writer, res *gatewayv1.StatusResponse) {
	rows := [][]string{}
	for _, c := range res.GetConnections() {
		rows = append(rows, []string{
			c.GetName(), c.GetType(), c.GetHost(), c.GetPort(), c.GetDatabase(), c.GetUser(), hidden(c), c.GetStatus(),
		})
	}
	table(w, "Connections", []string{"Name", "Type", "Host(s)", "Port", "Database", "User", "Password", "Status"}, rows)
}

// hidden stands for every password, set or not: whether there is one is nobody's business either (G10).
func hidden(c *gatewayv1.ConnectionStatus) string {
	if c.GetType() == "sqlite" {
		return ""
	}
	return "******"
}

func streamTable(w io.Writer, st *capturev1.PipelineStatus, which string) {
	rows := [][]string{}
	for _, j := range st.GetJobs() {
		n, state := j.GetCounts(), ""
		if !j.GetEnabled() {
			state = "disabled"
		}
		if j.GetNotLoaded() > 0 {
			state = fmt.Sprintf("%d existing keys not loaded; load them with initial_load: always", j.GetNotLoaded())
		}
		rows = append(rows, []string{
			j.GetJob(), number(n.GetChanges()), number(j.GetBacklog()), number(n.GetInserted()), number(n.GetUpdated()),
			number(n.GetDeleted()), number(n.GetFiltered()), number(n.GetRejected()), number(j.GetSkipped()),
			number(j.GetExpiredUnread()), number(j.GetDeadLetters()), span(float64(j.GetLagMs())), state,
		})
	}
	table(w, "Write-behind Data Streams"+which, []string{
		"Name", "Total", "Pending", "Inserted", "Updated", "Deleted", "Filtered", "Rejected", "Skipped", "Expired", "Dead letters",
		"Lag", "Note",
	}, rows)
}

func laneTable(w io.Writer, st *capturev1.PipelineStatus) {
	rows := [][]string{}
	for _, l := range st.GetLanes() {
		lane := l.GetLane()
		rows = append(rows, []string{
			lane.GetJob(), lane.GetConnection(), fmt.Sprintf("%d of %d", lane.GetPartition(), lane.GetLayout()),
			word(l.GetState().String(), "LANE_STATE_"), l.GetOwner(), number(l.GetBacklog()), fmt.Sprintf("%.0f/s", l.GetRate()),
			span(l.GetLatencyP50Ms()), span(l.GetLatencyP99Ms()), span(l.GetCommitMs()),
			word(l.GetDelivery().String(), "DELIVERY_"), l.GetFault().GetMessage(),
		})
	}
	table(w, "Lanes", []string{
		"Job", "Connection", "Partition", "State", "Owner", "Backlog", "Rate", "p50", "p99", "Commit", "Delivery", "Reason",
	}, rows)
}

func gapTable(w io.Writer, st *capturev1.PipelineStatus) {
	if len(st.GetGaps()) == 0 {
		return
	}
	rows := [][]string{}
	for _, g := range st.GetGaps() {
		repaired := "being repaired"
		if g.GetRepairedMs() > 0 {
			repaired = moment(g.GetRepairedMs())
		}
		rows = append(rows, []string{g.GetCause(), g.GetJob(), moment(g.GetBeganMs()), moment(g.GetEndedMs()), repaired, g.GetDetail()})
	}
	table(w, "Gaps", []string{"Cause", "Job", "Began", "Ended", "Repaired", "Detail"}, rows)
}

func sweepTable(w io.Writer, st *capturev1.PipelineStatus) {
	if len(st.GetSweeps()) == 0 {
		return
	}
	rows := [][]string{}
	for _, s := range st.GetSweeps() {
		rows = append(rows, []string{s.GetJob(), s.GetCause(), number(s.GetScanned()), number(s.GetMatched()), moment(s.GetStartedMs()), sweepState(s)})
	}
	table(w, "Sweeps", []string{"Job", "Cause", "Scanned", "Matched", "Started", "State"}, rows)
}

// sweepState is how far a sweep is, in a few words.
func sweepState(s *capturev1.Sweep) string {
	switch {
	case s.GetSettledMs() > 0:
		return "settled " + moment(s.GetSettledMs())
	case s.GetEndedMs() > 0:
		return "writing"
	case s.GetWaits() != "":
		return "waiting: " + s.GetWaits()
	case s.GetTotal() > 0:
		return fmt.Sprintf("scanning, %d%%", min(100, 100*s.GetScanned()/s.GetTotal()))
	}
	return "scanning"
}
