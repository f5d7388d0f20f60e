package app

import (
	"fmt"
	"time"

	"trench/pkg/record"
)

// Summary counts what a run did.
type Summary struct {
	Counts
	Lost           uint64 // packets that who captured says were lost before they were read
	Files, Skipped uint64 // captures read; files in directories that are none
	Faults         []Fault

	Rows
	Elapsed time.Duration
}

// Rows counts rows of flows that ended.
type Rows struct {
	Flows                         uint64
	TLS, QUIC, DTLS               uint64
	Malicious, Suspicious, Benign uint64
	Allowed, Denied               uint64 // by lists, of the flows above
}

func (s *Rows) add(rows []*record.Record) {
	for _, r := range rows {
		if !r.Final {
			continue
		}
		s.Flows++
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

// Line returns the machine-readable last line of the summary.
func (s *Summary) Line() string {
	sec := s.Elapsed.Seconds()
	return fmt.Sprintf("summary packets=%d in_flows=%d not_ip=%d malformed=%d refused=%d filtered=%d duplicate=%d fragment_dropped=%d"+
		" dropped_fragment_bytes=%d dropped_fragment_datagrams=%d truncated=%d bytes=%d bytes_in_flows=%d lost=%d files=%d skipped=%d faults=%d"+
		" flows=%d tls=%d quic=%d dtls=%d malicious=%d suspicious=%d benign=%d allowed=%d denied=%d"+
		" evicted_max_flows=%d evicted_half_open=%d reassembly_gave_up=%d handshake_gave_up=%d dns_answers_forgotten=%d http_messages_forgotten=%d seconds=%.3f packets_per_second=%.0f",
		s.Packets, s.InFlows, s.NotIP, s.Malformed, s.Refused, s.Filtered, s.Duplicate, s.FragmentDropped,
		s.DroppedFragmentBytes, s.DroppedFragmentDatagrams, s.Truncated, s.Bytes, s.BytesInFlows, s.Lost, s.Files, s.Skipped, len(s.Faults),
		s.Flows, s.TLS, s.QUIC, s.DTLS, s.Malicious, s.Suspicious, s.Benign, s.Allowed, s.Denied,
		s.Table.Evicted, s.Table.EvictedHalfOpen, s.Table.PendingDrops, s.Table.HandshakeDrops, s.Table.DNSDrops, s.Table.HTTPDrops, sec, float64(s.Packets)/max(sec, 1e-9))
}
