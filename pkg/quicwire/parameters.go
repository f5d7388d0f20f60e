package quicwire

import "encoding/binary"

// Types of the TLS extension with the transport parameters.
const (
	ExtensionTransportParameters      = 0x0039 // RFC 9001 section 8.2
	ExtensionTransportParametersDraft = 0xffa5 // drafts
)

// Numbers of transport parameters (RFC 9000 section 18.2; RFC 9221, RFC 9287,
// RFC 9368), and those of Google.
const (
	parameterOriginalDCID            = 0x00
	parameterMaxIdleTimeout          = 0x01
	parameterMaxUDPPayload           = 0x03
	parameterMaxData                 = 0x04
	parameterMaxStreamDataBidiLocal  = 0x05
	parameterMaxStreamDataBidiRemote = 0x06
	parameterMaxStreamDataUni        = 0x07
	parameterMaxStreamsBidi          = 0x08
	parameterMaxStreamsUni           = 0x09
	parameterAckDelayExponent        = 0x0a
	parameterMaxAckDelay             = 0x0b
	parameterDisableActiveMigration  = 0x0c
	parameterActiveConnectionIDLimit = 0x0e
	parameterInitialSourceCID        = 0x0f
	parameterRetrySourceCID          = 0x10
	parameterVersionInformation      = 0x11
	parameterMaxDatagramFrame        = 0x20
	parameterGreaseQUICBit           = 0x2ab2
	parameterGoogleUserAgent         = 0x3129
	parameterVersionInformationDraft = 0xff73db
	maxParameters                    = 128
)

// TransportParameters are what one side tells about how it handles the
// connection. A number is -1 when it was not sent. Slices alias the extension.
type TransportParameters struct {
	// List holds the parameters in the order of the extension, duplicates and
	// reserved ones with them. Count is how many are not reserved.
	List  []TransportParameter
	Count int
	// Incomplete says that the extension ends within a parameter, that a value
	// is no number where one belongs, or that there are too many.
	Incomplete bool

	MaxIdleTimeout                                  int64 // milliseconds
	MaxUDPPayload                                   int64 // bytes
	MaxData                                         int64 // bytes
	MaxStreamDataBidiLocal, MaxStreamDataBidiRemote int64 // bytes
	MaxStreamDataUni                                int64 // bytes
	MaxStreamsBidi, MaxStreamsUni                   int64
	AckDelayExponent                                int64
	MaxAckDelay                                     int64 // milliseconds
	ActiveConnectionIDLimit                         int64
	MaxDatagramFrame                                int64 // bytes
	InitialSourceCIDLen                             int
	DisableActiveMigration, GreaseQUICBit           bool
	// ChosenVersion is the version in use, 0 without version information
	// (RFC 9368), and Versions are those that the side has, by preference.
	ChosenVersion uint32
	Versions      []uint32
	// UserAgent is what Google's software says it is.
	UserAgent []byte
}

// TransportParameter is one parameter.
type TransportParameter struct {
	ID     uint64
	Length int  // of the value, in bytes
	Grease bool // reserved, to be ignored (31*N+27, RFC 9000 section 18.1)
}

func (t *TransportParameters) reset() {
	*t = TransportParameters{
		List:     t.List[:0],
		Versions: t.Versions[:0],
	}
	for _, n := range []*int64{
		&t.MaxIdleTimeout, &t.MaxUDPPayload, &t.MaxData, &t.MaxStreamDataBidiLocal, &t.MaxStreamDataBidiRemote,
		&t.MaxStreamDataUni, &t.MaxStreamsBidi, &t.MaxStreamsUni, &t.AckDelayExponent, &t.MaxAckDelay,
		&t.ActiveConnectionIDLimit, &t.MaxDatagramFrame,
	} {
		*n = -1
	}
	t.InitialSourceCIDLen = -1
}

// ParseTransportParameters reads the body of the extension into dst, which it
// resets first and whose memory it reuses. Before draft 27 the parameters were
// a vector as TLS has them; that form is read too.
func ParseTransportParameters(ext []byte, dst *TransportParameters) {
	dst.reset()
	r := reader{b: ext}
	vector := isParameterVector(ext)
	if vector {
		r.u16()
	}
	for !r.empty() {
		if len(dst.List) >= maxParameters {
			dst.Incomplete = true
			return
		}
		var id uint64
		var value []byte
		if vector {
			id = uint64(r.u16())
			value = r.bytes(uint64(r.u16()))
		} else {
			id = r.varint()
			n := r.varint()
			if r.bad {
				break
			}
			value = r.bytes(n)
		}
		dst.add(id, value)
	}
	if r.bad {
		dst.Incomplete = true
	}
}

// isParameterVector tells the form of the drafts before 27: a length of two
// bytes, then parameters with numbers and lengths of two bytes each, which fill
// it.
func isParameterVector(ext []byte) bool {
	if len(ext) < 2 || int(binary.BigEndian.Uint16(ext)) != len(ext)-2 {
		return false
	}
	r := reader{b: ext[2:]}
	for !r.empty() {
		r.u16()
		r.bytes(uint64(r.u16()))
	}
	return !r.bad
}

func (t *TransportParameters) add(id uint64, value []byte) {
	grease := id%31 == 27
	t.List = append(t.List, TransportParameter{id, len(value), grease})
	if grease {
		return
	}
	t.Count++
	switch id {
	case parameterMaxIdleTimeout:
		t.number(&t.MaxIdleTimeout, value)
	case parameterMaxUDPPayload:
		t.number(&t.MaxUDPPayload, value)
	case parameterMaxData:
		t.number(&t.MaxData, value)
	case parameterMaxStreamDataBidiLocal:
		t.number(&t.MaxStreamDataBidiLocal, value)
	case parameterMaxStreamDataBidiRemote:
		t.number(&t.MaxStreamDataBidiRemote, value)
	case parameterMaxStreamDataUni:
		t.number(&t.MaxStreamDataUni, value)
	case parameterMaxStreamsBidi:
		t.number(&t.MaxStreamsBidi, value)
	case parameterMaxStreamsUni:
		t.number(&t.MaxStreamsUni, value)
	case parameterAckDelayExponent:
		t.number(&t.AckDelayExponent, value)
	case parameterMaxAckDelay:
		t.number(&t.MaxAckDelay, value)
	case parameterActiveConnectionIDLimit:
		t.number(&t.ActiveConnectionIDLimit, value)
	case parameterMaxDatagramFrame:
		t.number(&t.MaxDatagramFrame, value)
	case parameterInitialSourceCID:
		t.InitialSourceCIDLen = len(value)
	case parameterDisableActiveMigration:
		t.DisableActiveMigration = true
	case parameterGreaseQUICBit:
		t.GreaseQUICBit = true
	case parameterGoogleUserAgent:
		t.UserAgent = value
	case parameterVersionInformation, parameterVersionInformationDraft:
		t.versions(value)
	}
}

// number reads a value that is a variable-length integer and nothing else.
func (t *TransportParameters) number(dst *int64, value []byte) {
	r := reader{b: value}
	n := r.varint()
	if r.bad || !r.empty() {
		t.Incomplete = true
		return
	}
	*dst = int64(n) // of 62 bits
}

// versions reads version information (RFC 9368 section 3): the chosen version,
// then those that are available.
func (t *TransportParameters) versions(value []byte) {
	r := reader{b: value}
	t.ChosenVersion = r.u32()
	for len(r.b) >= 4 && len(t.Versions) < maxVersions {
		t.Versions = append(t.Versions, r.u32())
	}
	if r.bad || !r.empty() {
		t.Incomplete = true
	}
}
