// Package wire joins network namespaces by links that this process is:
//
//	client ── tun ── Wire ── tun ── servers of one kind (one namespace each)
//	           │       └──── tun ── …
//	           └ tap
//
// The kernel's netem is a module that many machines lack, and a veth pair
// passes segments of 64 KB that no network carries. Here every packet is read
// from a TUN interface, waits as long as its path says, and is written to the
// other one: packets have the size that they have on Ethernet, each server
// address its own round-trip time, rate and loss, and what passes is seen where
// a sensor beside the client sees it.
package wire

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"trench/pkg/internal/netlab"
)

// MTU is the largest packet that a link carries.
const MTU = 1500

const (
	maxQueued = 1 << 15                // packets that wait for one interface
	maxLag    = 150 * time.Millisecond // a packet that would wait longer for a slow link is dropped
)

// Path is the way to one server address and back.
type Path struct {
	RTT  time.Duration
	Rate float64 // bytes a second in each direction, 0 for no limit
	Loss float64 // share of packets, in each direction
}

// Wire forwards packets between a client and servers until its context ends.
type Wire struct {
	Client  io.ReadWriteCloser
	Servers []End
	// Path returns the way to a server address.
	Path func(server netip.Addr) Path
	// Tap is shown every packet that is not lost at the client's end of the
	// link, when it passes, from several goroutines; it keeps nothing of it.
	Tap func(server netip.Addr, packet []byte) error
	// Seed decides which packets are lost.
	Seed uint64
}

// End is an interface of servers and the addresses that are behind it.
type End struct {
	io.ReadWriteCloser
	Addresses netip.Prefix
}

// Open makes a TUN interface inside a namespace: each Read is one IP packet
// that leaves the namespace, each Write one that enters it.
func Open(ns *netlab.Namespace) (f *os.File, err error) {
	err = ns.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open /dev/net/tun: %w", err)
		}
		req, err := unix.NewIfreq(ns.Interface)
		if err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
			return errors.Join(fmt.Errorf("make interface %s: %w", ns.Interface, err), unix.Close(fd))
		}
		f = os.NewFile(uintptr(fd), ns.Interface)
		return nil
	})
	return f, err
}

// Run forwards packets. It closes the interfaces when it returns.
func (w *Wire) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	back := newQueue()
	g.Go(func() error { return back.deliver(ctx, w.Client, w.tap) })
	ahead := make([]*queue, len(w.Servers))
	for i, end := range w.Servers {
		ahead[i] = newQueue()
		g.Go(func() error { return ahead[i].deliver(ctx, end, nil) })
		g.Go(func() error {
			lines := newLines(w, uint64(i)+1)
			return each(ctx, end, func(p []byte) error {
				if server, ok := address(p, source); ok {
					back.put(server, p, lines.next(server, len(p)))
				}
				return nil
			})
		})
	}
	g.Go(func() error {
		lines := newLines(w, 0)
		return each(ctx, w.Client, func(p []byte) error {
			server, ok := address(p, destination)
			for i, end := range w.Servers {
				if !ok || !end.Addresses.Contains(server) {
					continue
				}
				if err := w.tap(server, p); err != nil {
					return err
				}
				ahead[i].put(server, p, lines.next(server, len(p)))
			}
			return nil
		})
	})
	g.Go(func() error {
		<-ctx.Done()
		err := w.Client.Close()
		for _, end := range w.Servers {
			err = errors.Join(err, end.Close())
		}
		return err
	})
	return g.Wait()
}

func (w *Wire) tap(server netip.Addr, p []byte) error {
	if w.Tap == nil {
		return nil
	}
	return w.Tap(server, p)
}

// each reads packets until the context ends.
func each(ctx context.Context, r io.Reader, take func([]byte) error) error {
	buf := make([]byte, 1<<16)
	for {
		n, err := r.Read(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read packet: %w", err)
		}
		if err := take(buf[:n]); err != nil {
			return err
		}
	}
}

// Where the addresses of an IPv4 header begin (RFC 791).
const (
	source      = 12
	destination = 16
	header      = 20
)

// address returns an address of an IPv4 packet; other packets have none.
func address(p []byte, at int) (netip.Addr, bool) {
	if len(p) < header || p[0]>>4 != 4 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(p[at : at+4])), true
}

// lines are the links to all servers in one direction.
type lines struct {
	path func(netip.Addr) Path
	free map[netip.Addr]time.Time // when the last packet has left
	rng  *rand.Rand
}

func newLines(w *Wire, stream uint64) *lines {
	return &lines{w.Path, make(map[netip.Addr]time.Time), rand.New(rand.NewPCG(w.Seed, stream))}
}

// next says when a packet arrives, the zero time when it never does.
func (l *lines) next(server netip.Addr, n int) time.Time {
	p, now := l.path(server), time.Now()
	leaves := now
	if p.Rate > 0 {
		if free := l.free[server]; free.After(leaves) {
			leaves = free
		}
		leaves = leaves.Add(time.Duration(float64(n) / p.Rate * float64(time.Second)))
		if leaves.Sub(now) > maxLag {
			return time.Time{}
		}
		l.free[server] = leaves
	}
	if p.Loss > 0 && l.rng.Float64() < p.Loss {
		return time.Time{}
	}
	return leaves.Add(p.RTT / 2)
}

// queue holds packets until they are due.
type queue struct {
	mu     sync.Mutex
	wait   waiting
	seq    uint64
	change chan struct{} // something was put first
}

type packet struct {
	due    time.Time
	seq    uint64
	server netip.Addr
	data   []byte
}

func newQueue() *queue { return &queue{change: make(chan struct{}, 1)} }

func (q *queue) put(server netip.Addr, p []byte, due time.Time) {
	if due.IsZero() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.wait) == maxQueued {
		return // as a switch does
	}
	q.seq++
	seq := q.seq
	heap.Push(&q.wait, packet{due, seq, server, append([]byte(nil), p...)})
	if q.wait[0].seq == seq {
		select {
		case q.change <- struct{}{}:
		default:
		}
	}
}

// first returns the packet that is due, or how long it is until one may be.
func (q *queue) first() (packet, time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.wait) == 0 {
		return packet{}, time.Hour
	}
	if left := time.Until(q.wait[0].due); left > 0 {
		return packet{}, left
	}
	return heap.Pop(&q.wait).(packet), 0
}

// deliver writes packets when they are due, until the context ends.
func (q *queue) deliver(ctx context.Context, w io.Writer, tap func(netip.Addr, []byte) error) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		p, left := q.first()
		if left > 0 {
			timer.Reset(left)
			select {
			case <-ctx.Done():
				return nil
			case <-q.change:
			case <-timer.C:
			}
			continue
		}
		if tap != nil {
			if err := tap(p.server, p.data); err != nil {
				return err
			}
		}
		if _, err := w.Write(p.data); ctx.Err() != nil {
			return nil
		} else if err != nil {
			return fmt.Errorf("write packet: %w", err)
		}
	}
}

// waiting is a heap by the time that packets are due; ties keep their order.
type waiting []packet

func (w waiting) Len() int { return len(w) }
func (w waiting) Less(i, j int) bool {
	if !w[i].due.Equal(w[j].due) {
		return w[i].due.Before(w[j].due)
	}
	return w[i].seq < w[j].seq
}
func (w waiting) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *waiting) Push(x any)   { *w = append(*w, x.(packet)) }
func (w *waiting) Pop() any {
	last := len(*w) - 1
	p := (*w)[last]
	(*w)[last].data = nil
	*w = (*w)[:last]
	return p
}
