package cli

import (
	"fmt"
	"io"
	"strings"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// printChanged tells how the meaning of jobs changes: what is different, and what stays as it was.
func printChanged(w io.Writer, res *gatewayv1.DeployResponse) {
	for _, job := range res.GetChangedJobs() {
		fmt.Fprintf(w, "the meaning of job %s changes:\n", clean(job.GetJob()))
		for _, c := range job.GetChanges() {
			fmt.Fprintf(w, "    %s: %s\n", clean(c.GetPath()), clean(c.GetMessage()))
			if c.GetStays() != "" {
				fmt.Fprintf(w, "        what stays, resync or not: %s\n", clean(c.GetStays()))
			}
		}
	}
}

// printNeeds tells which jobs need a resync, and what comes of that.
func printNeeds(w io.Writer, all []*pipelinev1.StaleJob, asked, dry bool) {
	var byHand []string
	for _, s := range all {
		line := "job " + clean(s.GetJob()) + " needs a resync: rows of keys that do not change keep the meaning from before generation " +
			number(s.GetGeneration())
		switch {
		case s.GetResync() && dry:
			line += "; it would run in the background"
		case s.GetResync():
			line += "; it runs in the background, and status shows how far it is"
		case s.GetCaution() != "":
			line += "; " + clean(s.GetCaution())
		case !asked:
			byHand = append(byHand, s.GetJob())
		}
		fmt.Fprintln(w, line)
	}
	if len(byHand) > 0 {
		fmt.Fprintf(w, "run: slipstream resync %s (or deploy --resync). It writes the rows of all keys again and deletes none.\n",
			clean(strings.Join(byHand, " ")))
	}
}

// staleJSON is a job that needs a resync, in `status -o json` and `list-jobs -o json`.
type staleJSON struct {
	Job        string       `json:"job"`
	Generation uint64       `json:"generation"`
	Since      int64        `json:"since_ms"`
	Changes    []changeJSON `json:"changes"`
	Caution    string       `json:"caution,omitempty"`
	Resync     bool         `json:"resync_requested"`
	Sweep      string       `json:"sweep,omitempty"`
}

type changeJSON struct {
	Path    string `json:"path"`
	Message string `json:"message"`
	Stays   string `json:"stays,omitempty"`
}

func staleOf(s *pipelinev1.StaleJob) staleJSON {
	out := staleJSON{
		Job: s.GetJob(), Generation: s.GetGeneration(), Since: s.GetSinceMs(), Changes: []changeJSON{}, Caution: s.GetCaution(),
		Resync: s.GetResync(), Sweep: s.GetSweep(),
	}
	for _, c := range s.GetChanges() {
		out.Changes = append(out.Changes, changeJSON{Path: c.GetPath(), Message: c.GetMessage(), Stays: c.GetStays()})
	}
	return out
}

// staleTable is the section of status that is there while a job needs a resync.
func staleTable(w io.Writer, res *gatewayv1.StatusResponse) {
	if len(res.GetStale()) == 0 {
		return
	}
	rows := [][]string{}
	for _, s := range res.GetStale() {
		var changes []string
		for _, c := range s.GetChanges() {
			changes = append(changes, c.GetPath()+": "+c.GetMessage())
		}
		rows = append(rows, []string{s.GetJob(), number(s.GetGeneration()), moment(s.GetSinceMs()), resyncState(res, s), strings.Join(changes, "; ")})
	}
	table(w, "Jobs that need a resync", []string{"Job", "Generation", "Since", "Resync", "Changes"}, rows)
}

// resyncState is how far the resync of a stale job is, in a few words.
func resyncState(res *gatewayv1.StatusResponse, s *pipelinev1.StaleJob) string {
	for _, sw := range res.GetStatus().GetSweeps() {
		if sw.GetJob() != s.GetJob() || sw.GetSettledMs() != 0 || max(sw.GetAfter(), sw.GetGeneration()) < s.GetGeneration() {
			continue
		}
		return sweepState(sw)
	}
	switch {
	case s.GetResync():
		return "requested"
	case s.GetCaution() != "":
		return s.GetCaution()
	}
	return "run: slipstream resync " + s.GetJob()
}
