package assemble

// ring is a queue that grows by doubling, up to a limit that its user keeps.
type ring[T any] struct {
	list  []T
	at, n int // the oldest entry, and how many there are
}

// oldest returns the entry that was pushed first. There must be one.
func (r *ring[T]) oldest() *T { return &r.list[r.at] }

func (r *ring[T]) push(v T) {
	if r.n == len(r.list) {
		larger := make([]T, max(2*len(r.list), 64))
		n := copy(larger, r.list[r.at:])
		copy(larger[n:], r.list[:r.at])
		r.list, r.at = larger, 0
	}
	r.list[(r.at+r.n)%len(r.list)] = v
	r.n++
}

// pop takes the oldest entry away.
func (r *ring[T]) pop() T {
	v := r.list[r.at]
	r.list[r.at] = *new(T)
	r.at = (r.at + 1) % len(r.list)
	r.n--
	return v
}

func (r *ring[T]) clear() {
	clear(r.list)
	r.at, r.n = 0, 0
}
