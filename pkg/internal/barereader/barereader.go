// Package barereader is the yardstick of the benchmarks: the least that any
// tool must do to a capture. It maps the file, decodes Ethernet, VLAN, IP and
// ports, and counts packets per 5-tuple in one map; nothing else.
package barereader

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// key is a 5-tuple, smaller address first.
type key struct {
	a, b         [16]byte
	portA, portB uint16
	protocol     uint16
	version      uint16
}

type counters struct{ packets, bytes uint64 }

// Result is what was counted.
type Result struct {
	Packets, Flows uint64
}

// Read counts a little-endian Ethernet pcap file with µs or ns.
func Read(path string) (Result, error) {
	f, err := os.Open(path)
	if err != nil {
		return Result{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Result{}, err
	}
	m, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return Result{}, fmt.Errorf("map %s: %w", path, err)
	}
	defer func() { _ = unix.Munmap(m) }()
	if err := unix.Madvise(m, unix.MADV_SEQUENTIAL); err != nil {
		return Result{}, fmt.Errorf("advise %s: %w", path, err)
	}
	if len(m) < 24 {
		return Result{}, fmt.Errorf("%s: %d bytes only", path, len(m))
	}
	if magic := binary.LittleEndian.Uint32(m); magic != 0xa1b2c3d4 && magic != 0xa1b23c4d {
		return Result{}, fmt.Errorf("%s: magic %08x", path, magic)
	}
	var (
		res   Result
		flows = make(map[key]*counters)
		k     key
	)
	for d := m[24:]; len(d) >= 16; {
		n := int(binary.LittleEndian.Uint32(d[8:]))
		if len(d) < 16+n {
			break
		}
		res.Packets++
		if bytes, ok := decode(&k, d[16:16+n]); ok {
			c := flows[k]
			if c == nil {
				c = new(counters)
				flows[k] = c
			}
			c.packets++
			c.bytes += uint64(bytes)
		}
		d = d[16+n:]
	}
	res.Flows = uint64(len(flows))
	return res, nil
}

func decode(k *key, d []byte) (bytes int, ok bool) {
	if len(d) < 34 {
		return 0, false
	}
	at, typ := 14, binary.BigEndian.Uint16(d[12:])
	for (typ == 0x8100 || typ == 0x88a8) && len(d) >= at+24 {
		typ, at = binary.BigEndian.Uint16(d[at+2:]), at+4
	}
	var l4 int
	*k = key{}
	switch {
	case typ == 0x0800 && len(d) >= at+20:
		copy(k.a[:4], d[at+12:])
		copy(k.b[:4], d[at+16:])
		k.protocol, k.version = uint16(d[at+9]), 4
		l4, bytes = at+int(d[at]&15)*4, int(binary.BigEndian.Uint16(d[at+2:]))
		if binary.BigEndian.Uint16(d[at+6:])&0x1fff != 0 {
			return bytes, true
		}
	case typ == 0x86dd && len(d) >= at+40:
		copy(k.a[:], d[at+8:at+24])
		copy(k.b[:], d[at+24:at+40])
		k.protocol, k.version = uint16(d[at+6]), 6
		l4, bytes = at+40, 40+int(binary.BigEndian.Uint16(d[at+4:]))
	default:
		return 0, false
	}
	if (k.protocol == 6 || k.protocol == 17) && len(d) >= l4+4 {
		k.portA, k.portB = binary.BigEndian.Uint16(d[l4:]), binary.BigEndian.Uint16(d[l4+2:])
	}
	x, y := binary.BigEndian.Uint64(k.a[:]), binary.BigEndian.Uint64(k.b[:])
	if x > y || x == y && (string(k.a[8:]) > string(k.b[8:]) || k.a == k.b && k.portA > k.portB) {
		k.a, k.b, k.portA, k.portB = k.b, k.a, k.portB, k.portA
	}
	return bytes, true
}
