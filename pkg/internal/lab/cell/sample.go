package cell

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"trench/pkg/internal/lab/wire"
)

// Sample draws benign cells for every stack and beacons for every kind that a
// stack carries out, in the order in which they are to be carried out.
func Sample(stacks []*Stack, benign, beacons int, seed uint64) []*Cell {
	s := &sampler{rng: rand.New(rand.NewPCG(seed, 0)), names: make(map[string]bool)}
	s.benign(stacks, benign)
	s.beacons(stacks, beacons)
	s.rng.Shuffle(len(s.cells), func(i, j int) { s.cells[i], s.cells[j] = s.cells[j], s.cells[i] })
	return s.cells
}

type sampler struct {
	rng   *rand.Rand
	names map[string]bool
	cells []*Cell
}

// words make names that people make.
var words = strings.Fields(`harbor north river stone maple cedar summit valley bright clear orbit prism lumen atlas delta field
	forge grove haven island juniper keystone lantern meadow nova ocean pioneer quartz ridge silver timber union vertex willow
	acorn beacon canvas drift ember falcon garden hollow ivory jasper kindle ledger mosaic nectar olive parcel quill raven
	signal thread umber velvet wander yarrow zephyr anchor bridge copper dune`)

var (
	hostWords = strings.Fields("wiki git build registry files mail nas printer vpn grafana jira chat ldap proxy repo monitor backup media router docs intranet")
	services  = strings.Fields("www api cdn static login app portal img assets data auth shop blog news mail download update sync")
	regions   = strings.Fields("eu us ap west east prod stage edge dev s3 v2 fra1 iad global")
	topLevels = strings.Fields("com com com com net org io dev de fr co app info eu lan local internal corp")
	oddLevels = strings.Fields("top xyz club online site pw cc ru info com net icu")
)

// name makes a name of a shape that no other cell has.
func (s *sampler) name(shape string) string {
	for {
		r := s.rng
		domain := pick(r, words) + pick(r, []string{"", "-"}) + pick(r, words)
		if r.IntN(4) == 0 {
			domain = pick(r, words) + fmt.Sprint(r.IntN(100))
		}
		domain += "." + pick(r, topLevels)
		var name string
		switch shape {
		case ShapeAddress:
			return ""
		case ShapeOdd:
			name = letters(r, 8+r.IntN(12)) + "." + pick(r, oddLevels)
		case "1 label":
			name = pick(r, hostWords) + pick(r, []string{"", "01", "2", "-srv", "-prod", fmt.Sprint(r.IntN(1000))})
		case "2 labels", ShapeNone:
			name = domain
		case "3 labels":
			name = pick(r, services) + "." + domain
		case "4 labels":
			name = pick(r, services) + "." + pick(r, regions) + "." + domain
		}
		if !s.names[name] {
			s.names[name] = true
			return name
		}
	}
}

// paths are those of a data centre, a good line, one that loses packets, and one
// across an ocean.
var paths = []wire.Path{
	{RTT: time.Millisecond, Rate: 100e6},
	{RTT: 20 * time.Millisecond, Rate: 12e6},
	{RTT: 20 * time.Millisecond, Rate: 6e6, Loss: .003},
	{RTT: 80 * time.Millisecond, Rate: 4e6},
}

// add completes and keeps a cell.
func (s *sampler) add(c *Cell) {
	c.ID = fmt.Sprintf("%s-%04d", c.Set, len(s.cells))
	c.Path = pick(s.rng, paths)
	c.Name = s.name(c.Shape)
	s.cells = append(s.cells, c)
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func letters(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[r.IntN(36)]
	}
	return string(b)
}

// logUniform is a size between two, each order of magnitude as likely.
func logUniform(r *rand.Rand, low, high float64) int {
	return int(low * math.Pow(high/low, r.Float64()))
}
