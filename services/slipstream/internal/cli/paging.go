package cli

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// pageSize is how many streams a page has where only its number is given.
const pageSize = 20

// paging is what of a live status is shown: a page of the data streams, with their lanes, or the streams alone (spec 7).
type paging struct {
	number, size int
	only         bool // the data streams
	given        bool
}

func (p *paging) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVarP(&p.number, "page-number", "p", 1, "with --live: page of the data streams to show")
	f.IntVarP(&p.size, "page-size", "s", pageSize, "with --live: data streams on a page; without it and -p all are shown")
	f.BoolVarP(&p.only, "ingested-only", "i", false, "with --live: only the table of data streams")
}

// check says whether the flags are given as they may be.
func (p *paging) check(cmd *cobra.Command, live bool, output string) error {
	for _, name := range []string{"page-number", "page-size", "ingested-only"} {
		if !cmd.Flags().Changed(name) {
			continue
		}
		p.given = true
		if !live {
			return misused("--%s is for --live", name)
		}
		if output != "table" {
			return misused("--%s is for -o table; %s tells everything", name, output)
		}
	}
	if p.number < 1 || p.size < 1 {
		return misused("--page-number %d --page-size %d: use numbers of 1 or more", p.number, p.size)
	}
	if p.given && !cmd.Flags().Changed("page-number") && !cmd.Flags().Changed("page-size") {
		p.size = 0 // one page with all
	}
	return nil
}

// print prints the page. A page beyond the last is the last: jobs come and go while one looks.
func (p *paging) print(w io.Writer, address string, res *gatewayv1.StatusResponse) error {
	page, which := p.cut(res.GetStatus())
	if p.only {
		streamTable(w, page, which)
		return nil
	}
	return printPage(w, address, res, page, which)
}

// cut is a status with the jobs of the page and their lanes alone, and what to say of it beside the title.
func (p *paging) cut(st *capturev1.PipelineStatus) (*capturev1.PipelineStatus, string) {
	n := len(st.GetJobs())
	if p.size == 0 || n == 0 {
		return st, ""
	}
	pages := (n + p.size - 1) / p.size
	number := min(p.number, pages)
	from := (number - 1) * p.size
	to := min(from+p.size, n)
	cut := proto.CloneOf(st)
	cut.Jobs = cut.Jobs[from:to]
	shown := map[string]bool{}
	for _, j := range cut.Jobs {
		shown[j.GetJob()] = true
	}
	cut.Lanes = slices.DeleteFunc(cut.Lanes, func(l *capturev1.LaneStatus) bool { return !shown[l.GetLane().GetJob()] })
	return cut, fmt.Sprintf(" (page %d of %d, %d to %d of %d)", number, pages, from+1, to, n)
}
