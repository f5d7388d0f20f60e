package assemble

import (
	"sort"
)

// recent remembers what happened to clients in the last minutes, in the order in
// which it was told. It holds at most limit events; the oldest make room, and go
// when they are too old for any flow.
type recent[E any] struct {
	age      int64 // ns
	limit    int
	byClient map[clientAddr]*events[E]
	order    ring[*events[E]]
	dropped  uint64 // given up before their age
}

// clientAddr is an address as keys have it.
type clientAddr struct {
	addr    [16]byte
	version uint8
}

// events are those of one client.
type events[E any] struct {
	client clientAddr
	list   []event[E] // times never fall
	gone   int        // at the front, forgotten
}

type event[E any] struct {
	time int64 // ns since the Unix epoch
	what E
}

func newRecent[E any](limit int, age int64) recent[E] {
	return recent[E]{age: age, limit: limit, byClient: make(map[clientAddr]*events[E])}
}

func (r *recent[E]) clear() {
	clear(r.byClient)
	r.order.clear()
}

// add enters what happened to a client. next makes it of what happened last, the
// zero value for the first time.
func (r *recent[E]) add(c clientAddr, time int64, next func(last E) E) {
	if r.order.n == r.limit {
		if e := *r.order.oldest(); time-e.list[e.gone].time < r.age {
			r.dropped++
		}
		r.forget()
	}
	e := r.byClient[c]
	if e == nil {
		e = &events[E]{client: c}
		r.byClient[c] = e
	}
	var last E
	if n := len(e.list); n > 0 {
		last = e.list[n-1].what
		time = max(time, e.list[n-1].time)
	}
	if len(e.list) == cap(e.list) && 2*e.gone >= len(e.list) {
		e.list = e.list[:copy(e.list, e.list[e.gone:])]
		e.gone = 0
	}
	e.list = append(e.list, event[E]{time, next(last)})
	r.order.push(e)
}

// forget gives up the oldest event.
func (r *recent[E]) forget() {
	e := r.order.pop()
	if e.gone++; e.gone == len(e.list) {
		delete(r.byClient, e.client)
	}
}

// expire forgets what is too old at a time.
func (r *recent[E]) expire(now int64) {
	for r.order.n > 0 {
		if e := *r.order.oldest(); elapsed(e.list[e.gone].time, now)-slack <= r.age {
			return
		}
		r.forget()
	}
}

// before returns the events of a client that are at most the age older than a
// time, and not later.
func (r *recent[E]) before(c clientAddr, time int64) []event[E] {
	e := r.byClient[c]
	if e == nil {
		return nil
	}
	list := e.list[e.gone:]
	from := sort.Search(len(list), func(i int) bool { return list[i].time >= time-r.age })
	to := sort.Search(len(list), func(i int) bool { return list[i].time > time })
	return list[from:max(to, from)]
}
