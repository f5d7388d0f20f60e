package app

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"trench/pkg/assemble"
	"trench/pkg/packet"
	"trench/pkg/pcap"
	"trench/pkg/record"
)

// Summary counts what a run did. Packets is the sum of InFlows, NotIP,
// Malformed, Refused, Filtered, Duplicate and FragmentDropped: every packet is
// in exactly one of them.
type Summary struct {
	Packets, Bytes                       uint64 // read
	InFlows, NotIP, Malformed, Refused   uint64
	Filtered, Duplicate, FragmentDropped uint64
	Truncated                            uint64 // of InFlows: cut by the snap length
	RefusedLinks                         map[pcap.LinkType]uint64

	Files, Skipped uint64 // captures read; files in directories that are none
	Faults         []Fault

	Table assemble.Stats
	Rows
	Elapsed time.Duration
}

// Rows counts finished rows.
type Rows struct {
	Flows                         uint64
	TLS, QUIC, DTLS               uint64
	Malicious, Suspicious, Benign uint64
}

// count enters the outcome of decoding one packet.
func (s *Summary) count(o packet.Outcome, p *pcap.Packet, v *packet.View) {
	s.Packets++
	s.Bytes += uint64(p.WireLen)
	switch o {
	case packet.OK:
		s.InFlows++
		if v.Truncated {
			s.Truncated++
		}
	case packet.NotIP:
		s.NotIP++
	case packet.Malformed:
		s.Malformed++
	case packet.Refused:
		s.Refused++
		if s.RefusedLinks == nil {
			s.RefusedLinks = make(map[pcap.LinkType]uint64)
		}
		s.RefusedLinks[p.Link]++
	case packet.Fragment:
		s.FragmentDropped++
	}
}

func (s *Rows) add(rows []*record.Record) {
	s.Flows += uint64(len(rows))
	for _, r := range rows {
		switch r.AppProto {
		case "tls":
			s.TLS++
		case "quic":
			s.QUIC++
		case "dtls":
			s.DTLS++
		}
		switch r.Verdict {
		case record.Malicious:
			s.Malicious++
		case record.Suspicious:
			s.Suspicious++
		case record.Benign:
			s.Benign++
		}
	}
}

// Links lists the refused link types with their packets, most first.
func (s *Summary) Links() []pcap.LinkType {
	return slices.SortedFunc(maps.Keys(s.RefusedLinks), func(a, b pcap.LinkType) int {
		return cmp.Or(cmp.Compare(s.RefusedLinks[b], s.RefusedLinks[a]), cmp.Compare(a, b))
	})
}

// Line returns the machine-readable last line of the summary.
func (s *Summary) Line() string {
	sec := s.Elapsed.Seconds()
	return fmt.Sprintf("summary packets=%d in_flows=%d not_ip=%d malformed=%d refused=%d filtered=%d duplicate=%d fragment_dropped=%d"+
		" truncated=%d bytes=%d files=%d skipped=%d faults=%d flows=%d tls=%d quic=%d dtls=%d malicious=%d suspicious=%d benign=%d"+
		" evicted_max_flows=%d reassembly_gave_up=%d dns_answers_forgotten=%d seconds=%.3f packets_per_second=%.0f",
		s.Packets, s.InFlows, s.NotIP, s.Malformed, s.Refused, s.Filtered, s.Duplicate, s.FragmentDropped,
		s.Truncated, s.Bytes, s.Files, s.Skipped, len(s.Faults), s.Flows, s.TLS, s.QUIC, s.DTLS, s.Malicious, s.Suspicious, s.Benign,
		s.Table.Evicted, s.Table.PendingDrops, s.Table.DNSDrops, sec, float64(s.Packets)/max(sec, 1e-9))
}
