package assemble

import (
	"trench/pkg/flow"
)

// fill describes a flow in t.out. Slices alias the flow's own memory.
func (t *Table) fill(c *conn, reason flow.EndReason) {
	f := &t.out
	packets, records, vlan := f.Packets[:0], f.Records[:0], f.VLAN[:0]
	*f = flow.Flow{
		Source: c.source.Name, ID: flow.MakeID(t.cfg.Sensor, &c.key, c.first, c.ordinal), Part: c.part,
		First: c.first, Last: c.last, Protocol: uint8(c.key.Protocol), App: c.app, Tunnel: c.key.Tunnel.String(),
		RTT: c.tcp.rtt, HandshakeSeen: c.tcp.opened(), Truncated: c.truncated, End: reason, Before: c.before, DNS: c.answers, HTTP: c.http,
	}
	a, b := c.key.Ends()
	f.Client, f.Server = a, b
	if c.client == sideB {
		f.Client, f.Server = b, a
	}
	for _, id := range c.key.VLAN {
		if id != 0 {
			vlan = append(vlan, id)
		}
	}
	f.VLAN = vlan
	t.resolveLate(c)
	if c.resolution != nil {
		f.Resolution, f.ResolutionAge = c.resolution.message, c.first-c.resolution.time
	}
	for side := range c.side {
		h := &f.Half[c.direction(side)]
		h.Packets, h.Bytes, h.Payload, h.TTL = c.side[side].packets, c.side[side].bytes, c.side[side].payload, c.ttl[side]
		if c.opening != nil {
			h.Opening = c.opening[side]
		}
	}
	if d := c.data; d != nil {
		for side := range d.side {
			h := &f.Half[c.direction(side)]
			d.side[side].fill(h)
			if d.web == nil {
				continue
			}
			if heads := d.web.side[side].heads; c.app == flow.AppHTTP && len(heads) > 0 {
				h.Handshake = heads
			} else {
				h.Preamble = heads
			}
		}
		packets = d.sequence.packets(packets)
		if c.client == sideB {
			for i := range packets {
				packets[i].Length = -packets[i].Length
			}
		}
		if d.tls != nil {
			records = t.fillTLS(c, d.tls, records)
		}
	}
	f.Packets, f.Records = packets, records
}

// direction returns the direction in which a side sends.
func (c *conn) direction(side int) flow.Direction {
	if side == int(c.client) {
		return flow.ClientToServer
	}
	return flow.ServerToClient
}

func (h *half) fill(f *flow.Half) {
	f.DataPackets, f.Retransmitted, f.Gaps = h.packets, h.retransmitted, h.gaps
	f.LengthSum, f.LengthSquares, f.LengthMax, f.Sizes = h.lengthSum, h.lengthSquares, h.lengthMax, h.sizes
	f.ShortHeaders = h.short
	h.bytes.counts(&f.ByteCounts)
	if h.head.state != headOpen && h.head.state != headWatch { // what these hold may become nothing
		f.Handshake = h.head.kept
	}
}

func (t *Table) fillTLS(c *conn, s *tlsState, records []flow.Record) []flow.Record {
	for side := range s.side {
		h, f := &s.side[side], &t.out.Half[c.direction(side)]
		f.TLSRecords, f.AppRecords, f.AppBytes = h.records, h.appRecords, h.appBytes
		f.Alerts, f.ChangeCipherSpecs = h.alerts, h.changeCipherSpecs
		h.bytes.counts(&f.AppByteCounts)
	}
	records = s.records.records(records)
	for i := range records {
		records[i].Direction = c.direction(int(records[i].Direction))
	}
	return records
}
