package model

import "math"

// technique is the ATT&CK technique that a reason code is evidence for, with
// what the row must show for it; without an id, none fits without a stretch.
type technique struct {
	id   string
	fits func(e *evidence) bool // nil means always
}

// evidence is what a technique may ask of a row.
type evidence struct {
	feature   string // the column that contributes most
	value     float64
	reference reference
	observed  func(name string) float64 // any column of the vector, NaN when missing
}

// above and below report whether the value lies beyond what is usual in benign traffic.
func (e *evidence) above() bool {
	_, hi, known := e.reference.usual()
	return known && e.value > hi+rounding*math.Abs(hi)
}

func (e *evidence) below() bool {
	lo, _, known := e.reference.usual()
	return known && e.value < lo-rounding*math.Abs(lo)
}

func unusual(e *evidence) bool { return e.above() || e.below() }

// web is unusual traffic of what calls itself HTTP: the protocol that the
// server chose (ALPN), else the client's first.
func web(e *evidence) bool {
	alpn := e.observed("sh_alpn_class")
	if !(alpn > 0) {
		alpn = e.observed("ch_alpn_class")
	}
	return alpn >= 1 && alpn <= 3 && unusual(e)
}

// generated is a name that looks less like words than benign ones.
func generated(e *evidence) bool {
	switch e.feature {
	case "sn_digit_ratio", "sn_entropy", "sn_max_cons_run":
		return e.above()
	case "sn_vowel_ratio", "sn_bigram_ll":
		return e.below()
	}
	return false
}

// upload is more data from the client than is usual, and more than it gets.
func upload(e *evidence) bool {
	return (e.feature == "fl_by_c" || e.feature == "rc_app_by_c") && e.above() && e.observed("fl_by_c") > e.observed("fl_by_s")
}

// codes lists every reason code.
func codes() map[string]technique {
	none := technique{}
	// Encrypted Channel: Asymmetric Cryptography. Every TLS flow is one; a hello unlike
	// those of benign clients says that it is not one of theirs.
	hello := technique{"T1573.002", unusual}
	// Application Layer Protocol: Web Protocols.
	webTraffic := technique{"T1071.001", web}
	return map[string]technique{
		"sni-absent":              none,
		"sni-address":             none,
		"sni-shape":               none,
		"sni-randomness":          {"T1568.002", generated}, // Dynamic Resolution: Domain Generation Algorithms
		"sni-dynamic-dns":         {"T1568", nil},           // Dynamic Resolution
		"client-suites":           hello,
		"client-extensions":       hello,
		"client-hello-shape":      hello,
		"server-hello":            none,
		"handshake":               none,
		"tls-alerts":              none,
		"certificate-self-signed": {"T1587.003", nil}, // Develop Capabilities: Digital Certificates
		"certificate-age":         none,
		"certificate-name":        none,
		"certificate-shape":       none,
		"certificate-absent":      none,
		"record-lengths":          webTraffic,
		"record-counts":           webTraffic,
		"packet-lengths":          webTraffic,
		"length-transitions":      webTraffic,
		"bursts":                  webTraffic,
		"byte-distribution":       none,
		"volume":                  {"T1041", upload}, // Exfiltration Over C2 Channel
		"duration":                none,
		"timing":                  none,
		"retransmissions":         none,
		"flow-end":                none,
		"dns-answer":              none,
		"dns-failures":            {"T1568.002", (*evidence).above},
		"quic":                    none,
		"other":                   none,
	}
}
