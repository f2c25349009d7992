package engine

import (
	"fmt"
	"maps"
	"slices"

	"slipstream/capture/stream"
	"slipstream/proto/flow"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// wanted is a lane that a generation wants.
type wanted struct {
	lane       *flowv1.Lane
	job        *pipelinev1.Job
	connection *pipelinev1.Connection
	stream     stream.Stream
	finite     bool // of an older layout: to be read to its end
}

// name is the lane's, for maps, hashing and people.
func (w wanted) name() string { return flow.Name(w.lane) }

// lease is what the lane's lease is called.
func (w wanted) lease() string { return leaseOf(w.lane) }

func leaseOf(l *flowv1.Lane) string {
	return fmt.Sprintf("lane:%s:%s:%dof%d", l.GetJob(), l.GetConnection(), l.GetPartition(), l.GetLayout())
}

// lanesOf are the lanes of a job in one layout: one for each connection and partition.
func lanesOf(p *pipelinev1.Pipeline, source string, job *pipelinev1.Job, partitions int) []wanted {
	var lanes []wanted
	streams := stream.OfJob(p.GetName(), job, partitions)
	for _, name := range stream.Connections(job) {
		connection := p.GetConnections()[name]
		if connection == nil {
			continue // validation refuses it; a pipeline that was stored all the same must not stop the others
		}
		for _, s := range streams {
			lanes = append(lanes, wanted{
				lane: &flowv1.Lane{
					Source: source, Pipeline: p.GetName(), Job: job.GetName(), Connection: name,
					Layout: uint32(s.Count), Partition: uint32(s.Partition),
				},
				job: job, connection: connection, stream: s,
			})
		}
	}
	return lanes
}

// lookups are the connections that the lookup blocks of a job read, by name, their secret references unresolved (G10).
func lookups(p *pipelinev1.Pipeline, job *pipelinev1.Job) []*pipelinev1.Connection {
	names := map[string]bool{}
	for _, b := range job.GetTransform() {
		if l := b.GetRedisLookup(); l != nil {
			names[l.GetConnection()] = true
		}
	}
	var all []*pipelinev1.Connection
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if c := p.GetConnections()[name]; c != nil { // validation refuses a name that is none
			all = append(all, c)
		}
	}
	return all
}
