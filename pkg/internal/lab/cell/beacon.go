package cell

import (
	"math/rand/v2"

	"trench/pkg/internal/lab/pki"
	"trench/pkg/internal/lab/plan"
)

// The kinds of beacons.
const (
	CheckIn = "check-in" // small requests of fixed size, each a connection, at jittered intervals
	Session = "session"  // one long connection with small periodic messages, a client certificate where the server is Go's
	Tasking = "tasking"  // small, then one large transfer
	Tunnel  = "doh"      // many small queries in one HTTP/2 connection that carry data out
	Exploit = "exploit"  // one short request, refused, or a callback that fetches something
)

// beacons adds n cells of each kind for every stack that carries it out.
func (s *sampler) beacons(stacks []*Stack, n int) {
	for _, k := range stacks {
		for _, kind := range k.Kinds {
			for range n {
				s.add(s.beacon(k, kind))
			}
		}
	}
}

func (s *sampler) beacon(k *Stack, kind string) *Cell {
	r := s.rng
	c := &Cell{
		Set: Beacons, Stack: k, Server: pick(r, []string{ServerGo, ServerGo, ServerNginx, ServerPython, ServerJava}),
		Port:      pick(r, []uint16{443, 443, 443, 8443, 4443, 8888, 31337}),
		Shape:     pick(r, []string{ShapeAddress, ShapeAddress, ShapeOdd, "2 labels", "3 labels"}),
		Behaviour: kind, HTTP1: r.IntN(2) == 0,
	}
	switch {
	case k.Raw:
		c.Server = ServerRaw
		if k.Nameless && r.IntN(2) == 0 {
			c.Shape = ShapeNone
		}
	case len(k.Servers) == 1:
		c.Server = k.Servers[0]
	case kind == Tunnel:
		c.Server, c.HTTP1 = pick(r, []string{ServerGo, ServerNginx}), false
	}
	c.Certificate = pick(r, []string{pki.FreshSelf, pki.FreshSelf, pki.FreshPublic})
	if c.Shape == ShapeAddress {
		c.Certificate = pki.FreshSelf
	}
	c.Subject = pick(r, []string{"localhost", letters(r, 8+r.IntN(10)), pick(r, words) + ".com", ""})
	c.Mutual = kind == Session && (c.Server == ServerGo || c.Server == ServerRaw)
	c.Steps = emulate(r, kind, k.Raw)
	return c
}

// emulate makes the steps of a kind of beacon. Implants sleep for minutes;
// these sleep for 1 to 2.5 s, so that a run is short.
func emulate(r *rand.Rand, kind string, raw bool) (steps []plan.Step) {
	send := plan.Post
	if raw {
		send = plan.Raw
	}
	base, jitter := 1000+r.IntN(1500), pick(r, []float64{0, .1, .3, .5})
	pause := func() plan.Step { return plan.Sleep(int(float64(base) * (1 + jitter*(2*r.Float64()-1)))) }
	beat := send(64+r.IntN(300), 16+r.IntN(80))
	switch kind {
	case CheckIn:
		if !raw && r.IntN(2) == 0 {
			beat = plan.Get(16+r.IntN(80), 0)
		}
		for range 6 + r.IntN(4) {
			steps = append(steps, beat, plan.Fresh(), pause())
		}
	case Session:
		for range 8 + r.IntN(5) {
			steps = append(steps, beat, pause())
		}
	case Tasking:
		for range 2 + r.IntN(3) {
			steps = append(steps, beat, pause())
		}
		if r.IntN(2) == 0 {
			steps = append(steps, send(64, logUniform(r, 100_000, 1_500_000))) // a stage arrives
		} else {
			steps = append(steps, send(logUniform(r, 100_000, 2_000_000), 16)) // files leave
		}
		for range 1 + r.IntN(2) {
			steps = append(steps, pause(), beat)
		}
	case Tunnel:
		size := 180 + r.IntN(60)
		for range 60 + r.IntN(60) {
			steps = append(steps, plan.Post(size, pick(r, []int{90, 128, 128, 468})))
			if r.IntN(6) == 0 {
				steps = append(steps, plan.Sleep(30+r.IntN(300)))
			}
		}
	case Exploit:
		switch r.IntN(3) {
		case 0: // an answer that says no
			steps = append(steps, plan.Step{Verb: "get", Path: "/" + letters(r, 40+r.IntN(300))})
		case 1: // a long request, a short answer
			steps = append(steps, plan.Post(800+r.IntN(4000), 20+r.IntN(200)))
		case 2: // a callback that fetches a script
			steps = append(steps, plan.Get(300+r.IntN(30_000), 0))
		}
	}
	return steps
}
