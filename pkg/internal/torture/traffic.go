package torture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
)

// Traffic makes capture files out of a real one: the same packets several times in
// a file, with other addresses each time, and in every file at other times. So no
// flow of a file is in another one, and every file has as many flows.
type Traffic struct {
	packets []pcapgen.Packet // times from the first one's
	copies  int
}

// longestGap is how long nothing may happen, ns: years may lie between the parts of
// a capture that was put together.
const longestGap = int64(time.Minute)

// ReadTraffic reads the capture to make files of; it must be Ethernet and small.
func ReadTraffic(path string, copies int) (*Traffic, error) {
	if copies < 1 || copies > 256 {
		return nil, fmt.Errorf("%d copies are not between 1 and 256", copies)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := pcap.NewReader(f, path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	t := &Traffic{copies: copies}
	var now, last int64 // of the file made, of the file read
	for {
		var b pcap.Block
		if err := r.ReadBlock(&b); errors.Is(err, io.EOF) {
			return t, nil
		} else if err != nil {
			return nil, err
		}
		for i := range b.Packets {
			p := &b.Packets[i]
			if p.Link != pcap.LinkEthernet {
				return nil, fmt.Errorf("%s: link type %d is not Ethernet", path, p.Link)
			}
			if gap := p.Time - last; gap < -longestGap || gap > longestGap {
				now += int64(time.Millisecond)
			} else {
				now += gap
			}
			last = p.Time
			t.packets = append(t.packets, pcapgen.Packet{Time: now, Data: append([]byte(nil), p.Data...), Wire: int(p.WireLen)})
		}
	}
}

// Jumps of a clock that is set wrong and right again: by packets, not by flows, so
// most flows see several.
var jumps = []time.Duration{0, 72 * time.Hour, 0, -5 * time.Hour, time.Hour, 20 * 365 * 24 * time.Hour, -2 * time.Minute}

// jumpPackets is how many packets have a time from the same clock.
const jumpPackets = 97

// File writes a file of packets from start on. With jumping, their clock jumps far
// back and forth. The file appears under its name when it is complete.
func (t *Traffic) File(path string, start time.Time, jumping bool) error {
	out := make([]pcapgen.Packet, 0, len(t.packets)*t.copies)
	for i := range t.packets {
		for n := range t.copies {
			p := t.packets[i]
			p.Time += start.UnixNano()
			if jumping {
				p.Time += int64(jumps[len(out)/jumpPackets%len(jumps)])
			}
			p.Data = moved(p.Data, byte(n))
			out = append(out, p)
		}
	}
	b := pcapgen.Classic{Order: binary.LittleEndian, Nanos: true, Link: uint32(pcap.LinkEthernet)}.File(out)
	part := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".part")
	if err := os.WriteFile(part, b, 0o600); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// moved returns a frame with both its IP addresses in another network; checksums
// stay, for nobody looks at them.
func moved(frame []byte, n byte) []byte {
	if len(frame) < 14 || n == 0 {
		return frame
	}
	at, size := 14+12, 4 // of the source address
	switch typ := binary.BigEndian.Uint16(frame[12:]); {
	case typ == 0x0800 && len(frame) >= 34:
	case typ == 0x86dd && len(frame) >= 54:
		at, size = 14+8, 16
	default:
		return frame
	}
	out := append([]byte(nil), frame...)
	out[at+1] ^= n
	out[at+size+1] ^= n
	return out
}
