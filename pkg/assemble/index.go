package assemble

import (
	"math/rand/v2"

	"trench/pkg/flow"
)

// index finds flows by key: a hash table with open addressing and linear
// probing, at most three quarters full. Its seed is drawn anew for each, so
// that nobody can send keys that collide.
type index struct {
	slots []slot // a power of two
	mask  uint64
	n     int
	seed  uint64
}

type slot struct {
	hash uint64
	c    *conn
}

const firstSlots = 1 << 10

func newIndex() index {
	return index{slots: make([]slot, firstSlots), mask: firstSlots - 1, seed: rand.Uint64()}
}

// get returns the flow of a key with its hash, nil when there is none.
func (x *index) get(hash uint64, k *flow.Key) *conn {
	for i := hash & x.mask; ; i = (i + 1) & x.mask {
		s := &x.slots[i]
		if s.c == nil {
			return nil
		}
		if s.hash == hash && s.c.key == *k {
			return s.c
		}
	}
}

// put enters a flow whose key is not there.
func (x *index) put(c *conn) {
	if x.n >= len(x.slots)/4*3 {
		x.grow()
	}
	x.n++
	x.place(slot{c.hash, c})
}

func (x *index) place(s slot) {
	i := s.hash & x.mask
	for x.slots[i].c != nil {
		i = (i + 1) & x.mask
	}
	x.slots[i] = s
}

func (x *index) grow() {
	old := x.slots
	x.slots = make([]slot, 2*len(old))
	for i := 0; i < len(x.slots); i += firstSlots / 8 { // as in pool
		x.slots[i].hash = 1
	}
	x.mask = uint64(len(x.slots) - 1)
	for _, s := range old {
		if s.c != nil {
			x.place(s)
		}
	}
}

// remove forgets a flow, and moves those behind it that its slot kept from
// their place.
func (x *index) remove(c *conn) {
	i := c.hash & x.mask
	for x.slots[i].c != c {
		i = (i + 1) & x.mask
	}
	x.n--
	for j := i; ; {
		j = (j + 1) & x.mask
		s := x.slots[j]
		if s.c == nil {
			break
		}
		if (j-s.hash)&x.mask >= (j-i)&x.mask { // its probing began at i or before
			x.slots[i] = s
			i = j
		}
	}
	x.slots[i] = slot{}
}
