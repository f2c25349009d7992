package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	"slipstream/applier"
	"slipstream/proto/fault"
	"slipstream/proto/secret"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// targets shares open targets between lanes: one for each content of a connection, secrets resolved. A password that was
// rotated is another content, so lanes that open again get a target that knows it.
type targets struct {
	dialect applier.Dialect

	mu   sync.Mutex
	open map[[sha256.Size]byte]*shared
}

type shared struct {
	key    [sha256.Size]byte
	users  int
	once   sync.Once
	target applier.Target
	err    error
}

// lease is one user's hold on a shared target.
type lease struct {
	owner  *targets
	shared *shared
	target applier.Target
}

func newTargets(dialect applier.Dialect) *targets {
	return &targets{dialect: dialect, open: map[[sha256.Size]byte]*shared{}}
}

// acquire resolves the secrets of a connection (spec 2.4) and opens its target, or shares the one that is open.
func (t *targets) acquire(ctx context.Context, c *pipelinev1.Connection, s *pipelinev1.Settings) (*lease, error) {
	resolved, err := secret.Connection(c)
	if err != nil {
		return nil, fault.New(flowv1.FaultClass_FAULT_CLASS_PERMISSION, err)
	}
	key, err := content(resolved, s)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	sh := t.open[key]
	if sh == nil {
		sh = &shared{key: key}
		t.open[key] = sh
	}
	sh.users++
	t.mu.Unlock()

	sh.once.Do(func() { sh.target, sh.err = t.dialect.Connect(ctx, resolved, s) })
	l := &lease{owner: t, shared: sh, target: sh.target}
	if sh.err != nil {
		return nil, errors.Join(sh.err, l.release())
	}
	return l, nil
}

// release gives the target back; the last user closes it. The dialect's Connect is asked again by the next one.
func (l *lease) release() error {
	t := l.owner
	t.mu.Lock()
	l.shared.users--
	last := l.shared.users == 0
	if last || l.shared.err != nil {
		if t.open[l.shared.key] == l.shared {
			delete(t.open, l.shared.key)
		}
	}
	t.mu.Unlock()
	if last && l.shared.target != nil {
		return l.shared.target.Close()
	}
	return nil
}

// content is a fingerprint, so that no map key holds a password (G10).
func content(c *pipelinev1.Connection, s *pipelinev1.Settings) (key [sha256.Size]byte, err error) {
	how := proto.MarshalOptions{Deterministic: true}
	h := sha256.New()
	for _, m := range []proto.Message{c, s} {
		b, err := how.Marshal(m)
		if err != nil {
			return key, fmt.Errorf("fingerprint of connection %q: %w", c.GetName(), err)
		}
		fmt.Fprintf(h, "%d:", len(b))
		h.Write(b)
	}
	h.Sum(key[:0])
	return key, nil
}

// unreachable is the answer to Check when there is no target to ask.
func unreachable(c *pipelinev1.Connection, err error) *applierv1.CheckResponse {
	return &applierv1.CheckResponse{Fault: fault.Of(err).Class, Problems: []*pipelinev1.Problem{{
		Severity:   pipelinev1.Severity_SEVERITY_ERROR,
		Connection: c.GetName(),
		Message:    fmt.Sprintf("connection %q cannot be opened: %v", c.GetName(), err),
		Fix:        fault.Of(err).Fix,
	}}}
}
