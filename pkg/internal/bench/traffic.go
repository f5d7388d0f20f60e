package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"trench/pkg/assemble"
	"trench/pkg/flow"
	"trench/pkg/internal/corpus"
	"trench/pkg/packet"
	"trench/pkg/pcap"
)

const (
	fileHead   = 24
	recordHead = 16
)

// makeFile makes a capture of any size from small real ones, once.
func makeFile(source string, packets int) (string, error) {
	folders, ok := map[string][]string{"conformance": {"protocol-tests"}, "train": {"benign", "malware", "mixed"}}[source]
	if !ok {
		return "", fmt.Errorf("source %q is neither conformance nor train", source)
	}
	shared, err := corpus.Find()
	if err != nil {
		return "", fmt.Errorf("the benchmark captures are made from the corpus: %w", err)
	}
	dir, err := corpus.Unpack()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	out := filepath.Join(cache, "trench", fmt.Sprintf("bench-%s-%d.pcap", source, packets))
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	args := []string{filepath.Join(shared, "make_bench.py"), "-o", out + ".part", "--packets", fmt.Sprint(packets)}
	for _, f := range folders {
		err := filepath.WalkDir(filepath.Join(dir, f), func(path string, d os.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // a corpus without this folder
			}
			if err == nil && d.Type().IsRegular() {
				args = append(args, path)
			}
			return err
		})
		if err != nil {
			return "", err
		}
	}
	cmd := exec.Command("python3", args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("make_bench.py: %w", err)
	}
	return out, os.Rename(out+".part", out)
}

