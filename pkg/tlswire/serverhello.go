package tlswire

// retryRandom marks a ServerHello as a HelloRetryRequest (RFC 8446 section 4.1.3): the
// SHA-256 of "HelloRetryRequest".
const retryRandom = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" +
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

func (h *ServerHello) reset() {
	*h = ServerHello{Extensions: h.Extensions[:0], PSKIdentity: -1, RenegotiationInfoLen: -1}
}

// IsRetry reports whether the message is a HelloRetryRequest.
func (h *ServerHello) IsRetry() bool { return string(h.Random[:]) == retryRandom }

// Parse reads the body of a ServerHello message into h, whose slices it reuses
// and whose byte slices alias body. It reports whether the hello was whole and
// well formed; if not, h holds what was read before and around the damage.
func (h *ServerHello) Parse(body []byte) bool {
	h.reset()
	r := reader{b: body}
	h.Version = r.u16()
	h.SelectedVersion = h.Version
	h.Incomplete = copy(h.Random[:], r.bytes(len(h.Random))) < len(h.Random)
	early := isEarlyDraft(h.Version, r.b)
	if !early {
		h.SessionID = r.vec8()
	}
	h.CipherSuite = r.u16()
	if !early {
		h.Compression = r.u8()
	}
	if r.bad {
		h.Incomplete = true
		return false
	}
	if r.empty() {
		return !h.Incomplete
	}
	block := r.vec16()
	if r.bad || !r.empty() {
		h.Incomplete = true
	}
	var whole bool
	if h.Extensions, whole = extensions(h.Extensions, block, h.extension); !whole {
		h.Incomplete = true
	}
	return !h.Incomplete
}

// isEarlyDraft reports whether a ServerHello goes on, after the random, with
// the cipher suite, as in drafts 18 to 21 of TLS 1.3, which name themselves,
// and in earlier ones, which call themselves 1.3 as nobody else does in this
// place: then the length of the extensions must fit.
func isEarlyDraft(version uint16, rest []byte) bool {
	if version == VersionTLS13 {
		return len(rest) >= 4 && 4+int(rest[2])<<8+int(rest[3]) == len(rest)
	}
	return version >= 0x7f00 && version < 0x7f16
}

// extension reads one extension and reports whether it was well formed.
func (h *ServerHello) extension(typ uint16, body []byte) bool {
	r := reader{b: body}
	switch typ {
	case ExtensionStatusRequest:
		h.StatusRequest = true
		return true
	case ExtensionALPN:
		list := reader{b: r.vec16()}
		h.ALPN = list.vec8()
		return !list.bad && list.empty() && !r.bad && r.empty()
	case ExtensionSessionTicket:
		h.SessionTicket = true
		return true
	case ExtensionPreSharedKey:
		h.PSK = true
		if v := r.u16(); !r.bad {
			h.PSKIdentity = int(v)
		}
		return true
	case ExtensionSupportedVersions:
		v := r.u16()
		if r.bad {
			return false
		}
		h.SelectedVersion = v
		return r.empty()
	case ExtensionKeyShare:
		var whole bool
		h.KeyShare, whole = serverShare(r)
		return whole
	case ExtensionKeyShareDraft:
		if share, whole := serverShare(r); whole && h.KeyShare.Group == 0 {
			h.KeyShare = share
		}
	case ExtensionRenegotiationInfo:
		h.RenegotiationInfoLen = len(r.vec8())
	case ExtensionMaxFragmentLength:
		h.MaxFragmentLength = r.u8()
	case ExtensionRecordSizeLimit:
		h.RecordSizeLimit = r.u16()
	case ExtensionHeartbeat:
		h.Heartbeat = r.u8()
	}
	return true
}

// serverShare reads the key_share of a ServerHello, or of a HelloRetryRequest,
// which names the group only.
func serverShare(r reader) (s KeyShare, whole bool) {
	s.Group = r.u16()
	if r.empty() {
		return s, !r.bad
	}
	s.Length = len(r.vec16())
	return s, !r.bad && r.empty()
}

// HasExtension reports whether the hello carries an extension of that type.
func (h *ServerHello) HasExtension(typ uint16) bool { return contains(h.Extensions, typ) }

// parseDraftRetry reads the HelloRetryRequest of drafts up to 21 of TLS 1.3, a
// message of its own type: version 2 | cipher suite 2 | extensions <2>, before
// draft 19 without the suite.
func (h *ServerHello) parseDraftRetry(body []byte) bool {
	h.reset()
	r := reader{b: body}
	h.Version = r.u16()
	h.SelectedVersion = h.Version
	if len(r.b) >= 2 && int(r.b[0])<<8|int(r.b[1]) != len(r.b)-2 {
		h.CipherSuite = r.u16()
	}
	var whole bool
	h.Extensions, whole = extensions(h.Extensions, r.vec16(), h.extension)
	h.Incomplete = r.bad || !r.empty() || !whole
	return !h.Incomplete
}
