// Perturb rewrites captures as somebody who sees less, or hides, would make
// them, so that the loss of recall can be measured with the real extractor:
//
//	go run ./pkg/internal/perturb -how CHANGE,… -o DIR PATH…
//
// Every capture below PATH is written to DIR under its relative path, as pcapng
// in ns whatever its name says, so that labels by path, 5-tuple and first time
// still find their flows: the first packet of a 5-tuple keeps its time and is
// never left out. The changes are made one after another:
//
//	first=N      only the first N packets of each 5-tuple
//	loss=P       each packet is lost with probability P
//	delay=D      the client waits for a time drawn from 0 to D before each of its turns (runs of data); what follows in the connection comes as much later
//	pad=N        bodies of TLS application-data records grow to the next multiple of N bytes
//	stuff=N      the same records grow by a multiple of 16 drawn from 0 to below N bytes
//
// What is drawn follows from the seed and the relative path alone, and is the
// same for every probability: what is lost at 1 % is lost at 3 % too.
//
// Packets that belong to no flow stay as they are, loss apart. A connection is
// padded from its first byte on, both ways, for as long as its packets are whole
// and come in order, when it is TCP over IP without tunnel or VLAN and begins
// with a TLS handshake; sequence and acknowledgement numbers follow. Segments that
// grow beyond 1,460 bytes (or beyond what they were) are sent as several.
// Checksums are left wrong, as segmentation offload leaves them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "perturb:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("perturb", flag.ContinueOnError)
	how := flags.String("how", "", "changes, separated by commas: first=N loss=P delay=D pad=N stuff=N")
	out := flags.String("o", "", "directory to write to")
	seed := flags.Uint64("seed", 1, "what is drawn follows from it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" || flags.NArg() == 0 {
		return errors.New("usage: perturb -how CHANGE,… -o DIR PATH…")
	}
	changes, err := parseChanges(*how)
	if err != nil {
		return err
	}
	files, cut := 0, 0
	for _, root := range flags.Args() {
		from, err := filepath.EvalSymlinks(root) // WalkDir follows none
		if err != nil {
			return err
		}
		err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			rel, err := filepath.Rel(from, path)
			if err != nil {
				return err
			}
			if rel == "." {
				rel = filepath.Base(root)
			}
			c, err := readCapture(path)
			if err != nil {
				return err
			}
			files++
			if c.fault != nil {
				cut++
			}
			rng := randomOf(*seed, rel)
			for _, change := range changes {
				change(c, rng)
			}
			return c.write(filepath.Join(*out, rel))
		})
		if err != nil {
			return err
		}
	}
	if files == 0 {
		return fmt.Errorf("no captures in %s", strings.Join(flags.Args(), ", "))
	}
	if cut > 0 {
		fmt.Fprintf(os.Stderr, "perturb: %d of %d captures are damaged and were rewritten up to their fault\n", cut, files)
	}
	return nil
}

// randomOf returns the numbers that a capture draws.
func randomOf(seed uint64, rel string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(filepath.ToSlash(rel)))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}
