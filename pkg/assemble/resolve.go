package assemble

import (
	"net/netip"
	"time"

	"trench/pkg/dnswire"
	"trench/pkg/flow"
	"trench/pkg/packet"
)

// maxResolution bounds the DNS response that is remembered.
const maxResolution = 4096

// resolution is a DNS response that named an address.
type resolution struct {
	time    int64 // ns since the Unix epoch
	message []byte
}

// pair is who asked and what address the answer gave.
type pair struct {
	client, server [16]byte
	version        uint8
}

// resolutions remembers which response named which address for which client.
// The oldest answers make room for new ones, and go when nothing asks for them any
// more.
type resolutions struct {
	age     int64 // ns
	limit   int
	byPair  map[pair]named
	late    bool        // keep the answers before the last one
	order   ring[asked] // of arrival
	dropped uint64      // given up before their age
}

// named is the response that named an address last, and with late those before it.
type named struct {
	res    *resolution
	before *named
}

// history is how many responses of one pair are kept for late look-ups.
const history = 32

type asked struct {
	pair pair
	res  *resolution
}

func newResolutions(limit int, age int64, late bool) resolutions {
	return resolutions{age: age, limit: limit, late: late, byPair: make(map[pair]named)}
}

func (r *resolutions) clear() {
	clear(r.byPair)
	r.order.clear()
}

// learn remembers the addresses that a DNS response gives.
func (r *resolutions) learn(v *packet.View) {
	b := v.Payload
	if len(b) < 12 || b[2]&0x80 == 0 || len(b) > maxResolution || int(v.Length) != len(b) {
		return
	}
	p := pair{version: v.Key.Version}
	p.client = v.Key.A // the response goes to who asked
	if v.Forward {
		p.client = v.Key.B
	}
	var res *resolution
	dnswire.AnswerAddrs(b, func(a netip.Addr) {
		a = a.Unmap()
		p.server = [16]byte{}
		if a.Is4() {
			four := a.As4()
			copy(p.server[:], four[:])
			if p.version != 4 { // asked over IPv6 for an IPv4 server: another client address
				return
			}
		} else {
			if p.version != 6 {
				return
			}
			p.server = a.As16()
		}
		if res == nil {
			res = &resolution{time: v.Time, message: append([]byte(nil), b...)}
		}
		r.put(p, res)
	})
}

func (r *resolutions) put(p pair, res *resolution) {
	if r.order.n == r.limit {
		if res.time-r.order.oldest().res.time < r.age {
			r.dropped++
		}
		r.forget()
	}
	n := named{res: res}
	if last, ok := r.byPair[p]; ok && r.late {
		n.before = &last
		end := &n
		for range history {
			if end = end.before; end == nil {
				break
			}
		}
		if end != nil {
			end.before = nil
		}
	}
	r.byPair[p] = n
	r.order.push(asked{p, res})
}

// forget gives up the oldest answer.
func (r *resolutions) forget() {
	if old := r.order.pop(); r.byPair[old.pair].res == old.res {
		delete(r.byPair, old.pair)
	}
}

// expire forgets answers that are too old at a time.
func (r *resolutions) expire(now int64) {
	for r.order.n > 0 && elapsed(r.order.oldest().res.time, now)-slack > r.age {
		r.forget()
	}
}

// lookup finds the response that led to a flow with its first packet at a time,
// sent by the A side of its key if forward.
func (r *resolutions) lookup(k *flow.Key, forward bool, first int64) *resolution {
	if len(r.byPair) == 0 {
		return nil
	}
	p := pair{client: k.A, server: k.B, version: k.Version}
	if !forward {
		p.client, p.server = p.server, p.client
	}
	n, ok := r.byPair[p]
	if !ok { // the first packet may be the server's
		p.client, p.server = p.server, p.client
		n = r.byPair[p]
	}
	for ; n.res != nil; n = *n.before {
		if first >= n.res.time {
			if first-n.res.time > r.age {
				return nil
			}
			return n.res
		}
		if n.before == nil {
			return nil
		}
	}
	return nil
}

// lateFor is how long after its first packet each packet of a flow looks for late
// answers.
const lateFor = int64(time.Second)

// resolveLate looks for an answer that came after the flow's first packet although
// it is older: other tables tell theirs late.
func (t *Table) resolveLate(c *conn) {
	if !t.cfg.LateAnswers {
		return
	}
	if late := t.dns.lookup(&c.key, c.opener == sideA, c.first); late != nil && (c.resolution == nil || late.time > c.resolution.time) {
		c.resolution = late
	}
	if c.handshakes() && c.last-c.first < lateFor { // later, what was before the flow is forgotten bit by bit
		t.look(c)
	}
}

// IsDNSResponse reports whether v may hold addresses worth remembering.
func IsDNSResponse(v *packet.View) bool {
	return v.Key.Protocol == packet.ProtocolUDP && len(v.Payload) >= 12 && v.Payload[2]&0x80 != 0 && dnswire.LooksLikeMessage(v.Payload)
}
