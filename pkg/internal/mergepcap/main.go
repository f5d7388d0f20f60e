// Mergepcap merges Ethernet captures by time into one pcap file, as
// testdata/pcap/demo.pcap was made. Packets keep their bytes and times.
package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"

	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mergepcap:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	fs := flag.NewFlagSet("mergepcap", flag.ContinueOnError)
	out := fs.String("o", "", "pcap file to write")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *out == "" || fs.NArg() == 0 {
		return errors.New("usage: mergepcap -o OUT IN…")
	}
	var packets []pcapgen.Packet
	for _, name := range fs.Args() {
		more, err := read(name)
		if err != nil {
			return err
		}
		packets = append(packets, more...)
	}
	slices.SortStableFunc(packets, func(a, b pcapgen.Packet) int { return int(min(max(a.Time-b.Time, -1), 1)) })
	file := pcapgen.Classic{Order: binary.LittleEndian, Link: uint32(pcap.LinkEthernet)}.File(packets)
	return os.WriteFile(*out, file, 0o644)
}

func read(name string) ([]pcapgen.Packet, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := pcap.NewReader(f, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var (
		out []pcapgen.Packet
		b   pcap.Block
	)
	for {
		if err := r.ReadBlock(&b); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		for _, p := range b.Packets {
			if p.Link != pcap.LinkEthernet {
				return nil, fmt.Errorf("%s: link type %s, want Ethernet", name, p.Link)
			}
			out = append(out, pcapgen.Packet{Time: p.Time, Data: bytes.Clone(p.Data), Wire: int(p.WireLen)})
		}
	}
}
