package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"

	"trench/pkg/assemble"
	"trench/pkg/flow"
	"trench/pkg/internal/pcapgen"
	"trench/pkg/packet"
	"trench/pkg/pcap"
)

// collect frees what is not used, also what pools and finalizers hold.
func collect() {
	runtime.GC()
	runtime.GC()
}

func heap() uint64 {
	collect()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// memory prints what an open flow takes.
func (b *bench) memory() error {
	client, server := netip.MustParseAddrPort("10.0.0.1:40000"), netip.MustParseAddrPort("192.0.2.1:443")
	frames := func(ips ...[]byte) *connection {
		c := &connection{}
		for i, ip := range ips {
			c.frames, c.at = append(c.frames, pcapgen.Ethernet(ip)), append(c.at, int64(i))
		}
		return c
	}
	syn := frames(pcapgen.Segment{Src: client, Dst: server, Seq: 1, Flags: pcapgen.SYN}.IP())
	udp := frames(
		pcapgen.UDP(client, server, bytes.Repeat([]byte("question"), 25)),
		pcapgen.UDP(server, client, bytes.Repeat([]byte("an answer "), 40)),
	)
	tls, err := b.inputs[len(b.inputs)-1].connections(1000)
	if err != nil {
		return err
	}
	rows := [][]string{{"open flows", "of", "packets", "bytes/flow", "handshake buffers", "the rest", "limit"}}
	for _, c := range []struct {
		name  string
		flows int
		of    []*connection
		limit string
	}{
		{"TCP, a SYN", b.flows, []*connection{syn}, "≤ 512"},
		{"UDP, payload both ways", b.flows, []*connection{udp}, "≤ 3072"},
		{"TLS, real, before its end", b.tls, tls, "≤ 3072 the rest"},
	} {
		m, err := openFlows(c.flows, c.of)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		n := float64(c.flows)
		rows = append(rows, []string{fmt.Sprint(c.flows), c.name, fmt.Sprint(m.packets), fmt.Sprintf("%.0f", float64(m.heap)/n),
			fmt.Sprintf("%.0f", float64(m.handshake)/n), fmt.Sprintf("%.0f", float64(m.heap-m.handshake)/n), c.limit})
	}
	return b.table("memory: heap in use by the flow table after garbage collection", rows)
}

type footprint struct{ packets, heap, handshake uint64 }

// openFlows opens n flows that are copies of the given ones with clients of
// their own, and says what the table takes. What ends a connection is left out.
func openFlows(n int, of []*connection) (footprint, error) {
	cfg := assemble.DefaultConfig()
	cfg.MaxFlows, cfg.TotalHandshake, cfg.TotalPending = 2*n, 1<<40, 1<<40
	var (
		m   footprint
		v   packet.View
		dec = packet.NewDecoder(packet.DefaultConfig())
		buf []byte
	)
	const start = int64(1_700_000_000e9)
	before := heap()
	table := assemble.New(cfg, func(*flow.Flow) {})
	for i := range n {
		c := of[i%len(of)]
		var client uint32
		for k, frame := range c.frames {
			buf = append(buf[:0], frame...)
			at, _ := ipHeader(buf)
			src, dst := buf[at+12:at+16], buf[at+16:at+20]
			if k == 0 {
				client = binary.BigEndian.Uint32(src)
			}
			if binary.BigEndian.Uint32(src) == client {
				dst = src
			}
			binary.BigEndian.PutUint32(dst, 0x0a000000+uint32(i)) // the client's address
			p := pcap.Packet{Time: start + c.at[k]*1000, Data: buf, WireLen: uint32(len(buf)), Link: pcap.LinkEthernet}
			if o := dec.Decode(&v, &p); o != packet.OK {
				return m, fmt.Errorf("packet %d of a flow: outcome %d", k, o)
			}
			if v.Flags&(packet.FIN|packet.RST) == 0 {
				table.Add(&v)
				m.packets++
			}
		}
	}
	m.heap = heap() - before
	stats := table.Stats()
	if stats.Open != uint64(n) {
		return m, fmt.Errorf("%d flows are open, not %d", stats.Open, n)
	}
	m.handshake = stats.HandshakeBytes
	table.Flush(start)
	return m, nil
}
