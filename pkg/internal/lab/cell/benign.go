package cell

import (
	"math/rand/v2"
	"slices"

	"trench/pkg/internal/lab/pki"
	"trench/pkg/internal/lab/plan"
)

// What benign clients do.
const (
	OneRequest  = "one request"
	FewRequests = "few requests"
	LongPolling = "long polling"
	Download    = "download"
	Upload      = "upload"
	Calls       = "api calls"
	Reconnects  = "reconnects" // with a session to resume
	Messages    = "messages"   // small ones in a long connection, as of logs, brokers and databases
)

// Web is what every HTTP client can do.
func Web() []string {
	return []string{OneRequest, FewRequests, LongPolling, Download, Upload, Calls, Reconnects}
}

// benign adds n cells for every stack: servers and names take turns, behaviours
// in shuffled order, so that each stack has all of them.
func (s *sampler) benign(stacks []*Stack, n int) {
	r := s.rng
	for _, k := range stacks {
		shapes := []string{"1 label", "2 labels", "3 labels", "4 labels", ShapeAddress}
		if k.Nameless {
			shapes = append(shapes, ShapeNone)
		}
		if k.Public {
			shapes = []string{"2 labels", "3 labels", "4 labels"}
		}
		behaviours := slices.Clone(k.Behaviours)
		r.Shuffle(len(behaviours), func(i, j int) { behaviours[i], behaviours[j] = behaviours[j], behaviours[i] })
		for i := range n {
			c := &Cell{
				Set: Benign, Stack: k, Server: k.Servers[(i+i/len(shapes))%len(k.Servers)], Port: 443, Shape: shapes[i%len(shapes)],
				Certificate: pick(r, []string{pki.Public, pki.Public, pki.Private, pki.SelfSigned}), Behaviour: behaviours[i/len(shapes)%len(behaviours)],
			}
			if c.Shape == "1 label" || c.Shape == ShapeAddress { // no public authority names such
				c.Certificate = pick(r, []string{pki.Private, pki.SelfSigned, pki.SelfSigned})
			}
			if r.IntN(6) == 0 {
				c.Port = pick(r, []uint16{8443, 9443, 4443, 6443, 8006, 10250})
			}
			c.TLS12, c.HTTP1 = c.Server != ServerQUIC && r.IntN(4) == 0, !k.HTTP2 && r.IntN(3) == 0
			c.Mutual = k.Raw && r.IntN(3) == 0
			c.Steps = behave(r, c.Behaviour)
			s.add(c)
		}
	}
}

// behave makes the steps of a behaviour.
func behave(r *rand.Rand, behaviour string) (steps []plan.Step) {
	small := func() plan.Step { return plan.Get(logUniform(r, 150, 40_000), 0) }
	switch behaviour {
	case OneRequest:
		steps = append(steps, small())
	case FewRequests:
		for range 3 + r.IntN(5) {
			steps = append(steps, small(), plan.Sleep(r.IntN(900)))
		}
	case LongPolling:
		for range 3 + r.IntN(3) {
			steps = append(steps, plan.Get(80+r.IntN(500), 400+r.IntN(1600)))
		}
	case Download:
		steps = append(steps, plan.Get(logUniform(r, 150_000, 4_000_000), 0))
	case Upload:
		steps = append(steps, plan.Post(logUniform(r, 80_000, 2_000_000), 20+r.IntN(300)))
	case Calls:
		for range 3 + r.IntN(5) {
			steps = append(steps, plan.Post(60+r.IntN(1500), 30+r.IntN(4000)), plan.Sleep(100+r.IntN(700)))
		}
	case Reconnects:
		for range 3 {
			steps = append(steps, small(), plan.Sleep(50), plan.Fresh())
		}
	case Messages:
		for range 5 + r.IntN(15) {
			steps = append(steps, plan.Raw(40+r.IntN(900), pick(r, []int{0, 4, 20, 300})), plan.Sleep(50+r.IntN(600)))
		}
	}
	return steps
}