// widened returns a file with every packet of in several times, made once.
func (in input) widened(times int) (string, error) {
	out := fmt.Sprintf("%s-x%d.pcap", strings.TrimSuffix(in.path, ".pcap"), times)
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	b, err := in.read()
	if err != nil {
		return "", err
	}
	f, err := os.Create(out + ".part")
	if err != nil {
		return "", err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := w.Write(b[:fileHead]); err != nil {
		return "", errors.Join(err, f.Close())
	}
	var buf []byte
	err = eachRecord(b, func(r []byte) error {
		for copy := range times {
			buf = append(buf[:0], r...)
			move(buf[recordHead:], byte(copy))
			if _, err := w.Write(buf); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, w.Flush(), f.Close()); err != nil {
		return "", err
	}
	return out, os.Rename(out+".part", out)
}

// read returns the whole file.
func (in input) read() ([]byte, error) {
	b, err := os.ReadFile(in.path)
	if err != nil {
		return nil, err
	}
	if len(b) < fileHead || binary.LittleEndian.Uint32(b) != 0xa1b2c3d4 || binary.LittleEndian.Uint32(b[20:]) != 1 {
		return nil, fmt.Errorf("%s: not a little-endian Ethernet pcap file with µs", in.path)
	}
	return b, nil
}

// eachRecord calls f with the records of a pcap file, headers included.
func eachRecord(file []byte, f func(record []byte) error) error {
	for b := file[fileHead:]; len(b) >= recordHead; {
		n := recordHead + int(binary.LittleEndian.Uint32(b[8:]))
		if n > len(b) {
			return io.ErrUnexpectedEOF
		}
		if err := f(b[:n:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// micros is the time of a record.
func micros(record []byte) int64 {
	return int64(binary.LittleEndian.Uint32(record))*1e6 + int64(binary.LittleEndian.Uint32(record[4:]))
}

func setMicros(record []byte, t int64) {
	binary.LittleEndian.PutUint32(record, uint32(t/1e6))
	binary.LittleEndian.PutUint32(record[4:], uint32(t%1e6))
}

// ipHeader returns where the IP header of an Ethernet frame begins, and its
// version, 0 for none.
func ipHeader(frame []byte) (at, version int) {
	if len(frame) < 14 {
		return 0, 0
	}
	typ := binary.BigEndian.Uint16(frame[12:])
	for at = 14; (typ == 0x8100 || typ == 0x88a8 || typ == 0x9100) && len(frame) >= at+4; at += 4 {
		typ = binary.BigEndian.Uint16(frame[at+2:])
	}
	switch {
	case typ == 0x0800 && len(frame) >= at+20:
		return at, 4
	case typ == 0x86dd && len(frame) >= at+40:
		return at, 6
	}
	return at, 0
}

// move changes the networks of both addresses, so that flows of different n are
// different ones. Checksums are left as they are: nobody looks at them.
func move(frame []byte, n byte) {
	switch at, version := ipHeader(frame); version {
	case 4:
		frame[at+14] ^= n
		frame[at+18] ^= n
	case 6:
		frame[at+14] ^= n
		frame[at+30] ^= n
	}
}

// lengthen writes the beginning of the file again and again, one after the other
// in time and with addresses of its own each time, until about size bytes are
// written. What is repeated fits into reach bytes twice, so that inputs of reach
// bytes and more have the same traffic. Time is stretched so that reach bytes last
// longer than any time-out: the number of open flows has settled by then.
func (in input) lengthen(w io.Writer, size, reach int) error {
	b, err := in.read()
	if err != nil {
		return err
	}
	first, last, unit, written := int64(-1), int64(0), fileHead, fileHead
	full := errors.New("enough")
	err = eachRecord(b, func(r []byte) error {
		if unit+len(r) > (reach-fileHead)/2 {
			return full
		}
		unit += len(r)
		if first < 0 {
			first = micros(r)
		}
		last = max(last, micros(r))
		return nil
	})
	if err != nil && !errors.Is(err, full) {
		return err
	}
	b = b[:unit]
	const long = int64(900e6) // µs
	stretch := long/((last-first)*int64(reach)/int64(unit)+1) + 1
	out := bufio.NewWriterSize(w, 1<<18)
	if _, err := out.Write(b[:fileHead]); err != nil {
		return err
	}
	var buf []byte
	for n := 0; n < 256; n++ {
		err := eachRecord(b, func(r []byte) error {
			if written += len(r); written > size {
				return full
			}
			buf = append(buf[:0], r...)
			setMicros(buf, first+(micros(r)-first+int64(n)*(last-first))*stretch)
			move(buf[recordHead:], byte(n))
			_, err := out.Write(buf)
			return err
		})
		if errors.Is(err, full) {
			return out.Flush()
		} else if err != nil {
			return err
		}
	}
	return fmt.Errorf("%s is too short to make %d bytes of it", in.path, size)
}

// connection is one TLS connection: frames with their times in µs from its start.
type connection struct {
	key    flow.Key
	frames [][]byte
	at     []int64
}

// connections returns up to n TLS connections over TCP and IPv4 that were
// captured from the SYN to the end.
func (in input) connections(n int) ([]*connection, error) {
	b, err := in.read()
	if err != nil {
		return nil, err
	}
	const (
		least, most = 10, 400 // packets
		longest     = 20e6    // µs
	)
	type candidate struct {
		connection
		start     int64
		hello     [2]bool // by direction
		fin       [2]bool
		bad, done bool
	}
	var (
		dec   = packet.NewDecoder(packet.DefaultConfig())
		v     packet.View
		seen  = make(map[flow.Key]*candidate)
		order []*candidate
	)
	err = eachRecord(b, func(r []byte) error {
		frame := r[recordHead:]
		p := pcap.Packet{Time: micros(r) * 1000, Data: frame, WireLen: uint32(len(frame)), Link: pcap.LinkEthernet}
		if dec.Decode(&v, &p) != packet.OK || v.Key.Protocol != packet.ProtocolTCP || v.Key.Version != 4 || v.Key.Tunnel != 0 {
			return nil
		}
		c, side := seen[v.Key], 0
		if v.Forward {
			side = 1
		}
		if c == nil {
			c = &candidate{start: micros(r), bad: v.Flags&(packet.SYN|packet.ACK) != packet.SYN || v.Key.A == v.Key.B}
			c.key = v.Key
			seen[v.Key] = c
			order = append(order, c)
		} else if v.Flags&(packet.SYN|packet.ACK) == packet.SYN {
			c.bad = true // used again, or the SYN was repeated
		}
		if len(c.frames) >= most || micros(r)-c.start > longest {
			c.bad = true
		}
		if c.bad {
			c.frames = nil
			return nil
		}
		c.frames, c.at = append(c.frames, frame), append(c.at, micros(r)-c.start)
		c.hello[side] = c.hello[side] || len(v.Payload) > 5 && v.Payload[0] == 22 && v.Payload[1] == 3
		c.fin[side] = c.fin[side] || v.Flags&packet.FIN != 0
		c.done = c.done || v.Flags&packet.RST != 0 || c.fin[0] && c.fin[1]
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []*connection
	for _, c := range order {
		if !c.bad && c.done && c.hello[0] && c.hello[1] && len(c.frames) >= least && c.isComplete() {
			out = append(out, &c.connection)
		}
	}
	if len(out) < n {
		return nil, fmt.Errorf("%s has %d whole TLS connections, %d are needed", in.path, len(out), n)
	}
	return slices.Clip(out[:n]), nil
}

// isComplete reports whether capture, alone with the connection, sees one
// complete flow.
func (c *connection) isComplete() bool {
	var v packet.View
	flows, ok := 0, false
	t := assemble.New(assemble.DefaultConfig(), func(f *flow.Flow) { flows, ok = flows+1, complete(f) })
	dec := packet.NewDecoder(packet.DefaultConfig())
	now := int64(0)
	for i, frame := range c.frames {
		now = c.at[i] * 1000
		p := pcap.Packet{Time: now, Data: frame, WireLen: uint32(len(frame)), Link: pcap.LinkEthernet}
		if dec.Decode(&v, &p) == packet.OK {
			t.Add(&v)
		}
	}
	t.Flush(now)
	return flows == 1 && ok
}

// complete says of a flow that it is TLS from the SYN to the end, with the
// handshakes of both sides.
func complete(f *flow.Flow) bool {
	return f.App == flow.AppTLS && f.HandshakeSeen && len(f.Half[0].Handshake) > 0 && len(f.Half[1].Handshake) > 0 &&
		(f.End == flow.EndFIN || f.End == flow.EndRST)
}
