package engine

// Stale is how many stale jobs a pipeline knows.
func (e *Engine) Stale(pipeline string) int {
	p, err := e.pipeline(pipeline)
	if err != nil {
		return -1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.stale)
}
