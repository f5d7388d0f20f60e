package afpacket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"trench/pkg/pcap"
)

// countEvery is the number of calls after which a ring reads the kernel's
// counters by itself: those have 32 bits.
const countEvery = 1 << 12

// Ring is one receive ring of an interface. One goroutine reads it; Stats may
// be called from others.
type Ring struct {
	group  *group
	number int // in the group
	sock   *socket
	kind   Kind
	down   time.Time // when the socket reported the interface down, zero for up
	blocks int       // asked for

	mu    sync.Mutex
	total Stats
	live  *socket // sock, for Stats
}

// group is what rings of one interface do together.
type group struct {
	cfg     Config
	program []bpf.RawInstruction
	kind    Kind
	log     *slog.Logger

	mu     sync.Mutex
	rings  int
	away   int       // rings without a socket
	fresh  []*socket // opened for rings that have not come yet, by number
	next   time.Time // no attempt to open before
	pause  time.Duration
	reason string // last logged
	gone   bool   // since one ring has left, until it could be opened again
	closed bool
}

// Open opens n rings that share the packets of an interface. The program is the
// filter, nil for all packets; it must fit KindOf(cfg.Interface).Filter. The
// rings of an interface are closed together. The log may be nil.
func Open(cfg Config, n int, program []bpf.RawInstruction, log *slog.Logger) ([]*Ring, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if n < 1 || n > MaxRings {
		return nil, fmt.Errorf("%d rings are not between 1 and %d", n, MaxRings)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	socks, kind, err := openSockets(cfg, n, program)
	if err != nil {
		return nil, withChoice(err)
	}
	g := &group{cfg: cfg, program: program, kind: kind, log: log, rings: n, fresh: make([]*socket, n)}
	rings := make([]*Ring, n)
	for i, s := range socks {
		rings[i] = &Ring{group: g, number: i, sock: s, live: s, kind: kind}
	}
	return rings, nil
}

// Kind returns how the interface frames packets.
func (r *Ring) Kind() Kind { return r.kind }

// ReadBlock gives the packets of b back to the kernel and fills b with the next
// ones, which alias the ring until the following call. It returns with none
// when nothing came for a poll interval, so that time can be told by the clock;
// also for as long as the interface is away.
func (r *Ring) ReadBlock(ctx context.Context, b *pcap.Block) error {
	b.Packets = b.Packets[:0]
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.sock == nil {
		return r.comeBack(ctx)
	}
	s := r.sock
	s.release()
	if r.blocks++; r.blocks%countEvery == 0 {
		r.count()
	}
	if !s.ready() {
		switch err := s.wait(r.group.cfg.PollInterval); {
		case errors.Is(err, unix.ENETDOWN):
			// Should it come up meanwhile, the kernel would join the rings in another order.
			if err := setProgram(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, reject()); err != nil {
				return fmt.Errorf("interface %s: filter: %w", r.group.cfg.Interface, err)
			}
			r.down = time.Now()
		case err != nil:
			return fmt.Errorf("interface %s: %w", r.group.cfg.Interface, err)
		}
		if !s.ready() {
			// What lies in a block that is not full yet comes by its time-out.
			if !r.down.IsZero() && time.Since(r.down) > 2*r.group.cfg.BlockTimeout {
				r.leave()
			}
			return nil
		}
	}
	s.held = true
	if lost := r.kind.parse(s.blocks[s.at], b); lost > 0 {
		r.mu.Lock()
		first := r.total.Broken == 0
		r.total.Broken += uint64(lost)
		r.mu.Unlock()
		if first {
			r.group.log.Error("block of the ring is broken", "interface", r.group.cfg.Interface, "ring", r.number, "packets", lost)
		}
	}
	return nil
}

// leave closes the socket of an interface that is down.
func (r *Ring) leave() {
	r.count()
	r.mu.Lock()
	r.live = nil
	r.total.Outages++
	r.mu.Unlock()
	r.sock.close()
	r.sock, r.down = nil, time.Time{}
	r.group.leave()
}

// comeBack waits, at most a poll interval, for a new socket.
func (r *Ring) comeBack(ctx context.Context) error {
	s, err := r.group.take(r.number)
	if err != nil {
		return err
	}
	if s == nil {
		t := time.NewTimer(r.group.cfg.PollInterval)
		defer t.Stop()
		select {
		case <-t.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.sock = s
	r.mu.Lock()
	r.live = s
	r.mu.Unlock()
	return nil
}

// count adds what the kernel has counted.
func (r *Ring) count() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live == nil {
		return nil
	}
	st, err := r.live.counters()
	r.total.Packets += st.Packets
	r.total.Drops += st.Drops
	r.total.Freezes += st.Freezes
	return err
}

// Close ends the capture of this ring. It must not run together with ReadBlock,
// and ends the life of the packets that this has returned.
func (r *Ring) Close() error {
	r.count()
	r.mu.Lock()
	r.live = nil
	r.mu.Unlock()
	err := r.group.close(r.number)
	if r.sock != nil {
		err = errors.Join(err, r.sock.close())
		r.sock = nil
	}
	return err
}

func (g *group) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.away++; !g.gone {
		g.gone = true
		g.pause = min(10*time.Millisecond, g.cfg.ReopenInterval)
		g.next = time.Now()
		g.reason = ""
		g.log.Warn("interface went away", "interface", g.cfg.Interface)
	}
}

// take returns the new socket of a ring, nil as long as there is none. The ring
// that comes first once all are away opens for all.
func (g *group) take(number int) (*socket, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fresh[number] == nil && g.away == g.rings && !g.closed && !time.Now().Before(g.next) {
		socks, kind, err := openSockets(g.cfg, g.rings, g.program)
		switch {
		case err == nil && kind != g.kind:
			for _, s := range socks {
				s.close()
			}
			return nil, fmt.Errorf("interface %s: came back with hardware type %d, was %d", g.cfg.Interface, kind.hardware, g.kind.hardware)
		case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
			return nil, err
		case err != nil:
			if why := err.Error(); why != g.reason {
				g.reason = why
				g.log.Warn("interface cannot be opened", "interface", g.cfg.Interface, "err", err)
			}
			g.pause = min(2*g.pause, g.cfg.ReopenInterval)
			g.next = time.Now().Add(g.pause)
			return nil, nil
		}
		copy(g.fresh, socks)
		g.gone = false
		g.log.Info("interface came back", "interface", g.cfg.Interface)
	}
	s := g.fresh[number]
	if s != nil {
		g.fresh[number] = nil
		g.away--
	}
	return s, nil
}

func (g *group) close(number int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	s := g.fresh[number]
	if s == nil {
		return nil
	}
	g.fresh[number] = nil
	return s.close()
}

// Stats returns the counters since the ring was opened.
func (r *Ring) Stats() (Stats, error) {
	err := r.count()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total, err
}
