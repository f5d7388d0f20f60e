package foxio

import (
	"encoding/binary"
	"strconv"
)

// Kinds of TCP options (RFC 9293 section 3.1).
const (
	optionEnd    = 0
	optionNOP    = 1
	optionMSS    = 2
	optionWindow = 3
)

// maxOptionsLen is what a TCP header has room for: 15 words of 4 bytes, less
// its fixed 20.
const maxOptionsLen = 40

// JA4T returns the JA4T of a SYN from its window and its options as they stand
// in the header, padding included. Of a SYN-ACK the same is JA4TS, without
// the part that tells when the packet was sent again.
//
// A size or scale of 0 is written as one that is absent, as the specification
// does in its examples. Of an option that is cut or claims an impossible length
// only the kind is read, and nothing after it.
func JA4T(window uint16, options []byte) string {
	var buf [6 + 4*maxOptionsLen + 6 + 4]byte
	out := strconv.AppendUint(buf[:0], uint64(window), 10)
	var mss, scale uint64
	sep := byte('_')
	options = options[:min(len(options), maxOptionsLen)]
	for padding := false; len(options) > 0; {
		kind, length := options[0], 1
		if padding && kind != optionEnd {
			break // bytes after the end of the list are no options
		}
		out = strconv.AppendUint(append(out, sep), uint64(kind), 10)
		sep = '-'
		switch kind {
		case optionEnd:
			// The zeros that fill up the header count as kinds.
			padding = true
		case optionNOP:
		default:
			if length = optionLen(options); length == 0 {
				options = nil
				continue
			}
			body := options[2:length]
			switch {
			case kind == optionMSS && len(body) == 2:
				mss = uint64(binary.BigEndian.Uint16(body))
			case kind == optionWindow && len(body) == 1:
				scale = uint64(body[0])
			}
		}
		options = options[length:]
	}
	if sep == '_' {
		out = append(out, "_00"...)
	}
	out = appendValue(append(out, '_'), mss)
	return string(appendValue(append(out, '_'), scale))
}

// optionLen returns the length of the option that b begins with, 0 when it is
// broken.
func optionLen(b []byte) int {
	if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
		return 0
	}
	return int(b[1])
}

func appendValue(b []byte, v uint64) []byte {
	if v == 0 {
		return append(b, "00"...)
	}
	return strconv.AppendUint(b, v, 10)
}
