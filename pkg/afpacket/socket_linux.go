package afpacket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	frameSize  = 2048 // only checked by the kernel, blocks have no fixed frames
	statusUser = 1    // the block is ours
	maxListed  = 32   // interfaces that an error names
)

var errAbsent = fmt.Errorf("%w: no such interface", ErrGone)

// socket is one packet socket with its ring.
type socket struct {
	mu     sync.Mutex // of fd against Stats
	fd     int
	ring   []byte
	blocks [][]byte
	at     int  // block to read next
	held   bool // and not given back yet
}

// device is what the kernel says of an interface.
type device struct {
	index int
	kind  Kind
}

// query looks up an interface through any socket.
func query(fd int, name string) (d device, err error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return d, fmt.Errorf("interface %q: %w", name, err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr); err != nil {
		if errors.Is(err, unix.ENODEV) {
			err = errAbsent
		}
		return d, fmt.Errorf("interface %s: %w", name, err)
	}
	d.index = int(ifr.Uint32())
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFHWADDR, ifr); err != nil {
		return d, fmt.Errorf("interface %s: hardware type: %w", name, err)
	}
	if d.kind, err = kindOf(ifr.Uint16()); err != nil {
		return d, fmt.Errorf("interface %s: %w", name, err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, ifr); err != nil {
		return d, fmt.Errorf("interface %s: flags: %w", name, err)
	}
	if ifr.Uint16()&unix.IFF_UP == 0 {
		return d, fmt.Errorf("interface %s: %w: it is down", name, ErrGone)
	}
	return d, nil
}

// KindOf returns how the named interface frames packets. It needs no
// privilege; the error wraps ErrGone when there is no such interface or it is
// down.
func KindOf(name string) (Kind, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return Kind{}, fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	d, err := query(fd, name)
	return d.kind, withChoice(err)
}

// withChoice adds the interfaces there are to an error about one that is not.
func withChoice(err error) error {
	if !errors.Is(err, errAbsent) {
		return err
	}
	there, lerr := net.Interfaces()
	if lerr != nil || len(there) == 0 {
		return err
	}
	var names []string
	for _, i := range there {
		names = append(names, i.Name)
	}
	slices.Sort(names)
	more := ""
	if n := len(names) - maxListed; n > 0 {
		names, more = names[:maxListed], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("%w; there are %s%s", err, strings.Join(names, ", "), more)
}

// openSockets opens n sockets in order. Their filter is the last thing set, so
// that all start at nearly the same packet and none sees a foreign one.
func openSockets(cfg Config, n int, program []bpf.RawInstruction) (socks []*socket, kind Kind, err error) {
	defer func() {
		if err != nil {
			for _, s := range socks {
				s.close()
			}
			socks = nil
		}
	}()
	group := 0
	for i := range n {
		s, k, err := openSocket(cfg)
		if err != nil {
			return socks, kind, err
		}
		socks = append(socks, s)
		if i > 0 && k != kind {
			return socks, kind, fmt.Errorf("interface %s: changed from hardware type %d to %d meanwhile", cfg.Interface, kind.hardware, k.hardware)
		}
		kind = k
		if n == 1 {
			continue
		}
		if group, err = s.join(group, i == 0); err != nil {
			return socks, kind, fmt.Errorf("interface %s: fanout: %w", cfg.Interface, err)
		}
		if i == 0 {
			if err := setProgram(s.fd, unix.SOL_PACKET, unix.PACKET_FANOUT_DATA, kind.spread()); err != nil {
				return socks, kind, fmt.Errorf("interface %s: fanout program: %w", cfg.Interface, err)
			}
		}
	}
	p := filter(kind.hardware, program)
	for _, s := range socks {
		if err := setProgram(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, p); err != nil {
			return socks, kind, fmt.Errorf("interface %s: filter of %d instructions: %w", cfg.Interface, len(p), err)
		}
	}
	return socks, kind, nil
}

// openSocket opens a socket that takes nothing yet.
func openSocket(cfg Config) (_ *socket, kind Kind, err error) {
	fail := func(what string, err error) (*socket, Kind, error) {
		return nil, kind, fmt.Errorf("interface %s: %s: %w", cfg.Interface, what, err)
	}
	// The type of socket depends on the interface, and what looks it up must not be older.
	probe, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail("socket", err)
	}
	d, err := query(probe, cfg.Interface)
	unix.Close(probe)
	if err != nil {
		return nil, kind, err
	}
	kind = d.kind
	typ := unix.SOCK_RAW
	if kind.cooked() {
		typ = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(unix.AF_PACKET, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0) // protocol 0: nothing until bound
	if err != nil {
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w (needs CAP_NET_RAW)", err)
		}
		return fail("packet socket", err)
	}
	s := &socket{fd: fd}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := setProgram(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, reject()); err != nil {
		return fail("filter", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return fail("TPACKET_V3", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_RESERVE, reserve); err != nil {
		return fail("room before packets", err)
	}
	req := unix.TpacketReq3{
		Block_size: uint32(cfg.BlockSize), Block_nr: uint32(cfg.Blocks), Frame_size: frameSize,
		Frame_nr:       uint32(cfg.BlockSize / frameSize * cfg.Blocks),
		Retire_blk_tov: uint32(cfg.BlockTimeout / time.Millisecond),
	}
	if err := unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return fail(fmt.Sprintf("ring of %d blocks of %d bytes", cfg.Blocks, cfg.BlockSize), err)
	}
	if s.ring, err = unix.Mmap(fd, 0, cfg.BlockSize*cfg.Blocks, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return fail("map the ring", err)
	}
	for i := range cfg.Blocks {
		s.blocks = append(s.blocks, s.ring[i*cfg.BlockSize:(i+1)*cfg.BlockSize:(i+1)*cfg.BlockSize])
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: d.index}); err != nil {
		if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) {
			err = fmt.Errorf("%w: %w", ErrGone, err)
		}
		return fail("bind", err)
	}
	if err := s.pending(); err != nil {
		if errors.Is(err, unix.ENETDOWN) {
			err = fmt.Errorf("%w: %w", ErrGone, err)
		}
		return fail("bind", err)
	}
	if cfg.Promiscuous {
		mreq := unix.PacketMreq{Ifindex: int32(d.index), Type: unix.PACKET_MR_PROMISC}
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &mreq); err != nil {
			return fail("promiscuous mode", err)
		}
	}
	return s, kind, nil
}

