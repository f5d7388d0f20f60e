package features

import (
	"fmt"
	"math"

	"trench/pkg/certificate"
	"trench/pkg/dnswire"
	"trench/pkg/flow"
	"trench/pkg/tlswire"
)

// entry is one line of the table: what a column means and what computes it.
type entry struct {
	name, unit, doc string
	value           value
}

// facts is one flow taken apart for the table.
type facts struct {
	flow   *flow.Flow
	c, s   *flow.Half
	hello  *tlswire.Handshake
	lists  *lists
	table  []float64 // n log2 n
	shape  shape
	rec    recordFacts
	bytes  byteFacts
	client clientFacts
	name   nameFacts
	server serverFacts
	chain  chainFacts
	answer answerFacts
	quic   quicFacts

	optional optionalFacts
}

// read takes f apart. hello must hold f's handshake, and answer the DNS answer that
// led to it, if there was one.
func (x *facts) read(f *flow.Flow, hello *tlswire.Handshake, quic *quicConnection, answer *dnswire.Message, cache *certificate.Cache) {
	x.flow, x.hello = f, hello
	x.c, x.s = &f.Half[flow.ClientToServer], &f.Half[flow.ServerToClient]
	x.shape.read(f.Packets)
	x.rec.read(f, hello)
	x.bytes.read(x.table, x.c, x.s)
	x.client.read(x.lists, hello)
	x.name.read(x)
	x.server.read(x.lists, f, hello)
	x.chain.read(x, cache)
	x.answer.read(f, answer, &x.name)
	x.quic.read(x, quic)
	if x.optional.wanted {
		x.optional.read(x, answer)
	}
}

func (x *facts) milliseconds() float64 {
	return float64(max(x.flow.Last-x.flow.First, 0)) / 1e6
}

// side is one direction, for columns that exist per direction.
type side struct {
	letter, who string
	d           flow.Direction
}

