package reference

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Corpus is the unpacked corpus.
type Corpus struct {
	root    string
	entries []entry
}

// entry is one line of golden/map.csv: a result and the captures it is for.
type entry struct {
	source, result string
	captures       []string
	what           string
}

// Open reads which results there are below root, the unpacked corpus, and for which
// captures.
func Open(root string) (*Corpus, error) {
	f, err := os.Open(filepath.Join(root, "golden", "map.csv"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("map.csv: %w", err)
	}
	c := &Corpus{root: root}
	for _, row := range rows[1:] {
		e := entry{source: row[0], result: row[1], what: row[3]}
		if row[2] != "" {
			e.captures = strings.Split(row[2], ";")
		}
		c.entries = append(c.entries, e)
	}
	return c, nil
}

// of returns the entries of a source whose capture is there; what narrows it unless
// it is empty.
func (c *Corpus) of(source, what string) []entry {
	var out []entry
	for _, e := range c.entries {
		if e.source == source && len(e.captures) > 0 && (what == "" || e.what == what) {
			out = append(out, e)
		}
	}
	return out
}

func (c *Corpus) read(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(c.root, filepath.FromSlash(name)))
}

// list returns the names, by the root, of the files of a folder.
func (c *Corpus) list(dir string) ([]string, error) {
	files, err := os.ReadDir(filepath.Join(c.root, dir))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range files {
		if f.Type().IsRegular() {
			out = append(out, dir+"/"+f.Name())
		}
	}
	slices.Sort(out)
	return out, nil
}

// Reference is one analyser whose results are compared.
type Reference struct {
	ID, Name string
	Read     func(*Corpus) ([]*Expectation, error)
}

// All returns the references in the order of the document.
func All() []Reference {
	return []Reference{
		{"ja4-rust", "JA4, the authors' Rust tool", readJA4Rust},
		{"ja4-python", "JA4, the authors' Python tool", readJA4Python},
		{"ja3", "JA3, the authors' examples", readJA3},
		{"tshark", "tshark 4.0.17", readTshark},
		{"zeek", "Zeek", readZeek},
		{"suricata", "Suricata", readSuricata},
		{"ndpi", "nDPI", readNDPI},
		{"arkime", "Arkime", readArkime},
		{"ipfixprobe", "ipfixprobe", readIPFIXProbe},
		{"joy", "Joy", readJoy},
	}
}
