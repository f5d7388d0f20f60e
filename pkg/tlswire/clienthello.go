package tlswire

// Extension types that are looked into (IANA TLS ExtensionType Values).
const (
	extServerName          = 0
	extStatusRequest       = 5
	extSupportedGroups     = 10
	extPointFormats        = 11
	extSignatureAlgorithms = 13
	extALPN                = 16
	extPadding             = 21
	extSessionTicket       = 35
	extPreSharedKey        = 41
	extEarlyData           = 42
	extSupportedVersions   = 43
	extPSKModes            = 45
	extKeyShare            = 51
	extECH                 = 65037
)

func (h *ClientHello) reset() {
	*h = ClientHello{
		CipherSuites:      h.CipherSuites[:0],
		Extensions:        h.Extensions[:0],
		ALPN:              h.ALPN[:0],
		Groups:            h.Groups[:0],
		SignatureAlgs:     h.SignatureAlgs[:0],
		SupportedVersions: h.SupportedVersions[:0],
		KeyShares:         h.KeyShares[:0],
		PaddingLen:        -1,
		SessionTicketLen:  -1,
	}
}

// Parse reads the body of a ClientHello message into h, whose slices it reuses
// and whose byte slices alias body. It reports whether the hello was whole and
// well formed; if not, h holds what was read before and around the damage. Of
// an extension that occurs twice the first is read.
func (h *ClientHello) Parse(body []byte) bool {
	h.reset()
	h.Length = len(body)
	r := reader{b: body}
	h.Version = r.u16()
	h.Incomplete = copy(h.Random[:], r.bytes(len(h.Random))) < len(h.Random)
	h.SessionID = r.vec8()
	var whole bool
	h.CipherSuites, whole = appendUint16s(h.CipherSuites, r.vec16())
	h.Incomplete = h.Incomplete || !whole
	h.Compression = r.vec8()
	if r.bad {
		h.Incomplete = true
		return false
	}
	if r.empty() { // SSL 3.0 and early TLS end here
		return !h.Incomplete
	}
	h.HasExtensions = true
	block := r.vec16()
	if r.bad || !r.empty() {
		h.Incomplete = true
	}
	if h.Extensions, whole = extensions(h.Extensions, block, h.extension); !whole {
		h.Incomplete = true
	}
	return !h.Incomplete
}

// extension reads one extension and reports whether it was well formed.
func (h *ClientHello) extension(typ uint16, body []byte) bool {
	r := reader{b: body}
	whole := true
	switch typ {
	case extServerName:
		return h.serverName(r)
	case extSupportedGroups:
		h.Groups, whole = appendUint16s(h.Groups, r.vec16())
	case extPointFormats:
		h.PointFormats = r.vec8()
	case extSignatureAlgorithms:
		h.SignatureAlgs, whole = appendUint16s(h.SignatureAlgs, r.vec16())
	case extALPN:
		list := reader{b: r.vec16()}
		for !list.empty() && len(h.ALPN) < maxEntries {
			h.ALPN = append(h.ALPN, list.vec8())
		}
		whole = !list.bad && list.empty()
	case extPadding:
		h.PaddingLen = len(body)
		return true
	case extSessionTicket:
		h.SessionTicketLen = len(body)
		return true
	case extPreSharedKey:
		h.PSK = true
		return true
	case extEarlyData:
		h.EarlyData = true
		return true
	case extSupportedVersions:
		h.SupportedVersions, whole = appendUint16s(h.SupportedVersions, r.vec8())
	case extPSKModes:
		h.PSKModes = r.vec8()
	case extKeyShare:
		list := reader{b: r.vec16()}
		for !list.empty() && len(h.KeyShares) < maxEntries {
			group := list.u16()
			n := list.u16()
			if list.bad {
				break
			}
			list.bytes(int(n))
			h.KeyShares = append(h.KeyShares, KeyShare{Group: group, Length: int(n)})
		}
		whole = !list.bad && list.empty()
	case extECH:
		h.ECH = true
		return true
	default:
		return true
	}
	return whole && !r.bad && r.empty()
}

// serverName keeps the first host name of the list (RFC 6066 section 3).
func (h *ClientHello) serverName(r reader) bool {
	if r.empty() {
		return false
	}
	list := reader{b: r.vec16()}
	for !list.empty() {
		kind := list.u8()
		name := list.vec16()
		if kind == 0 && h.SNI == nil {
			h.SNI = name
		}
	}
	return !list.bad && !r.bad && r.empty()
}

// HasExtension reports whether the hello carries an extension of that type.
func (h *ClientHello) HasExtension(typ uint16) bool { return contains(h.Extensions, typ) }

// MaxVersion returns the highest version the client offers: of
// supported_versions without GREASE if that extension names any, else the
// legacy version. A draft of TLS 1.3 ranks below TLS 1.3 itself.
func (h *ClientHello) MaxVersion() uint16 {
	var best uint16
	for _, v := range h.SupportedVersions {
		if !IsGREASE(v) && (best == 0 || versionRank(v) > versionRank(best)) {
			best = v
		}
	}
	if best == 0 {
		return h.Version
	}
	return best
}

func contains(list []uint16, v uint16) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}
