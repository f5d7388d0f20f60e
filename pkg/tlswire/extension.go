package tlswire

// Types of extensions (IANA TLS ExtensionType Values). Those marked draft are
// not registered, or for something else by now.
const (
	ExtensionServerName           = 0
	ExtensionMaxFragmentLength    = 1
	ExtensionStatusRequest        = 5
	ExtensionSupportedGroups      = 10
	ExtensionPointFormats         = 11
	ExtensionSignatureAlgorithms  = 13
	ExtensionHeartbeat            = 15
	ExtensionALPN                 = 16
	ExtensionStatusRequestV2      = 17
	ExtensionSCT                  = 18
	ExtensionPadding              = 21
	ExtensionEncryptThenMAC       = 22
	ExtensionExtendedMasterSecret = 23
	ExtensionCompressCertificate  = 27
	ExtensionRecordSizeLimit      = 28
	ExtensionDelegatedCredentials = 34
	ExtensionSessionTicket        = 35
	ExtensionKeyShareDraft        = 40 // drafts 16 to 22 of TLS 1.3
	ExtensionPreSharedKey         = 41
	ExtensionEarlyData            = 42
	ExtensionSupportedVersions    = 43
	ExtensionCookie               = 44
	ExtensionPSKModes             = 45
	ExtensionPostHandshakeAuth    = 49
	ExtensionSignatureAlgsCert    = 50
	ExtensionKeyShare             = 51
	ExtensionQUICParameters       = 57
	ExtensionALPSDraft            = 17513  // draft: application_settings, the first number
	ExtensionALPS                 = 17613  // draft: application_settings
	ExtensionTrustAnchors         = 51764  // draft: trust_anchors
	ExtensionECH                  = 65037  // encrypted_client_hello
	ExtensionRenegotiationInfo    = 65281  // RFC 5746
	ExtensionQUICParametersDraft  = 0xffa5 // drafts 13 to 32 of QUIC
	ExtensionESNI                 = 0xffce // draft: encrypted_server_name
)

// Cipher suites that are signals and no suites.
const (
	SuiteRenegotiationSCSV = 0x00ff // stands for an empty renegotiation_info (RFC 5746)
	SuiteFallbackSCSV      = 0x5600 // the client has lowered its version (RFC 7507)
)

// extensions appends the types of an extension block to list and has the first
// of each type read. It reports whether the block was well formed, which what
// read reports of the bodies is part of.
func extensions(list []uint16, block []byte, read func(typ uint16, body []byte) bool) ([]uint16, bool) {
	whole := true
	for r := (reader{b: block}); !r.empty(); {
		if len(list) == maxEntries {
			return list, false
		}
		typ, n := r.u16(), r.u16()
		if r.bad {
			return list, false
		}
		first := !contains(list, typ)
		list = append(list, typ)
		body := r.bytes(int(n)) // of a cut extension what is there
		if first && !read(typ, body) || r.bad {
			whole = false
		}
	}
	return list, whole
}

func contains(list []uint16, v uint16) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}

// appendStrings appends the names of body, each behind a length of 8 bits, to
// list and reports whether all of body was read.
func appendStrings(list [][]byte, body []byte) ([][]byte, bool) {
	r := reader{b: body}
	for !r.empty() && len(list) < maxEntries {
		list = append(list, r.vec8())
	}
	return list, !r.bad && r.empty()
}

// keyShares appends the entries of a key_share extension to list and reports
// whether all of body was read.
func keyShares(list []KeyShare, body []byte) ([]KeyShare, bool) {
	r := reader{b: body}
	shares := reader{b: r.vec16()}
	for !shares.empty() && len(list) < maxEntries {
		group, n := shares.u16(), int(shares.u16())
		if shares.bad {
			break
		}
		shares.bytes(n)
		list = append(list, KeyShare{Group: group, Length: n})
	}
	return list, !shares.bad && shares.empty() && !r.bad && r.empty()
}
