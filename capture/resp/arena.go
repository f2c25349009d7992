package resp

// Arena owns the bytes of many small values at once. The zero value is ready.
type Arena struct {
	block []byte // the block being filled; older blocks live as long as something points into them
	used  int
}

const firstBlock = 16 << 10

// Copy returns a copy of b that lives until Reset. The copy cannot grow into its neighbour.
func (a *Arena) Copy(b []byte) []byte {
	if cap(a.block)-len(a.block) < len(b) {
		a.block = make([]byte, 0, max(firstBlock, 2*cap(a.block), len(b)))
	}
	start := len(a.block)
	a.block = append(a.block, b...)
	a.used += len(b)
	return a.block[start:len(a.block):len(a.block)]
}

// Len is the number of bytes copied since the last Reset.
func (a *Arena) Len() int { return a.used }

// Reset forgets everything; whatever Copy returned before may be overwritten from now on.
func (a *Arena) Reset() {
	a.block = a.block[:0]
	a.used = 0
}