// join makes the socket a member of a fanout group, the first one of a new
// group whose number the kernel chooses.
func (s *socket) join(group int, first bool) (int, error) {
	arg := group | unix.PACKET_FANOUT_CBPF<<16
	if first {
		arg = (unix.PACKET_FANOUT_CBPF | unix.PACKET_FANOUT_FLAG_UNIQUEID) << 16
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_FANOUT, arg); err != nil || !first {
		return group, err
	}
	got, err := unix.GetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
	return got & 0xffff, err
}

func setProgram(fd, level, opt int, program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	if len(raw) > maxProgram {
		return fmt.Errorf("%d instructions, the kernel takes %d", len(raw), maxProgram)
	}
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return unix.SetsockoptSockFprog(fd, level, opt, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]})
}

// networkOrder turns a number into network byte order.
func networkOrder(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

// pending returns and clears the error of the socket.
func (s *socket) pending() error {
	n, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && n != 0 {
		err = syscall.Errno(n)
	}
	return err
}

// status is written by the kernel. An atomic load orders the reading of the
// block after it, an atomic store the giving back after that.
func (s *socket) status() *uint32 { return (*uint32)(unsafe.Pointer(&s.blocks[s.at][8])) }

func (s *socket) ready() bool { return atomic.LoadUint32(s.status())&statusUser != 0 }

// release gives the block in hand back to the kernel.
func (s *socket) release() {
	if s.held {
		atomic.StoreUint32(s.status(), 0)
		s.held = false
		if s.at++; s.at == len(s.blocks) {
			s.at = 0
		}
	}
}

// wait waits for a block, an error of the socket or the end of the interval.
func (s *socket) wait(d time.Duration) error {
	fds := [1]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN | unix.POLLERR}}
	_, err := unix.Poll(fds[:], int(max(d.Milliseconds(), 1)))
	switch {
	case errors.Is(err, unix.EINTR):
		return nil // a signal of the runtime; nothing came
	case err != nil:
		return fmt.Errorf("poll: %w", err)
	case fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0:
		return s.pending()
	}
	return nil
}

// counters returns what the kernel has counted since the last call.
func (s *socket) counters() (Stats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return Stats{}, nil
	}
	st, err := unix.GetsockoptTpacketStatsV3(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return Stats{}, fmt.Errorf("counters of the ring: %w", err)
	}
	return Stats{Packets: uint64(st.Packets - st.Drops), Drops: uint64(st.Drops), Freezes: uint64(st.Freeze_q_cnt)}, nil
}

func (s *socket) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return nil
	}
	var err error
	if s.ring != nil {
		err = unix.Munmap(s.ring)
		s.ring, s.blocks = nil, nil
	}
	err = errors.Join(err, unix.Close(s.fd))
	s.fd = -1
	return err
}
