package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"trench/pkg/internal/lab/wire"
)

// The sets of flows.
const (
	benign  = "benign"
	beacons = "beacons"
)

// Shapes of names.
const (
	shapeNone    = "none"    // a name that the client does not send
	shapeAddress = "address" // an address in place of a name
	shapeOdd     = "odd"     // made by a program
)

// cell is what one client does with one server: every cell has a server address
// of its own, so an address tells a flow's cell.
type cell struct {
	id          string
	set         string
	stack       *stack
	server      string
	addr        netip.AddrPort
	port        uint16
	name        string // as the client resolves it, empty for an address
	shape       string
	certificate string
	tls12       bool // the server speaks nothing later
	http1       bool // the server does not offer HTTP/2
	mutual      bool // the server asks for a certificate
	path        wire.Path
	behaviour   string
	steps       []step

	issued, identity *issued
}

func (c *cell) String() string {
	return fmt.Sprintf("%s %s to %s, %s %s, %s, %s", c.id, c.stack.name, c.server, c.shape, c.host(), c.certificate, c.behaviour)
}

// host is what the client is told to go to.
func (c *cell) host() string {
	if c.name == "" || c.shape == shapeNone {
		return c.addr.Addr().String()
	}
	return c.name
}

// subject is whom the certificate is for.
func (c *cell) subject() string {
	if c.name == "" {
		return c.addr.Addr().String()
	}
	return c.name
}

func (c *cell) url() string {
	if c.port == 443 {
		return "https://" + c.host()
	}
	return fmt.Sprintf("https://%s:%d", c.host(), c.port)
}

func (c *cell) version() string {
	if c.tls12 {
		return "1.2"
	}
	return "1.3"
}

// capture is the file with the cell's packets, below the folder of captures.
func (c *cell) capture() string { return path.Join("lab", c.set, c.stack.name+".pcap") }