// table returns trench-v1 in its order. Every column stands here once, with its
// name, unit and definition next to what computes it.
func table() []entry {
	var t []entry
	add := func(name, unit, doc string, v value) { t = append(t, entry{name, unit, doc, v}) }
	sides := []side{{"c", "client", flow.ClientToServer}, {"s", "server", flow.ServerToClient}}
	half := func(x *facts, d flow.Direction) *flow.Half { return &x.flow.Half[d] }

	// fl: the flow as a whole
	add("fl_dur_log", "ln(1+ms)", "ln(1+d), d the time from the first to the last packet", func(x *facts) float64 { return math.Log1p(x.milliseconds()) })
	for _, s := range sides {
		add("fl_pk_"+s.letter, "packets", "packets from the "+s.who, func(x *facts) float64 { return float64(half(x, s.d).Packets) })
	}
	for _, s := range sides {
		add("fl_by_"+s.letter, "bytes", "bytes from the "+s.who+", counted from the IP header on", func(x *facts) float64 { return float64(half(x, s.d).Bytes) })
	}
	for _, s := range sides {
		add("fl_dpk_"+s.letter, "packets", "data packets (transport payload above 0, retransmissions left out) from the "+s.who,
			func(x *facts) float64 { return float64(half(x, s.d).DataPackets) })
	}
	add("fl_by_ratio", "ln", "ln((fl_by_c+1)/(fl_by_s+1))", func(x *facts) float64 { return logRatio(x.c.Bytes, x.s.Bytes) })
	add("fl_pk_ratio", "ln", "ln((fl_pk_c+1)/(fl_pk_s+1))", func(x *facts) float64 { return logRatio(x.c.Packets, x.s.Packets) })
	add("fl_bps_log", "ln(1+bit/s)", "ln(1+r), r the bits of both directions (from the IP header on) per second of duration; NaN when the duration is 0", func(x *facts) float64 {
		return math.Log1p(ratio(8000*(float64(x.c.Bytes)+float64(x.s.Bytes)), x.milliseconds()))
	})
	for _, s := range sides {
		add("fl_len_mean_"+s.letter, "bytes", "mean payload of all data packets from the "+s.who+"; NaN without any", func(x *facts) float64 {
			return ratio(float64(half(x, s.d).LengthSum), float64(half(x, s.d).DataPackets))
		})
	}
	for _, s := range sides {
		add("fl_len_std_"+s.letter, "bytes", "population standard deviation of the payload of all data packets from the "+s.who+"; NaN without any",
			func(x *facts) float64 { return lengthStd(half(x, s.d)) })
	}
	for _, s := range sides {
		add("fl_len_max_"+s.letter, "bytes", "largest payload of all data packets from the "+s.who+"; NaN without any", func(x *facts) float64 {
			if half(x, s.d).DataPackets == 0 {
				return math.NaN()
			}
			return float64(half(x, s.d).LengthMax)
		})
	}
	for _, p := range []struct {
		name string
		at   float64
	}{{"50", 0.5}, {"90", 0.9}} {
		add("fl_iat_rtt_p"+p.name, "RTT", "0."+p.name+"-quantile (linear between order statistics) of the times between successive listed data packets "+
			"(the first 50 of each direction, merged by time), divided by the handshake's round trip, which is taken as at least 0.1 ms; "+
			"NaN with less than two packets or an unknown round trip",
			func(x *facts) float64 { return x.perRTT(quantile(x.shape.gaps, p.at)) })
	}
	add("fl_retrans_ratio", "ratio", "retransmitted packets of both directions by data packets and retransmitted packets; NaN without any, and for other protocols than TCP",
		func(x *facts) float64 {
			const tcp = 6
			if x.flow.Protocol != tcp {
				return math.NaN()
			}
			again := float64(x.c.Retransmitted) + float64(x.s.Retransmitted)
			return ratio(again, again+float64(x.c.DataPackets)+float64(x.s.DataPackets))
		})
	add("fl_end_class", "class", "how the flow ended: 0 FIN, 1 RST, 2 idle, 3 evicted; NaN for eof, active, reuse, done", func(x *facts) float64 { return endClass(x.flow.End) })

	// sq: the sequence of packets
	const listed = "listed data packets (the first 50 of each direction, merged by time, retransmissions left out)"
	for i := range 16 {
		add(fmt.Sprintf("sq_len_%02d", i), "bytes", fmt.Sprintf("payload of packet %d (from 0) of the %s, negative from the server; NaN beyond the last", i, listed), func(x *facts) float64 {
			if i >= len(x.flow.Packets) {
				return math.NaN()
			}
			return float64(x.flow.Packets[i].Length)
		})
	}
	for i := range 16 {
		since := "the packet before"
		if i == 0 {
			since = "the flow's first packet"
		}
		add(fmt.Sprintf("sq_iat_%02d", i), "ln(1+ms)", fmt.Sprintf("ln(1+t), t the time from %s to packet %d (from 0) of the %s; NaN beyond the last", since, i, listed),
			func(x *facts) float64 { return math.Log1p(x.packetGap(i) / 1e6) })
	}

	// ml: Joy's length Markov matrix
	for i := range 10 {
		for j := range 10 {
			add(fmt.Sprintf("ml_%d_%d", i, j), "ratio", fmt.Sprintf("share of the transitions out of length bin %d that go to bin %d, over successive %s of both directions; "+
				"bin min(payload/150, 9); a single packet is a transition to its own bin; 0 in rows without transitions; NaN without data packets", i, j, listed), func(x *facts) float64 {
				if len(x.flow.Packets) == 0 {
					return math.NaN()
				}
				return x.shape.markov[i*10+j]
			})
		}
	}

	// hz: sizes
	bounds := []string{"below 16", "16 to 31", "32 to 63", "64 to 127", "128 to 255", "256 to 511", "512 to 1023", "1024 and more"}
	for _, s := range sides {
		for i, b := range bounds {
			add(fmt.Sprintf("hz_%s_%d", s.letter, i), "ratio", "share of all data packets from the "+s.who+" with a payload of "+b+" bytes; NaN without any",
				func(x *facts) float64 { return x.sizeFraction(half(x, s.d), i) })
		}
	}

	// bu: bursts
	const burst = "bursts (maximal runs of one direction in the listed data packets, the first 50 of each direction merged by time)"
	packets := func(x *facts, v float64) float64 {
		if len(x.flow.Packets) == 0 {
			return math.NaN()
		}
		return v
	}
	add("bu_n", "bursts", "number of "+burst+"; NaN without data packets", func(x *facts) float64 { return packets(x, x.shape.bursts[0]+x.shape.bursts[1]) })
	add("bu_turns", "count", "changes of direction between "+burst+"; NaN without data packets", func(x *facts) float64 { return packets(x, x.shape.bursts[0]+x.shape.bursts[1]-1) })
	for _, s := range sides {
		add("bu_by_mean_"+s.letter, "bytes", "mean payload bytes of the "+s.who+"'s "+burst+"; NaN without any", func(x *facts) float64 { return ratio(x.shape.burstBytes[s.d], x.shape.bursts[s.d]) })
	}
	for _, s := range sides {
		add("bu_by_max_"+s.letter, "bytes", "most payload bytes of one of the "+s.who+"'s "+burst+"; NaN without any", func(x *facts) float64 {
			if x.shape.bursts[s.d] == 0 {
				return math.NaN()
			}
			return x.shape.burstMax[s.d]
		})
	}
	for _, s := range sides {
		add("bu_pk_mean_"+s.letter, "packets", "mean packets of the "+s.who+"'s "+burst+"; NaN without any", func(x *facts) float64 { return ratio(x.shape.burstPackets[s.d], x.shape.bursts[s.d]) })
	}
	add("bu_gap_rtt_p50", "RTT", "median time from the last packet of one to the first of the next of the "+burst+", divided by the handshake's round trip, which is taken as at least 0.1 ms; "+
		"NaN with less than two bursts or an unknown round trip", func(x *facts) float64 { return x.perRTT(quantile(x.shape.turns, 0.5)) })
	add("bu_first_c_bytes", "bytes", "payload bytes of the client's first burst; NaN without any", func(x *facts) float64 { return x.shape.firstClient })

	// rc: TLS records
	const noRecords = "; NaN when no TLS or DTLS record was seen"
	records := func(x *facts, v float64) float64 {
		if !x.rec.any {
			return math.NaN()
		}
		return v
	}
	for _, s := range sides {
		add("rc_n_"+s.letter, "records", "TLS or DTLS records from the "+s.who+noRecords, func(x *facts) float64 { return records(x, float64(half(x, s.d).TLSRecords)) })
	}
	for _, s := range sides {
		add("rc_app_n_"+s.letter, "records", "application-data records from the "+s.who+noRecords, func(x *facts) float64 { return records(x, float64(half(x, s.d).AppRecords)) })
	}
	for _, s := range sides {
		add("rc_app_by_"+s.letter, "bytes", "body bytes of the application-data records from the "+s.who+noRecords, func(x *facts) float64 { return records(x, float64(half(x, s.d).AppBytes)) })
	}
	for _, s := range sides {
		for i := range 4 {
			add(fmt.Sprintf("rc_app_len_%s_%d", s.letter, i), "bytes", fmt.Sprintf("body length of application-data record %d (from 0) from the %s, among its first 50 records; NaN beyond the last", i, s.who),
				func(x *facts) float64 { return x.rec.first[s.d][i] })
		}
	}
	add("rc_srv_flight_est", "bytes", "estimate of the certificate bytes in the server's first flight, at least 0. TLS 1.3: body bytes of the server's application-data records between its ServerHello "+
		"and the client's first application-data record after that, less 17 a record (content type, tag) and 121 (EncryptedExtensions 6, CertificateVerify 79, Finished 36). "+
		"TLS 1.2 and before: body bytes of the server's handshake records from its first one to its ChangeCipherSpec or the client's next record, less 78 (ServerHello 74, ServerHelloDone 4) "+
		"and the ServerKeyExchange. Over the first 50 records of each direction; NaN for DTLS, whose messages have other headers, when the version is not known, no such record of the server was seen, or in TLS 1.3 none of the client after it",
		func(x *facts) float64 { return x.rec.flight })
	add("rc_alert_n", "records", "alert records of both directions, encrypted or not"+noRecords, func(x *facts) float64 { return records(x, float64(x.c.Alerts)+float64(x.s.Alerts)) })
	add("rc_ccs_n", "records", "ChangeCipherSpec records of both directions"+noRecords, func(x *facts) float64 {
		return records(x, float64(x.c.ChangeCipherSpecs)+float64(x.s.ChangeCipherSpecs))
	})
	const appRecords = "application-data records of both directions (among the first 50 records of each)"
	add("rc_len_distinct_ratio", "ratio", "different body lengths by "+appRecords+"; NaN without any", func(x *facts) float64 { return x.rec.distinct })
	add("rc_len_mode_frac", "ratio", "share of the most frequent body length in "+appRecords+"; NaN without any", func(x *facts) float64 { return x.rec.modal })
	for _, s := range sides {
		add("rc_app_len_std_"+s.letter, "bytes", "population standard deviation of the body length of application-data records from the "+s.who+" (among its first 50 records); NaN without any",
			func(x *facts) float64 { return x.rec.std[s.d] })
	}
	add("rc_len_mod16_frac", "ratio", "share of "+appRecords+" whose body length is a multiple of 16; NaN without any", func(x *facts) float64 { return x.rec.mod16 })

	// bd: bytes of application data
	const app = "the first 4,000 application-data body bytes of each direction together"
	for i := range 16 {
		add(fmt.Sprintf("bd_%02d", i), "ratio", fmt.Sprintf("share of bytes 0x%x0 to 0x%xf in %s; NaN without any", i, i, app), func(x *facts) float64 { return ratio(x.bytes.nibbles[i], x.bytes.total) })
	}
	add("bd_mean", "value", "mean value of "+app+"; NaN without any", func(x *facts) float64 { return x.bytes.mean })
	add("bd_std", "value", "population standard deviation of the values of "+app+"; NaN without any", func(x *facts) float64 { return x.bytes.std })
	add("bd_entropy", "bit/byte", "Shannon entropy of "+app+"; NaN without any", func(x *facts) float64 { return x.bytes.h })
	add("bd_chi2", "chi2", "sum over the 256 values of (n-e)^2/e, n the count in "+app+", e the 256th part of all; about 255 when evenly random; NaN without any", func(x *facts) float64 { return x.bytes.chi })

	// ch: ClientHello
	const noClient = "; NaN without a ClientHello, or when the hello was cut before this could be known"
	for i, id := range suiteIDs() {
		add(fmt.Sprintf("ch_cs_%04x", id), "bit", "1 if the client offers "+tlswire.CipherName(id)+fmt.Sprintf(" (0x%04x), else 0", id)+noClient,
			func(x *facts) float64 { return x.presence(x.client.suiteBits>>i&1 == 1, x.client.suitesWhole) })
	}
	for i, id := range extensionIDs() {
		what := fmt.Sprintf("extension %d", id)
		if id == 17513 {
			what += " or 17613 (ALPS)"
		}
		add(fmt.Sprintf("ch_ext_%d", id), "bit", "1 if the client sends "+what+", else 0"+noClient,
			func(x *facts) float64 { return x.presence(x.client.extensionBits>>i&1 == 1, x.client.extensionsWhole) })
	}
	hello := func(x *facts, v float64) float64 {
		if !x.client.seen {
			return math.NaN()
		}
		return v
	}
	add("ch_len", "bytes", "length of the ClientHello's body as declared in its header; NaN without a ClientHello", func(x *facts) float64 { return hello(x, float64(x.hello.Client.Length)) })
	const asNumber = " as a number, 769 for TLS 1.0, 771 for TLS 1.2; DTLS 1.0 as 770 and DTLS 1.2 as 771"
	add("ch_legacy_ver", "version", "client_version (legacy_version)"+asNumber+"; NaN without a ClientHello", func(x *facts) float64 {
		if x.hello.Client.Version == 0 {
			return math.NaN()
		}
		return hello(x, float64(versionNumber(x.hello.Client.Version)))
	})
	add("ch_max_ver", "version", "highest version offered in supported_versions, else client_version,"+asNumber+"; TLS 1.3, its drafts and DTLS 1.3 as 772; GREASE left out"+noClient, func(x *facts) float64 {
		v := versionNumber(x.hello.Client.MaxVersion())
		if v == tlswire.VersionTLS13 { // nothing that was cut could be higher
			return hello(x, float64(v))
		}
		return x.extension(float64(v))
	})
	add("ch_n_cs", "suites", "suites offered, GREASE left out, signalling values (SCSV) included"+noClient, func(x *facts) float64 { return x.suite(x.client.suites) })
	add("ch_n_ext", "extensions", "extensions sent, GREASE left out"+noClient, func(x *facts) float64 { return x.extension(x.client.extensions) })
	add("ch_n_groups", "groups", "supported groups, GREASE left out, 0 without the extension"+noClient, func(x *facts) float64 { return x.within(10, x.client.groups) })
	add("ch_n_sigalgs", "algorithms", "signature algorithms, GREASE left out, 0 without the extension"+noClient, func(x *facts) float64 { return x.within(13, x.client.signatures) })
	add("ch_n_alpn", "protocols", "protocols offered by ALPN, GREASE left out, 0 without the extension"+noClient, func(x *facts) float64 { return x.within(16, x.client.alpn) })
	add("ch_alpn_class", "class", "class of the first protocol offered by ALPN, GREASE left out: 0 none, 1 HTTP/1, 2 HTTP/2, 3 HTTP/3, 4 SPDY and early gRPC, 5 mail, news and FTP, 6 STUN and WebRTC, 7 other known, 9 unknown"+noClient,
		func(x *facts) float64 { return x.within(16, x.client.alpnClass) })
	add("ch_sid_len", "bytes", "length of the session id; NaN without a ClientHello, or when it was cut before the suites", func(x *facts) float64 {
		if len(x.hello.Client.CipherSuites) == 0 {
			return x.suite(float64(len(x.hello.Client.SessionID)))
		}
		return hello(x, float64(len(x.hello.Client.SessionID)))
	})
	add("ch_grease", "bit", "1 if a suite, extension, group, key share, version, signature algorithm or ALPN protocol is GREASE (RFC 8701), else 0"+noClient,
		func(x *facts) float64 { return x.presence(x.client.grease, x.client.extensionsWhole) })
	add("ch_n_weak_cs", "suites", "suites offered without encryption or authentication, of export strength, with RC4, RC2, DES, 3DES, IDEA or an MD5 MAC"+noClient, func(x *facts) float64 { return x.suite(x.client.weak) })
	add("ch_frac_aead", "ratio", "share of suites with authenticated encryption in those offered, GREASE and signalling values left out; NaN without any"+noClient, func(x *facts) float64 { return x.suite(ratio(x.client.aead, x.client.real)) })
	add("ch_frac_pfs", "ratio", "share of suites with ephemeral key exchange (all of TLS 1.3 included) in those offered, GREASE and signalling values left out; NaN without any"+noClient, func(x *facts) float64 { return x.suite(ratio(x.client.pfs, x.client.real)) })
	add("ch_n_keyshares", "shares", "key shares, GREASE left out, 0 without the extension"+noClient, func(x *facts) float64 { return x.within(51, x.client.shares) })
	add("ch_keyshare_bytes", "bytes", "bytes of all key exchanges in key_share, GREASE left out, 0 without the extension"+noClient, func(x *facts) float64 { return x.within(51, x.client.bytes) })
	add("ch_pq_hybrid", "bit", "1 if a post-quantum hybrid is among the groups or key shares, else 0"+noClient, func(x *facts) float64 { return x.presence(x.client.hybrid, x.client.extensionsWhole) })
	add("ch_ext_unknown_n", "extensions", "extensions sent that are neither registered nor in known use, GREASE left out"+noClient, func(x *facts) float64 { return x.extension(x.client.unknown) })
	add("ch_padding_len", "bytes", "length of the padding extension; NaN without it", func(x *facts) float64 {
		if x.hello.Client.PaddingLen < 0 {
			return math.NaN()
		}
		return x.within(21, float64(x.hello.Client.PaddingLen))
	})
	add("ch_scsv", "bit", "1 if a signalling value (renegotiation info 0x00ff, fallback 0x5600) is among the suites, else 0"+noClient, func(x *facts) float64 { return x.presence(x.client.scsv, x.client.suitesWhole) })

	// sh: ServerHello and what follows it in clear
	const noServer = "; NaN without a ServerHello"
	const only12 = "; NaN in TLS 1.3, without a ServerHello, "
	add("sh_seen", "bit", "1 if a ServerHello was seen, 0 if a ClientHello and packets of the server but no ServerHello; else NaN", func(x *facts) float64 {
		if !x.server.observable {
			return math.NaN()
		}
		return bit(x.server.seen)
	})
	add("sh_ver", "version", "negotiated version"+asNumber+", 772 for TLS 1.3, its drafts and DTLS 1.3; NaN without a ServerHello, or when it was cut before this could be known", func(x *facts) float64 { return x.server.version })
	add("sh_cs_class", "class", "class of the selected suite: 0 unknown, 1 without encryption or authentication or of export strength, 2 RC4, RC2, DES, 3DES, IDEA or an MD5 MAC, "+
		"3 others with SHA-1, 4 others with SHA-2, 5 authenticated encryption with long-lived keys, 6 the same with ephemeral keys, 7 TLS 1.3"+noServer,
		func(x *facts) float64 { return x.chosenSuite(float64(x.server.suite >> suiteClassShift & 0xf)) })
	add("sh_cs_aead", "bit", "1 if the selected suite has authenticated encryption, else 0"+noServer, func(x *facts) float64 { return x.chosenSuite(bit(x.server.suite&suiteAEAD != 0)) })
	add("sh_cs_pfs", "bit", "1 if the selected suite has ephemeral key exchange (all of TLS 1.3 included), else 0"+noServer, func(x *facts) float64 { return x.chosenSuite(bit(x.server.suite&suitePFS != 0)) })
	add("sh_cs_weak", "bit", "1 if the selected suite is of class 1 or 2, else 0"+noServer, func(x *facts) float64 { return x.chosenSuite(bit(x.server.suite&suiteWeak != 0)) })
	add("sh_n_ext", "extensions", "extensions of the ServerHello; NaN without a ServerHello or when it was cut", func(x *facts) float64 {
		if !x.server.whole {
			return math.NaN()
		}
		return float64(len(x.hello.Server.Extensions))
	})
	add("sh_alpn_class", "class", "class of the protocol selected by ALPN, as in ch_alpn_class"+only12+"or when it was cut", func(x *facts) float64 {
		if !x.server.whole {
			return math.NaN()
		}
		return x.before13(x.lists.alpnClass(x.hello.Server.ALPN))
	})
	add("sh_group_class", "class", "class of the server's key share (TLS 1.3) or of the group of its ServerKeyExchange: 1 X25519, X448, 2 NIST prime curves from 224 bits, 3 finite field, 4 post-quantum hybrid, 5 post-quantum alone, "+
		"6 other curves, 9 unknown; NaN when neither was seen", (*facts).chosenGroup)
	add("sh_keyshare_len", "bytes", "length of the key exchange in the server's key share; NaN without one, or when the ServerHello was cut", func(x *facts) float64 {
		if !x.server.whole || x.hello.Server.KeyShare.Group == 0 {
			return math.NaN()
		}
		return float64(x.hello.Server.KeyShare.Length)
	})
	add("sh_hrr", "bit", "1 if the server sent a HelloRetryRequest, 0 if a ServerHello without one before it; else NaN", func(x *facts) float64 {
		if x.hello.HelloRetry {
			return 1
		}
		return x.chosenSuite(0) // a hello that was cut before its suite may be a HelloRetryRequest
	})
	add("sh_resumed", "bit", "1 if the handshake resumes a session. TLS 1.3: the server selects a pre-shared key. TLS 1.2 and before: no Certificate, ServerKeyExchange, ServerHelloDone or ClientKeyExchange was seen, and the server "+
		"either returns the session id that the client offered or goes on to ChangeCipherSpec after the client sent a ticket. 0 if one of these messages was seen, or no key was selected; NaN when undecided",
		func(x *facts) float64 { return x.server.resumed })
	add("sh_ticket", "bit", "1 if the server issues a session ticket in clear, 0 if it reached ChangeCipherSpec without"+only12+"or when neither was seen", (*facts).ticket)
	add("sh_ocsp_staple", "bit", "1 if the server sent CertificateStatus, 0 if its flight was seen to the end without"+only12+"or when neither was seen", func(x *facts) float64 { return x.sent(x.hello.OCSPStaple) })
	add("sh_ske_len", "bytes", "length of the ServerKeyExchange, 0 if the server's flight was seen to the end without"+only12+"or when neither was seen", func(x *facts) float64 {
		if x.hello.ServerKeyExchangeLen >= 0 {
			return x.before13(float64(x.hello.ServerKeyExchangeLen))
		}
		return x.sent(false)
	})
	add("sh_cke_bits", "bits", "8 times the length of the ClientKeyExchange's body with its length prefix, 0 when that is above 8192 (Joy's c_key_length)"+only12+"or a ClientKeyExchange", func(x *facts) float64 {
		n := clientKeyBits(x.hello)
		if n < 0 {
			return math.NaN()
		}
		return x.before13(float64(n))
	})
	add("sh_alert_level", "class", "highest level of an alert in clear from either side: 0 none, 1 warning, 2 fatal; NaN without any hello", func(x *facts) float64 { return x.server.alert })
	add("sh_hs_complete", "bit", "1 if the handshake was completed: both sides sent Finished after ChangeCipherSpec (TLS 1.2 and before) or application data (TLS 1.3), in QUIC packets with a short header; else 0; NaN where sh_seen is",
		func(x *facts) float64 {
			if !x.server.observable {
				return math.NaN()
			}
			return bit(x.server.established)
		})
	add("sh_hs_rounds", "flights", "maximal runs of one direction in the handshake and ChangeCipherSpec records, application data and alerts left out (the first 50 records of each direction merged by time); NaN without any",
		func(x *facts) float64 { return x.rec.flights })
	add("sh_cert_req", "bit", "1 if the server asked for a client certificate in clear, 0 if its flight was seen to the end without"+only12+"or when neither was seen", func(x *facts) float64 { return x.sent(x.hello.CertificateRequest) })

	// ct: certificates
	const noChain = "; NaN unless ct_seen is 1"
	const unread = noChain + " and it could be read"
	chain := func(x *facts, v float64) float64 {
		if !x.chain.whole {
			return math.NaN()
		}
		return v
	}
	type cert = certificate.Certificate
	leaf := func(name, unit, doc string, parts certificate.Part, v func(x *facts, c *cert) float64) {
		add(name, unit, doc+unread, func(x *facts) float64 {
			if x.chain.leaf == nil || !x.chain.leaf.Has(parts) {
				return math.NaN()
			}
			return v(x, x.chain.leaf)
		})
	}
	days := func(x *facts, c *cert) (age, remain float64) {
		return (float64(x.flow.First) - float64(c.NotBefore)*1e9) / day, (float64(c.NotAfter)*1e9 - float64(x.flow.First)) / day
	}
	add("ct_seen", "bit", "1 if the server's certificates were seen, 0 for a full handshake of TLS 1.2 or before without any; NaN in TLS 1.3, when resumed or not observed", func(x *facts) float64 { return x.chain.seen })
	add("ct_chain_n", "certificates", "certificates in the server's chain"+noChain+", or when the chain was cut", func(x *facts) float64 { return chain(x, float64(len(x.chain.certs))) })
	add("ct_chain_bytes", "bytes", "bytes of all certificates in the chain"+noChain+", or when the chain was cut", func(x *facts) float64 { return chain(x, x.chain.bytes) })
	leaf("ct_leaf_bytes", "bytes", "bytes of the leaf, the first certificate", 0, func(_ *facts, c *cert) float64 { return float64(c.Length) })
	leaf("ct_valid_days", "days", "time from the leaf's notBefore to its notAfter", certificate.PartNotBefore|certificate.PartNotAfter, func(_ *facts, c *cert) float64 {
		return float64(c.NotAfter-c.NotBefore) / 86400
	})
	leaf("ct_age_days", "days", "time from the leaf's notBefore to the flow's first packet, negative before it", certificate.PartNotBefore, func(x *facts, c *cert) float64 {
		age, _ := days(x, c)
		return age
	})
	leaf("ct_remain_days", "days", "time from the flow's first packet to the leaf's notAfter, negative after it", certificate.PartNotAfter, func(x *facts, c *cert) float64 {
		_, remain := days(x, c)
		return remain
	})
	leaf("ct_expired", "bit", "1 if the flow's first packet is later than the leaf's notAfter, else 0", certificate.PartNotAfter, func(x *facts, c *cert) float64 {
		_, remain := days(x, c)
		return bit(remain < 0)
	})
	leaf("ct_self_signed", "bit", "1 if the leaf's issuer and subject are the same bytes, else 0", certificate.PartIssuer|certificate.PartSubject, func(_ *facts, c *cert) float64 { return bit(c.SelfSigned) })
	leaf("ct_ca_flag", "bit", "1 if the leaf's basic constraints say CA, else 0", certificate.PartExtensions, func(_ *facts, c *cert) float64 { return bit(c.CA) })
	leaf("ct_san_n", "names", "alternative names of the leaf: DNS names, addresses, e-mail addresses and URIs", certificate.PartExtensions, func(_ *facts, c *cert) float64 { return float64(len(c.SANs)) })
	leaf("ct_san_wild_n", "names", "DNS names among the leaf's alternative names that begin with *.", certificate.PartExtensions, func(_ *facts, c *cert) float64 { return wildcards(c) })
	add("ct_sni_match", "bit", "1 if the leaf is for the client's SNI: one of its DNS names (a wildcard stands for exactly the first label) or addresses, or the common name if there are none of these; else 0; NaN without SNI"+unread,
		func(x *facts) float64 { return x.chain.match })
	leaf("ct_subj_rdn_n", "RDNs", "relative distinguished names in the leaf's subject", certificate.PartSubject, func(_ *facts, c *cert) float64 { return float64(c.SubjectRDNs) })
	leaf("ct_issuer_rdn_n", "RDNs", "relative distinguished names in the leaf's issuer", certificate.PartIssuer, func(_ *facts, c *cert) float64 { return float64(c.IssuerRDNs) })
	leaf("ct_cn_len", "bytes", "length of the last common name in the leaf's subject; NaN without one", certificate.PartSubject, func(_ *facts, c *cert) float64 {
		if !c.HasCommonName {
			return math.NaN()
		}
		return float64(len(c.CommonName))
	})
	add("ct_cn_is_ip", "bit", "1 if that common name is an IP address, else 0; NaN without one"+unread, func(x *facts) float64 { return x.chain.isIP })
	add("ct_cn_entropy", "bit/byte", "Shannon entropy of that common name's bytes; NaN without one or when it is empty"+unread, func(x *facts) float64 { return x.chain.entropy })
	leaf("ct_key_type", "class", "the leaf's key: 0 unknown, 1 RSA, 2 ECDSA, 3 Ed25519, Ed448, X25519, X448, 4 DSA and DH, 5 GOST, 6 ML-DSA", certificate.PartKey, func(x *facts, c *cert) float64 { return float64(x.lists.keys[c.KeyType]) })
	leaf("ct_key_bits", "bits", "size of the leaf's key: RSA modulus, DSA or DH prime, curve; NaN when not known", certificate.PartKey, func(_ *facts, c *cert) float64 {
		if c.KeyBits == 0 {
			return math.NaN()
		}
		return float64(c.KeyBits)
	})
	leaf("ct_sig_weak", "bit", "1 if the leaf is signed with MD2, MD4, MD5 or SHA-1, else 0", certificate.PartSignature, func(_ *facts, c *cert) float64 { return bit(c.SignatureWeak) })
	leaf("ct_sct_n", "timestamps", "signed certificate timestamps embedded in the leaf", certificate.PartExtensions, func(_ *facts, c *cert) float64 { return float64(c.SCTs) })

	// sn: the letters of the SNI
	const noName = "; NaN without SNI, or when it was cut"
	const lower = " of the name (in lower case, without a final dot)"
	add("sn_present", "bit", "1 if the ClientHello has a server name (SNI), else 0; NaN without a ClientHello, or when it was cut before this could be known", func(x *facts) float64 { return x.name.present })
	add("sn_is_ip", "bit", "1 if the SNI is an IP address, else 0"+noName, func(x *facts) float64 { return x.name.isIP })
	add("sn_len", "bytes", "length"+lower+noName, func(x *facts) float64 {
		if !x.name.whole {
			return math.NaN()
		}
		return float64(len(x.name.text))
	})
	add("sn_labels", "labels", "labels that are not empty"+lower+noName, func(x *facts) float64 { return x.name.labels })
	add("sn_maxlabel_len", "bytes", "length of the longest label"+lower+noName, func(x *facts) float64 { return x.name.longest })
	add("sn_digit_ratio", "ratio", "share of digits in the bytes"+lower+"; NaN when it is empty"+noName, func(x *facts) float64 { return x.name.digits })
	add("sn_hyphen_n", "count", "hyphens"+lower+noName, func(x *facts) float64 { return x.name.hyphens })
	add("sn_entropy", "bit/byte", "Shannon entropy of the bytes"+lower+"; NaN when it is empty"+noName, func(x *facts) float64 { return x.name.entropy })
	add("sn_vowel_ratio", "ratio", "share of a, e, i, o, u in the letters a to z"+lower+"; NaN without letters"+noName, func(x *facts) float64 { return x.name.vowels })
	add("sn_max_cons_run", "letters", "longest run of letters a to z without a, e, i, o, u"+lower+noName, func(x *facts) float64 { return x.name.consonants })
	add("sn_bigram_ll", "log2", "mean base-2 logarithm of the probability (as in English words) of each letter, digit or hyphen given the one before it, inside the labels"+lower+
		" but the last of several; NaN without such pairs, and for addresses"+noName, func(x *facts) float64 { return x.name.bigrams })
	add("sn_punycode", "bit", "1 if a label begins with xn--, else 0"+noName, func(x *facts) float64 { return x.name.punycode })
	add("sn_tld_class", "class", "class of the top-level domain: 0 none (an address or a single label), 1 the old generic ones, 2 other country codes, 3 cheap and often abused, 4 other, 5 special use (local, onion, …)"+noName,
		func(x *facts) float64 { return x.name.tld })
	add("sn_dyndns", "bit", "1 if the name is, or lies under, a domain of a dynamic-DNS service, else 0"+noName, func(x *facts) float64 { return x.name.dynamic })

	// dn: the DNS answer that led here
	const answer = "the last DNS answer to the same client that gave the server's address, at most 5 minutes before the flow"
	const noAnswer = "; NaN without " + answer
	add("dn_seen", "bit", "1 if there was such an answer: "+answer+"; 0 if none although DNS of the client was seen; else NaN", func(x *facts) float64 { return x.answer.seen })
	add("dn_age_s", "s", "time from the answer to the flow's first packet"+noAnswer, func(x *facts) float64 { return x.answer.age })
	add("dn_name_eq_sni", "bit", "1 if the name asked for is the SNI (in lower case, without a final dot), else 0; NaN without SNI"+noAnswer, func(x *facts) float64 { return x.answer.nameIsSNI })
	add("dn_n_a", "records", "A records in the answer"+noAnswer, func(x *facts) float64 { return x.answer.a })
	add("dn_n_aaaa", "records", "AAAA records in the answer"+noAnswer, func(x *facts) float64 { return x.answer.aaaa })
	add("dn_cname_depth", "records", "CNAME records from the name asked for to the server's address"+noAnswer, func(x *facts) float64 { return x.answer.depth })
	add("dn_ttl_min", "s", "smallest time to live of the A and AAAA records"+noAnswer, func(x *facts) float64 { return x.answer.ttlMin })
	add("dn_ttl_max", "s", "largest time to live of the A and AAAA records"+noAnswer, func(x *facts) float64 { return x.answer.ttlMax })
	add("dn_name_len", "bytes", "length of the name asked for, without a final dot"+noAnswer, func(x *facts) float64 { return x.answer.length })
	add("dn_digit_n", "count", "digits in the name asked for"+noAnswer, func(x *facts) float64 { return x.answer.digits })
	add("dn_nonalnum_n", "count", "characters other than letters and digits in the name asked for"+noAnswer, func(x *facts) float64 { return x.answer.others })
	add("dn_nx_rate_5m", "ratio", "share of NXDOMAIN in the DNS answers to the client in the 5 minutes before the flow; NaN without any", func(x *facts) float64 { return x.answer.missing })

	// qu: QUIC
	const noVersion = "; NaN when the flow is not QUIC, or no packet names its version"
	const noInitial = "; NaN when the flow is not QUIC, or without an Initial packet of the client"
	add("qu_is_quic", "bit", "1 if the flow is QUIC, 0 if it is TLS over TCP or DTLS", func(x *facts) float64 { return x.quic.is })
	add("qu_version_class", "class", "version: 1 QUIC version 1, 2 version 2, 3 IETF drafts, 4 Google's, 9 other"+noVersion, func(x *facts) float64 { return x.quic.version })
	add("qu_dcid_len", "bytes", "length of the destination connection id in the client's first Initial"+noInitial, func(x *facts) float64 { return x.quic.dcid })
	add("qu_scid_len", "bytes", "length of the source connection id in the client's first Initial"+noInitial, func(x *facts) float64 { return x.quic.scid })
	add("qu_token_len", "bytes", "length of the longest token in an Initial of the client"+noInitial, func(x *facts) float64 { return x.quic.token })
	add("qu_retry", "bit", "1 if the server sent a Retry, else 0"+noInitial, func(x *facts) float64 { return x.quic.retry })
	add("qu_zero_rtt", "bit", "1 if the client sent 0-RTT packets, else 0"+noInitial, func(x *facts) float64 { return x.quic.zeroRTT })
	add("qu_tp_n", "parameters", "transport parameters of the client, GREASE left out; NaN without a whole ClientHello that has them", func(x *facts) float64 { return x.quic.parameters })
	return t
}
