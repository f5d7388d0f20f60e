//go:build linux

package torture

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"trench/pkg/internal/bench/proc"
)

// Watch looks at the memory of services every second.
type Watch struct {
	services []*Service
	stop     chan struct{}
	running  sync.WaitGroup

	mu    sync.Mutex
	most  map[string]int // bytes by service, since Mark
	lives map[life]*Growth
}

// life is one process.
type life struct {
	service string
	begun   time.Time
}

// Growth is how a process's memory changed: the most in the minute around the end of
// its first one, and the most in its last one.
type Growth struct {
	Service     string
	PID         int
	Age         time.Duration
	First, Last int // bytes

	recent [60]int
	at     int
}

// Ratio is the memory at the end over that after the first minute.
func (g *Growth) Ratio() float64 { return float64(g.Last) / float64(max(g.First, 1)) }

// NewWatch begins to look at services.
func NewWatch(services []*Service) *Watch {
	w := &Watch{services: services, stop: make(chan struct{}), most: map[string]int{}, lives: map[life]*Growth{}}
	w.running.Go(func() { // ends with Close
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				w.look()
			case <-w.stop:
				return
			}
		}
	})
	return w
}

// Close ends it.
func (w *Watch) Close() {
	close(w.stop)
	w.running.Wait()
}

func (w *Watch) look() {
	for _, s := range w.services {
		pid, begun, ok := s.Alive()
		if !ok {
			continue
		}
		rss, _ := proc.RSS(pid) // 0 when it is gone
		bytes, age := int(rss), time.Since(begun)
		w.mu.Lock()
		w.most[s.Name] = max(w.most[s.Name], bytes)
		g := w.lives[life{s.Name, begun}]
		if g == nil {
			g = &Growth{Service: s.Name, PID: pid}
			w.lives[life{s.Name, begun}] = g
		}
		g.see(age, bytes)
		w.mu.Unlock()
	}
}

func (g *Growth) see(age time.Duration, bytes int) {
	g.Age = age
	if age > 30*time.Second && age < 90*time.Second {
		g.First = max(g.First, bytes)
	}
	g.recent[g.at%len(g.recent)] = bytes
	g.at++
	g.Last = slices.Max(g.recent[:])
}

// Mark forgets the most that was seen.
func (w *Watch) Mark() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.most)
}

// Most is the most memory each service had since Mark, in the order of Services.
func (w *Watch) Most() (out [4]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, name := range Services() {
		out[i] = w.most[name]
	}
	return out
}

// Growth returns the processes that are alive and older than three minutes.
func (w *Watch) Growth() []Growth {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []Growth
	for _, s := range w.services {
		if _, begun, ok := s.Alive(); ok {
			if g := w.lives[life{s.Name, begun}]; g != nil && g.Age > 3*time.Minute {
				out = append(out, *g)
			}
		}
	}
	slices.SortFunc(out, func(a, b Growth) int { return cmp.Compare(a.Service, b.Service) })
	return out
}