// trusted reports whether the client can check the certificate; it takes any otherwise.
func (c *cell) trusted() bool {
	return slices.Contains([]string{publicCA, privateCA, fresh90}, c.certificate) && c.shape != shapeNone
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

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// sampler makes cells; the same seed makes the same ones.
type sampler struct {
	rng   *rand.Rand
	names map[string]bool
	cells []*cell
}

// name makes a name of a shape that no other cell has.
func (s *sampler) name(shape string) string {
	for {
		r := s.rng
		domain := pick(r, words) + pick(r, []string{"", "-"}) + pick(r, words)
		if r.IntN(4) == 0 {
			domain = pick(r, words) + fmt.Sprint(r.IntN(100))
		}
		var name string
		switch shape {
		case shapeAddress:
			return ""
		case shapeOdd:
			name = letters(r, 8+r.IntN(12)) + "." + pick(r, oddLevels)
		case "1 label":
			name = pick(r, hostWords) + pick(r, []string{"", "01", "2", "-srv", "-prod", fmt.Sprint(r.IntN(1000))})
		case "2 labels", shapeNone:
			name = domain + "." + pick(r, topLevels)
		case "3 labels":
			name = pick(r, services) + "." + domain + "." + pick(r, topLevels)
		default: // 4 labels
			name = pick(r, services) + "." + pick(r, regions) + "." + domain + "." + pick(r, topLevels)
		}
		if !s.names[name] {
			s.names[name] = true
			return name
		}
	}
}

var paths = []wire.Path{
	{RTT: time.Millisecond, Rate: 100e6},
	{RTT: 20 * time.Millisecond, Rate: 12e6},
	{RTT: 20 * time.Millisecond, Rate: 6e6, Loss: .003},
	{RTT: 80 * time.Millisecond, Rate: 4e6},
}

// add completes and keeps a cell.
func (s *sampler) add(c *cell) {
	c.id = fmt.Sprintf("%s%04d", c.set[:1], len(s.cells))
	c.path = pick(s.rng, paths)
	c.name = s.name(c.shape)
	s.cells = append(s.cells, c)
}

var shapes = []string{"1 label", "2 labels", "3 labels", "4 labels", shapeAddress}

// benign adds n cells for every stack: names, certificates and behaviours take
// turns in shuffled order, so that each stack has all of them.
func (s *sampler) benign(stacks []*stack, n int) {
	for _, k := range stacks {
		names, certs := shapes, []string{publicCA, publicCA, privateCA, selfSigned}
		if k.namelessToo {
			names = append(slices.Clone(shapes), shapeNone)
		}
		if k.publicOnly {
			names = []string{"2 labels", "3 labels", "4 labels"}
		}
		behaviours := slices.Clone(k.behaviours)
		s.rng.Shuffle(len(behaviours), func(i, j int) { behaviours[i], behaviours[j] = behaviours[j], behaviours[i] })
		for i := range n {
			c := &cell{
				set: benign, stack: k, server: k.servers[i%len(k.servers)], port: 443,
				shape: names[i%len(names)], certificate: pick(s.rng, certs), behaviour: behaviours[i/len(names)%len(behaviours)],
			}
			if c.shape == "1 label" || c.shape == shapeAddress {
				c.certificate = pick(s.rng, []string{privateCA, selfSigned, selfSigned})
			}
			if s.rng.IntN(6) == 0 {
				c.port = pick(s.rng, []uint16{8443, 9443, 4443, 6443, 8006, 10250})
			}
			quic := c.server == serverQUIC
			c.tls12, c.http1 = !quic && s.rng.IntN(4) == 0, !k.http2Only && s.rng.IntN(3) == 0
			c.steps = behave(s.rng, c.behaviour)
			s.add(c)
		}
	}
}

// logUniform is a size between two, each order of magnitude as likely.
func logUniform(r *rand.Rand, low, high float64) int {
	return int(low * math.Pow(high/low, r.Float64()))
}

// The benign behaviours.
const (
	oneRequest  = "one request"
	fewRequests = "few requests"
	longPolling = "long polling"
	download    = "download"
	upload      = "upload"
	calls       = "api calls"
	resumption  = "reconnects"
	messages    = "messages" // small ones in a long connection, as of logs, brokers and databases
)

var web = []string{oneRequest, fewRequests, longPolling, download, upload, calls, resumption}

// behave makes the steps of a benign behaviour.
func behave(r *rand.Rand, behaviour string) (steps []step) {
	small := func() int { return logUniform(r, 150, 40_000) }
	switch behaviour {
	case oneRequest:
		steps = append(steps, get(small(), 0))
	case fewRequests:
		for range 3 + r.IntN(5) {
			steps = append(steps, get(small(), 0), sleep(r.IntN(900)))
		}
	case longPolling:
		for range 3 + r.IntN(3) {
			steps = append(steps, get(80+r.IntN(500), 400+r.IntN(1600)))
		}
	case download:
		steps = append(steps, get(logUniform(r, 150_000, 4_000_000), 0))
	case upload:
		steps = append(steps, post(logUniform(r, 80_000, 2_000_000), 20+r.IntN(300)))
	case calls:
		for range 3 + r.IntN(5) {
			steps = append(steps, post(60+r.IntN(1500), 30+r.IntN(4000)), sleep(100+r.IntN(700)))
		}
	case resumption:
		for range 3 {
			steps = append(steps, get(small(), 0), sleep(50), fresh())
		}
	case messages:
		for range 5 + r.IntN(15) {
			steps = append(steps, raw(40+r.IntN(900), []int{0, 4, 20, 300}[r.IntN(4)]), sleep(50+r.IntN(600)))
		}
	}
	return steps
}

// The kinds of beacons.
const (
	checkIn = "check-in" // small requests of fixed size, each a connection, at jittered intervals
	session = "session"  // one long connection with small periodic messages, client certificate
	tasking = "tasking"  // small, then one large transfer
	tunnel  = "doh"      // many small queries in one HTTP/2 connection, upload-heavy
	exploit = "exploit"  // one short request to an address, then perhaps a callback
)

// beacons adds n cells of each kind for every stack that can carry it out.
func (s *sampler) beacons(stacks []*stack, n int) {
	r := s.rng
	for _, k := range stacks {
		for _, kind := range k.kinds {
			for range n {
				c := &cell{
					set: beacons, stack: k, port: pick(r, []uint16{443, 443, 443, 8443, 4443, 8888, 31337}),
					server:      pick(r, []string{serverGo, serverGo, serverNginx, serverPython, serverJava}),
					shape:       pick(r, []string{shapeAddress, shapeAddress, shapeOdd, "2 labels", "3 labels"}),
					certificate: pick(r, []string{freshSelf, freshSelf, fresh90}), behaviour: kind, http1: r.IntN(2) == 0,
				}
				if c.shape == shapeAddress {
					c.certificate = freshSelf
				}
				if k.raw {
					c.server = serverRaw
					if k.namelessToo && r.IntN(2) == 0 {
						c.shape = shapeNone
					}
				}
				if kind == tunnel {
					c.server, c.http1 = pick(r, []string{serverGo, serverNginx}), false
				}
				c.mutual = kind == session && (c.server == serverGo || c.server == serverRaw)
				c.steps = beacon(r, kind, k.raw)
				s.add(c)
			}
		}
	}
}

// beacon makes the steps of a kind of beacon.
func beacon(r *rand.Rand, kind string, bare bool) (steps []step) {
	send := func(n, m int) step {
		if bare {
			return raw(n, m)
		}
		return post(n, m)
	}
	base, jitter := 1000+r.IntN(1500), []float64{0, .1, .3, .5}[r.IntN(4)]
	pause := func() step { return sleep(int(float64(base) * (1 + jitter*(2*r.Float64()-1)))) }
	idle := func() step { return send(48+16*r.IntN(3), 16) } // nothing to report, nothing to do
	beat := send(64+r.IntN(300), 16+r.IntN(80))
	switch kind {
	case checkIn:
		ask := beat
		if !bare && r.IntN(2) == 0 {
			ask = get(16+r.IntN(80), 0)
		}
		for range 6 + r.IntN(4) {
			steps = append(steps, ask, fresh(), pause())
		}
	case session:
		for range 8 + r.IntN(5) {
			steps = append(steps, beat, pause())
		}
	case tasking:
		for range 2 + r.IntN(3) {
			steps = append(steps, idle(), pause())
		}
		if r.IntN(2) == 0 { // a stage or tool arrives
			steps = append(steps, send(64, logUniform(r, 100_000, 1_500_000)))
		} else { // files leave
			steps = append(steps, send(logUniform(r, 100_000, 2_000_000), 16))
		}
		for range 1 + r.IntN(2) {
			steps = append(steps, pause(), idle())
		}
	case tunnel:
		size := 180 + r.IntN(60)
		for range 60 + r.IntN(60) {
			steps = append(steps, post(size, []int{90, 128, 128, 468}[r.IntN(4)]))
			if r.IntN(6) == 0 {
				steps = append(steps, sleep(30+r.IntN(300)))
			}
		}
	case exploit:
		switch r.IntN(3) {
		case 0: // an answer that says no
			steps = append(steps, step{verb: "get", path: "/" + letters(r, 40+r.IntN(300))})
		case 1: // a long request, a short answer
			steps = append(steps, post(800+r.IntN(4000), 20+r.IntN(200)))
		case 2: // a callback that fetches a script
			steps = append(steps, get(300+r.IntN(30_000), 0))
		}
	}
	return steps
}
