package server

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	processv1 "slipstream/proto/slipstream/process/v1"

	"slipstream/gateway/configfile"
	"slipstream/gateway/store"
)

const (
	defaultInterval = 1000
	leastInterval   = 100
)

// Status implements gatewayv1.GatewayServiceServer.
func (s *Server) Status(ctx context.Context, req *gatewayv1.StatusRequest) (*gatewayv1.StatusResponse, error) {
	name, err := s.named(req.GetPipeline())
	if err != nil {
		return nil, err
	}
	now, err := s.config.Store.Current(ctx, name)
	if err == nil {
		return s.status(ctx, name, now), nil
	}
	if errors.Is(err, store.ErrNotDeployed) {
		// A FLUSHALL takes the generation with it; capture runs on with the one it has (design D10), and that is what to show.
		res := s.status(ctx, name, store.State{Pipeline: &pipelinev1.Pipeline{}})
		if res.GetStatus().GetGeneration() > 0 {
			return res, nil
		}
	}
	return nil, failure(err)
}

// WatchStatus implements gatewayv1.GatewayServiceServer.
func (s *Server) WatchStatus(
	req *gatewayv1.WatchStatusRequest, stream grpc.ServerStreamingServer[gatewayv1.WatchStatusResponse],
) error {
	interval := req.GetIntervalMs()
	if interval == 0 {
		interval = defaultInterval
	}
	tick := time.NewTicker(time.Duration(max(interval, leastInterval)) * time.Millisecond)
	defer tick.Stop()
	for {
		res, err := s.Status(stream.Context(), &gatewayv1.StatusRequest{Pipeline: req.GetPipeline()})
		if err != nil {
			return err
		}
		if err := stream.Send(&gatewayv1.WatchStatusResponse{Status: res}); err != nil {
			return err
		}
		select {
		case <-stream.Context().Done():
			return nil // the caller has seen enough
		case <-tick.C:
		}
	}
}

func (s *Server) status(ctx context.Context, name string, now store.State) *gatewayv1.StatusResponse {
	ctx, cancel := context.WithTimeout(ctx, s.config.StatusTimeout)
	defer cancel()
	instances := s.config.CaptureNow()
	views := make([]*capturev1.PipelineStatus, len(instances))
	strange := make([]bool, len(instances)) // it does not serve the pipeline
	services := s.services()
	var all sync.WaitGroup
	for i, peer := range instances {
		all.Go(func() {
			res, err := peer.Client.Status(ctx, &capturev1.StatusRequest{Pipeline: name})
			if views[i], strange[i] = res.GetStatus(), status.Code(err) == codes.NotFound; err != nil {
				views[i] = nil
			}
		})
	}
	for _, service := range services {
		all.Go(func() { service.out.Status = serving(ctx, service.health) })
		all.Go(func() { service.out.Version = version(ctx, service.process) })
	}
	all.Wait()
	views = slices.DeleteFunc(views, func(v *capturev1.PipelineStatus) bool { return v == nil })

	merged := merge(views)
	merged.Pipeline = name
	if now.Pipeline.GetGeneration() > 0 {
		merged.Running = now.Running
	}
	unknown := ""
	if len(views) == 0 {
		merged.Generation = now.Pipeline.GetGeneration()
		merged.ReadMs = s.config.Now().UnixMilli()
		unknown = "unknown: capture does not answer"
		if len(strange) > 0 && !slices.Contains(strange, false) {
			unknown = "unknown: " + unserved
			merged.Recorder = &capturev1.RecorderStatus{Reason: unserved}
		}
	}
	addJobs(merged, now.Pipeline)
	res := &gatewayv1.StatusResponse{
		Status: merged, Version: s.config.Version, Stale: now.Stale,
		Connections: connections(now.Pipeline, merged, unknown),
	}
	for _, service := range services {
		res.Services = append(res.Services, service.out)
	}
	return res
}

type service struct {
	health  healthv1.HealthClient
	process processv1.ProcessServiceClient
	out     *gatewayv1.ServiceStatus
}

// services are all services the gateway knows, in the order changes pass them.
func (s *Server) services() []service {
	var out []service
	add := func(name, address string, health healthv1.HealthClient, process processv1.ProcessServiceClient) {
		out = append(out, service{health: health, process: process, out: &gatewayv1.ServiceStatus{Name: name, Address: address}})
	}
	for _, peer := range s.config.CaptureNow() {
		add("capture", peer.Address, peer.Health, peer.Process)
	}
	if peer := s.config.Transformer; peer.Client != nil {
		add("transformer", peer.Address, peer.Health, peer.Process)
	}
	for _, kind := range slices.Sorted(maps.Keys(s.config.Appliers)) {
		peer := s.config.Appliers[kind]
		add("applier-"+kind, peer.Address, peer.Health, peer.Process)
	}
	return out
}

// addJobs adds the deployed jobs that no capture instance told of.
func addJobs(merged *capturev1.PipelineStatus, p *pipelinev1.Pipeline) {
	for _, job := range p.GetJobs() {
		known := slices.ContainsFunc(merged.GetJobs(), func(j *capturev1.JobStatus) bool { return j.GetJob() == job.GetName() })
		if !known {
			merged.Jobs = append(merged.Jobs, &capturev1.JobStatus{Job: job.GetName(), Enabled: job.GetEnabled(), NotLoaded: -1})
		}
	}
	sortJobs(merged)
}

// unserved is said of a pipeline that was deployed, and that the capture instances which answer know nothing of.
const unserved = "no capture instance serves this pipeline: --pipelines of capture names those it serves, `slipstream run` serves default"

// connections tells how each connection fares, from what the recorder and the lanes report; unknown says why none of them does. No
// password is in it.
func connections(p *pipelinev1.Pipeline, merged *capturev1.PipelineStatus, unknown string) []*gatewayv1.ConnectionStatus {
	out := make([]*gatewayv1.ConnectionStatus, 0, len(p.GetConnections()))
	for _, name := range slices.Sorted(maps.Keys(p.GetConnections())) {
		c := p.GetConnections()[name]
		row := &gatewayv1.ConnectionStatus{
			Name: name, Type: c.GetType(), Host: c.GetHost(), Port: c.GetPort(), Database: c.GetDatabase(), User: c.GetUser(),
		}
		switch {
		case unknown != "":
			row.Status = unknown
		case name == configfile.Source:
			row.Status = recorderStatus(merged.GetRecorder())
		case name == configfile.Streams:
			row.Status = "connected" // capture has just read the streams
		default:
			row.Status = targetStatus(name, merged.GetLanes())
		}
		out = append(out, row)
	}
	return out
}

func recorderStatus(r *capturev1.RecorderStatus) string {
	switch {
	case r.GetConnected():
		return "connected"
	case r.GetReason() != "":
		return r.GetReason()
	default:
		return "not connected"
	}
}

func targetStatus(name string, lanes []*capturev1.LaneStatus) string {
	status := "unused: no lane writes to it"
	for _, lane := range lanes {
		if lane.GetLane().GetConnection() != name {
			continue
		}
		if fault := lane.GetFault().GetMessage(); fault != "" {
			return fault
		}
		switch lane.GetState() {
		case capturev1.LaneState_LANE_STATE_RUNNING, capturev1.LaneState_LANE_STATE_DRAINING:
			status = "connected"
		default:
			if status != "connected" {
				status = "not connected: its lanes are " + stateWord(lane.GetState())
			}
		}
	}
	return status
}
