package chart

import "time"

// NewBoundedRenderer is NewRenderer with narrow bounds, 0 for the usual ones.
func NewBoundedRenderer(source []byte, time time.Duration, memory int64, picture int) (*Renderer, error) {
	bounds := defaultBounds
	if time > 0 {
		bounds.Time = time
	}
	if memory > 0 {
		bounds.Memory = memory
	}
	if picture > 0 {
		bounds.Picture = picture
	}
	return newRenderer(source, bounds)
}

// Loosen gives the next process of a renderer the usual bounds.
func (r *Renderer) Loosen() { r.bounds = defaultBounds }
