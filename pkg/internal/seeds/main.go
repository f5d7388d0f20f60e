// Command seeds gives the fuzz targets of the parsers what the conformance captures
// hold, in the build cache, where `go test -fuzz` looks for inputs:
//
//	go run ./pkg/internal/seeds
//
// The captures may not be published, so their bytes stay out of the repository; the
// targets carry seeds of their own besides. Without the corpus it does nothing.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"trench/pkg/assemble"
	"trench/pkg/dnswire"
	"trench/pkg/flow"
	"trench/pkg/internal/corpus"
	"trench/pkg/packet"
	"trench/pkg/pcap"
	"trench/pkg/tlswire"
)

const (
	// largest is how large a capture may be to give seeds.
	largest = 1 << 20
	// perTarget is how many seeds a target gets at most.
	perTarget = 400
)

func main() {
	dir := flag.String("dir", "", "fuzz cache to write to (default: that of the go command)")
	flag.Parse()
	if err := run(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "seeds:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	root, err := corpus.Unpack()
	if err != nil {
		fmt.Fprintln(os.Stderr, "seeds: no corpus, the targets have their own seeds only:", err)
		return nil
	}
	if dir == "" {
		out, err := exec.Command("go", "env", "GOCACHE").Output()
		if err != nil {
			return fmt.Errorf("go env GOCACHE: %w", err)
		}
		dir = filepath.Join(strings.TrimSpace(string(out)), "fuzz")
	}
	s := &seeds{dir: dir, seen: map[string]map[string]bool{}}
	err = filepath.WalkDir(filepath.Join(root, "protocol-tests"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if info, err := d.Info(); err != nil || info.Size() > largest {
			return err
		}
		return s.capture(path)
	})
	if err != nil {
		return err
	}
	for target, shapes := range s.seen {
		fmt.Printf("%4d %s\n", len(shapes), target)
	}
	return nil
}

// seeds writes inputs, for each target one of each shape.
type seeds struct {
	dir  string
	seen map[string]map[string]bool
	err  error
}

// capture hands the frames, the flows and the file itself to the targets.
func (s *seeds) capture(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := pcap.NewReader(f, path)
	if err != nil {
		return nil // expected results lie beside the captures
	}
	defer r.Close()
	var (
		b       pcap.Block
		v       packet.View
		decoder = packet.NewDecoder(packet.DefaultConfig())
		table   = assemble.New(assemble.DefaultConfig(), s.flow)
	)
	for n := 0; r.ReadBlock(&b) == nil; { // a broken capture gives what it has
		for i := range b.Packets {
			p := &b.Packets[i]
			if n++; n <= 20 {
				s.add("packet/FuzzDecode", p.Data, uint16(p.Link), p.WireLen)
			}
			if decoder.Decode(&v, p) == packet.OK {
				s.add("identify/FuzzIdentify", v.Payload)
				table.Add(&v)
			}
		}
	}
	decoder.Flush()
	table.Flush(v.Time)
	return s.err
}

// flow hands what is kept of a flow to the parsers of its protocol.
func (s *seeds) flow(f *flow.Flow) {
	client, server := f.Half[flow.ClientToServer].Handshake, f.Half[flow.ServerToClient].Handshake
	if len(client)+len(server) == 0 {
		return
	}
	s.add("features/FuzzExtract", uint8(f.App), client, server, f.Resolution)
	switch f.App {
	case flow.AppTLS:
		const tlsForm = 0
		s.add("tlswire/FuzzHandshake", uint8(tlsForm), client, server)
		var h tlswire.Handshake
		h.Parse(client, server)
		for _, der := range h.Certificates {
			s.add("certificate/FuzzParse", der)
		}
	case flow.AppDTLS:
		s.add("dtlswire/FuzzRecords", client)
		s.add("dtlswire/FuzzRecords", server)
	case flow.AppQUIC:
		s.add("quicwire/FuzzConnection", client, server)
	case flow.AppSSH:
		s.add("sshwire/FuzzParse", client)
		s.add("sshwire/FuzzParse", server)
	case flow.AppHTTP:
		s.add("httpwire/FuzzHeads", client)
		s.add("httpwire/FuzzHeads", server)
		s.add("httpwire/FuzzScanner", client, uint64(1))
		s.add("fingerprint/foxio/FuzzJA4H", client)
	case flow.AppDNS, flow.AppMDNS, flow.AppLLMNR:
		s.messages("dnswire/FuzzParse", client, server)
	case flow.AppDHCP, flow.AppDHCPv6:
		s.messages("dhcpwire/FuzzParse", client, server)
	}
}

func (s *seeds) messages(target string, rows ...[]byte) {
	for _, row := range rows {
		for len(row) > 0 {
			var message []byte
			message, row, _ = dnswire.CutMessage(row)
			s.add(target, message)
		}
	}
}

// add writes one input. Inputs whose arguments are as long as those of another one
// are left out, so that the seeds are few and different.
func (s *seeds) add(target string, args ...any) {
	shape, text := "", "go test fuzz v1\n"
	for _, a := range args {
		switch a := a.(type) {
		case []byte:
			shape += fmt.Sprint(len(a), " ")
			text += "[]byte(" + strconv.Quote(string(a)) + ")\n"
		case uint8:
			shape += fmt.Sprint(a, " ")
			text += fmt.Sprintf("byte(%d)\n", a)
		default:
			text += fmt.Sprintf("%T(%v)\n", a, a)
		}
	}
	known := s.seen[target]
	if known == nil {
		known = map[string]bool{}
		s.seen[target] = known
	}
	if s.err != nil || known[shape] || len(known) == perTarget {
		return
	}
	known[shape] = true
	folder := filepath.Join(s.dir, "trench/pkg", target)
	if s.err = os.MkdirAll(folder, 0o777); s.err != nil {
		return
	}
	sum := sha256.Sum256([]byte(text))
	s.err = os.WriteFile(filepath.Join(folder, hex.EncodeToString(sum[:8])), []byte(text), 0o666)
}
