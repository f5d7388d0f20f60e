package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"trench/pkg/flow"
	"trench/pkg/internal/pcapgen"
	"trench/pkg/packet"
	"trench/pkg/pcap"
)

// largest is how large a capture may be: it is held in memory.
const largest = 1 << 30

// none is the connection of packets that belong to none.
const none = -1

// frame is one packet and what was decoded of it.
type frame struct {
	pcap.Packet
	view       packet.View // its slices alias Data; nil when it came in fragments
	connection int         // index of the 5-tuple, none for packets without
	opens      bool        // the first of its connection
}

// capture is one file in memory.
type capture struct {
	frames      []frame
	connections int
	fault       error // where the file is damaged; frames hold what comes before
}

func readCapture(path string) (*capture, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if info.Size() > largest {
		return nil, fmt.Errorf("%s: %d bytes, at most %d can be rewritten", path, info.Size(), largest)
	}
	r, err := pcap.NewReader(f, path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	c := &capture{}
	known := make(map[flow.Key]int)
	decoder := packet.NewDecoder(packet.DefaultConfig())
	for held := 0; ; {
		var b pcap.Block // a new one each time: the frames keep its bytes
		if err := r.ReadBlock(&b); errors.Is(err, io.EOF) {
			return c, nil
		} else if err != nil {
			c.fault = err
			return c, nil
		}
		for _, p := range b.Packets {
			if held += len(p.Data); held > largest {
				return nil, fmt.Errorf("%s: more than %d bytes when decompressed", path, largest)
			}
			p.Data = bytes.Clone(p.Data)
			c.add(decoder, p, known)
		}
	}
}

func (c *capture) add(decoder *packet.Decoder, p pcap.Packet, known map[flow.Key]int) {
	c.frames = append(c.frames, frame{Packet: p, connection: none})
	f := &c.frames[len(c.frames)-1]
	if decoder.Decode(&f.view, &f.Packet) != packet.OK {
		f.view = packet.View{}
		return
	}
	if f.view.Packets > 1 {
		f.view.IP, f.view.Payload = nil, nil // the decoder's
	}
	at, ok := known[f.view.Key]
	if !ok {
		at = c.connections
		known[f.view.Key] = at
		c.connections++
		f.opens = true
	}
	f.connection = at
}

// write stores the capture as pcapng with an interface for each link type.
func (c *capture) write(path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w := bufio.NewWriterSize(file, 1<<16)
	blocks := pcapgen.NG{Order: binary.LittleEndian}
	blocks.Section()
	interfaces := make(map[pcap.LinkType]uint32)
	for i := range c.frames {
		f := &c.frames[i]
		at, ok := interfaces[f.Link]
		if !ok {
			at = uint32(len(interfaces))
			interfaces[f.Link] = at
			blocks.Interface(uint16(f.Link), 9, 0)
		}
		blocks.Packet(at, uint64(f.Time), f.Data, int(f.WireLen))
		if _, err := w.Write(blocks.Bytes); err != nil {
			return err
		}
		blocks.Bytes = blocks.Bytes[:0]
	}
	if _, err := w.Write(blocks.Bytes); err != nil {
		return err
	}
	return w.Flush()
}
