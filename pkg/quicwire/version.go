package quicwire

import (
	"fmt"
	"strconv"
)

// Versions that have a number of their own.
const (
	Version1       = 0x00000001 // RFC 9000
	Version2       = 0x6b3343cf // RFC 9369
	versionQ039    = 'Q'<<24 | '0'<<16 | '3'<<8 | '9'
	versionQ044    = 'Q'<<24 | '0'<<16 | '4'<<8 | '4'
	versionQ046    = 'Q'<<24 | '0'<<16 | '4'<<8 | '6'
	versionQ050    = 'Q'<<24 | '0'<<16 | '5'<<8 | '0'
	versionT050    = 'T'<<24 | '0'<<16 | '5'<<8 | '0'
	versionT051    = 'T'<<24 | '0'<<16 | '5'<<8 | '1'
	draftPrefix    = 0xff0000 // of drafts, before the number of the draft
	firstDraft     = 22       // the first draft with the header of RFC 9000
	lastDraft      = 34
	firstMvfst     = 0xfaceb000 // versions of Facebook
	lastMvfst      = 0xfaceb01f
	mvfstOnDraft22 = 0xfaceb001 // this and lower ones; the others are on draft 27
)

// IsVersion reports whether v is a version that this package knows: 1 and 2,
// the drafts 22 to 34, Google's Q0xx and T05x, Facebook's, and those reserved to
// provoke version negotiation (0x?a?a?a?a, RFC 9000 section 15).
func IsVersion(v uint32) bool {
	return v == Version1 || v == Version2 || isDraft(v) || isGreaseVersion(v) ||
		isQ(v) || v == versionT050 || v == versionT051 || isMvfst(v)
}

// VersionName returns the name of a version: "1", "2", "draft-29", "Q050", "T051",
// "grease" for reserved ones, the number in hexadecimal for others, and nothing
// for 0, which is no version.
func VersionName(v uint32) string {
	switch {
	case v == 0:
		return ""
	case v == Version1:
		return "1"
	case v == Version2:
		return "2"
	case isDraft(v):
		return "draft-" + strconv.Itoa(int(v&0xff))
	case isQ(v), v == versionT050, v == versionT051:
		return string([]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
	case isGreaseVersion(v):
		return "grease"
	}
	return fmt.Sprintf("0x%08x", v)
}

func isDraft(v uint32) bool {
	return v>>8 == draftPrefix && v&0xff >= firstDraft && v&0xff <= lastDraft
}

func isGreaseVersion(v uint32) bool { return v&0x0f0f0f0f == 0x0a0a0a0a }

func isMvfst(v uint32) bool { return v >= firstMvfst && v <= lastMvfst }

// isQ tells the versions of Google with its own handshake, Q024 to Q050.
func isQ(v uint32) bool {
	tens, ones := v>>8&0xff, v&0xff
	return v>>16 == 'Q'<<8|'0' && tens >= '2' && tens <= '5' && ones >= '0' && ones <= '9' && v <= versionQ050
}

// isPublic tells the versions of Google with a public header.
func isPublic(v uint32) bool { return isQ(v) && v < versionQ044 }

// hasGoogleFrames tells the versions whose frames are not those of RFC 9000.
func hasGoogleFrames(v uint32) bool { return isQ(v) || v == versionT050 || v == versionT051 }

// isLittleEndian tells the versions of Google whose numbers are little endian.
func isLittleEndian(v uint32) bool { return isQ(v) && v < versionQ039 }
