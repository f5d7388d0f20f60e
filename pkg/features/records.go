package features

import (
	"math"
	"slices"

	"trench/pkg/flow"
	"trench/pkg/tlswire"
)

// Constants of rc_srv_flight_est, in bytes.
const (
	recordOverhead = 17          // content type and tag of a TLS 1.3 record
	flight13Fixed  = 6 + 79 + 36 // EncryptedExtensions, CertificateVerify (P-256), Finished (SHA-256)
	flight12Fixed  = 4 + 70 + 4  // ServerHello without extensions but with a session id, ServerHelloDone
	messageHeader  = 4
)

// recordFacts is what the TLS record headers show: group rc.
type recordFacts struct {
	any             bool
	first           [2][4]float64 // lengths of the first application-data records
	listed          [2]float64    // application-data records in the list
	std             [2]float64
	lengths         []uint16 // of all of them, sorted
	distinct, modal float64
	mod16           float64
	flight          float64
	flights         float64 // runs of handshake and ChangeCipherSpec records
}

func (r *recordFacts) read(f *flow.Flow, h *tlswire.Handshake) {
	*r = recordFacts{
		any:     f.Half[0].TLSRecords+f.Half[1].TLSRecords > 0,
		lengths: r.lengths[:0], flight: math.NaN(), flights: math.NaN(),
		distinct: math.NaN(), modal: math.NaN(), mod16: math.NaN(),
	}
	for d := range r.first {
		r.std[d] = math.NaN()
		for i := range r.first[d] {
			r.first[d][i] = math.NaN()
		}
	}
	if !r.any {
		return
	}
	var sum, squares [2]float64
	var whole16 float64
	var runs float64
	last := flow.Direction(2)
	for _, rec := range f.Records {
		d := rec.Direction & 1
		switch rec.Type {
		case tlswire.RecordHandshake, tlswire.RecordChangeCipherSpec:
			if d != last {
				runs++
				last = d
			}
		case tlswire.RecordApplicationData:
			v := float64(rec.Length)
			if n := int(r.listed[d]); n < len(r.first[d]) {
				r.first[d][n] = v
			}
			r.listed[d]++
			sum[d] += v
			squares[d] += v * v
			r.lengths = append(r.lengths, rec.Length)
			if rec.Length%16 == 0 {
				whole16++
			}
		}
	}
	if runs > 0 {
		r.flights = runs
	}
	for d, n := range r.listed {
		if n > 0 { // lengths are below 2^16 and few, so the sums are exact
			r.std[d] = math.Sqrt(max(0, n*squares[d]-sum[d]*sum[d])) / n
		}
	}
	if all := float64(len(r.lengths)); all > 0 {
		slices.Sort(r.lengths)
		var run, best, kinds float64
		for i, v := range r.lengths {
			if i == 0 || v != r.lengths[i-1] {
				kinds++
				run = 0
			}
			run++
			best = max(best, run)
		}
		r.distinct, r.modal, r.mod16 = kinds/all, best/all, whole16/all
	}
	if f.App != flow.AppDTLS {
		r.flight = serverFlight(f.Records, h)
	}
}

// serverFlight estimates the bytes of the server's first flight, the
// certificates above all; the definition stands at rc_srv_flight_est.
func serverFlight(records []flow.Record, h *tlswire.Handshake) float64 {
	server := flow.ServerToClient
	if h.Reversed {
		server = flow.ClientToServer
	}
	version, known := serverVersion(h)
	if !known {
		return math.NaN()
	}
	var sum float64
	begun := false
	if version == tlswire.VersionTLS13 {
		hello := false
		for _, r := range records {
			fromServer := r.Direction == server
			switch {
			case fromServer && r.Type == tlswire.RecordHandshake:
				hello = true
			case r.Type != tlswire.RecordApplicationData || !hello:
			case fromServer:
				begun = true
				sum += float64(r.Length) - recordOverhead
			case begun:
				return max(0, sum-flight13Fixed)
			}
		}
		return math.NaN() // the client never took its turn, or was not captured
	}
scan:
	for _, r := range records {
		fromServer := r.Direction == server
		switch {
		case fromServer && r.Type == tlswire.RecordHandshake:
			begun = true
			sum += float64(r.Length)
		case begun && (!fromServer || r.Type == tlswire.RecordChangeCipherSpec):
			break scan
		}
	}
	if !begun {
		return math.NaN()
	}
	sum -= flight12Fixed
	if h.ServerKeyExchangeLen >= 0 {
		sum -= messageHeader + float64(h.ServerKeyExchangeLen)
	}
	return max(0, sum)
}
