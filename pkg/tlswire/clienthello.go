package tlswire

func (h *ClientHello) reset() {
	*h = ClientHello{
		CipherSuites:         h.CipherSuites[:0],
		Extensions:           h.Extensions[:0],
		ALPN:                 h.ALPN[:0],
		Groups:               h.Groups[:0],
		SignatureAlgs:        h.SignatureAlgs[:0],
		SupportedVersions:    h.SupportedVersions[:0],
		KeyShares:            h.KeyShares[:0],
		SignatureAlgsCert:    h.SignatureAlgsCert[:0],
		DelegatedCredentials: h.DelegatedCredentials[:0],
		CertCompression:      h.CertCompression[:0],
		ALPS:                 h.ALPS[:0],
		PaddingLen:           -1,
		SessionTicketLen:     -1,
		CookieLen:            -1,
		RetryCookieLen:       -1,
		RenegotiationInfoLen: -1,
		TrustAnchors:         -1,
	}
}

// Parse reads the body of a ClientHello message into h, whose slices it reuses
// and whose byte slices alias body. It reports whether the hello was whole and
// well formed; if not, h holds what was read before and around the damage. Of
// an extension that occurs twice the first is read.
func (h *ClientHello) Parse(body []byte) bool { return h.parse(body, false) }

// parse is Parse, and for the ClientHello of DTLS, which has a cookie behind the
// session id.
func (h *ClientHello) parse(body []byte, dtls bool) bool {
	h.reset()
	h.Length = len(body)
	r := reader{b: body}
	h.Version = r.u16()
	h.Incomplete = copy(h.Random[:], r.bytes(len(h.Random))) < len(h.Random)
	h.SessionID = r.vec8()
	if dtls {
		h.CookieLen = len(r.vec8())
	}
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
	case ExtensionServerName:
		return h.serverName(r)
	case ExtensionSupportedGroups:
		h.Groups, whole = appendUint16s(h.Groups, r.vec16())
	case ExtensionPointFormats:
		h.PointFormats = r.vec8()
	case ExtensionSignatureAlgorithms:
		h.SignatureAlgs, whole = appendUint16s(h.SignatureAlgs, r.vec16())
	case ExtensionALPN:
		h.ALPN, whole = appendStrings(h.ALPN, r.vec16())
	case ExtensionPadding:
		h.PaddingLen = len(body)
		return true
	case ExtensionSessionTicket:
		h.SessionTicketLen = len(body)
		return true
	case ExtensionEarlyData:
		h.EarlyData = true
		return true
	case ExtensionSupportedVersions:
		h.SupportedVersions, whole = appendUint16s(h.SupportedVersions, r.vec8())
	case ExtensionPSKModes:
		h.PSKModes = r.vec8()
	case ExtensionKeyShare:
		h.KeyShares, whole = keyShares(h.KeyShares[:0], body)
		return whole
	default:
		h.measure(typ, r)
		return true
	}
	return whole && !r.bad && r.empty()
}

// measure reads the extensions of which a fact or two is wanted. Many changed
// between drafts that share their number, so that a body of another form says
// nothing against the hello.
func (h *ClientHello) measure(typ uint16, r reader) {
	body := r.b
	switch typ {
	case ExtensionMaxFragmentLength:
		h.MaxFragmentLength = r.u8()
	case ExtensionStatusRequest:
		h.StatusRequest = r.u8()
	case ExtensionHeartbeat:
		h.Heartbeat = r.u8()
	case ExtensionCompressCertificate:
		h.CertCompression, _ = appendUint16s(h.CertCompression, r.vec8())
	case ExtensionRecordSizeLimit:
		h.RecordSizeLimit = r.u16()
	case ExtensionDelegatedCredentials:
		h.DelegatedCredentials, _ = appendUint16s(h.DelegatedCredentials, r.vec16())
	case ExtensionKeyShareDraft:
		// The number also stood for extended_random. What is none reads as no shares.
		if len(h.KeyShares) == 0 {
			var whole bool
			if h.KeyShares, whole = keyShares(h.KeyShares, body); !whole {
				h.KeyShares = h.KeyShares[:0]
			}
		}
	case ExtensionPreSharedKey:
		h.PSK = true
		h.preSharedKeys(r)
	case ExtensionCookie:
		h.RetryCookieLen = len(r.vec16())
	case ExtensionSignatureAlgsCert:
		h.SignatureAlgsCert, _ = appendUint16s(h.SignatureAlgsCert, r.vec16())
	case ExtensionQUICParameters, ExtensionQUICParametersDraft:
		if typ == ExtensionQUICParameters || h.QUICParameters == nil {
			h.QUICParameters = body
		}
	case ExtensionALPS, ExtensionALPSDraft:
		h.ALPS, _ = appendStrings(h.ALPS[:0], r.vec16())
	case ExtensionTrustAnchors:
		h.TrustAnchors = 0
		for list := (reader{b: r.vec16()}); !list.empty(); h.TrustAnchors++ {
			list.vec8()
		}
	case ExtensionECH:
		h.ECH = true
		h.EncryptedHello.read(r)
	case ExtensionRenegotiationInfo:
		h.RenegotiationInfoLen = len(r.vec8())
	}
}

// preSharedKeys measures the offer (RFC 8446 section 4.2.11): a list <2> of
// identities <2> with an age of 4 bytes each, and a list <2> of binders <1>.
func (h *ClientHello) preSharedKeys(r reader) {
	const ageLen = 4
	for list := (reader{b: r.vec16()}); !list.empty(); h.PSKIdentities++ {
		n := len(list.vec16())
		if h.PSKIdentities == 0 {
			h.PSKIdentityLen = n
		}
		list.bytes(ageLen)
	}
	for list := (reader{b: r.vec16()}); !list.empty(); h.PSKBinders++ {
		n := len(list.vec8())
		if h.PSKBinders == 0 {
			h.PSKBinderLen = n
		}
	}
}

// read takes the extension apart (RFC 9849 section 5): type 1 | KDF 2 | AEAD 2 |
// config id 1 | key <2> | payload <2>, of an inner hello the type only.
func (e *EncryptedHello) read(r reader) {
	const inner = 1
	if e.Inner = r.u8() == inner; e.Inner {
		return
	}
	e.KDF, e.AEAD, e.ConfigID = r.u16(), r.u16(), r.u8()
	e.KeyLen, e.PayloadLen = len(r.vec16()), len(r.vec16())
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

// HasCipherSuite reports whether the hello offers a suite, or signals by one.
func (h *ClientHello) HasCipherSuite(id uint16) bool { return contains(h.CipherSuites, id) }

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
