package assemble

import (
	"strings"
	"time"

	"trench/pkg/dnswire"
	"trench/pkg/flow"
	"trench/pkg/httpwire"
	"trench/pkg/packet"
)

// Teaches reports whether flows of other tables need to know of a packet: it is a
// DNS response or, with http_context, the start of an HTTP message.
func (c Config) Teaches(v *packet.View) bool {
	return IsDNSResponse(v) || c.HTTPContext && isHTTPMessage(v)
}

// Learn remembers a packet that another table accounts for, so that tables which
// share a capture know the same. The packet must be one that Teaches.
func (t *Table) Learn(v *packet.View) {
	if v.Key.Protocol == packet.ProtocolTCP {
		t.surf(v)
		return
	}
	t.dns.learn(v)
	t.count(v)
}

// answerCounts counts the DNS answers to a client up to one of them.
type answerCounts struct {
	responses, negative uint32 // this one included; they wrap
	no                  bool   // this one said that the name does not exist
}

// count enters a DNS response into what its client was answered.
func (t *Table) count(v *packet.View) {
	const nxdomain = 3
	_, rcode, ok := dnswire.Summary(v.Payload)
	no := ok && rcode == nxdomain
	t.answers.add(addrOf(v, !v.Forward), v.Time, func(last answerCounts) answerCounts {
		last.responses++
		if last.no = no; no {
			last.negative++
		}
		return last
	})
}

// look sums up what the client of a flow with a handshake was answered, and
// exchanged, before its first packet.
func (t *Table) look(c *conn) {
	client := clientAddr{c.key.A, c.key.Version}
	if c.client == sideB {
		client.addr = c.key.B
	}
	c.answers = t.answersBefore(client, c.first)
	if t.cfg.HTTPContext {
		c.http = t.webBefore(client, c.first)
	}
}

func (t *Table) answersBefore(client clientAddr, time int64) (d flow.DNSContext) {
	if len(t.answers.byClient) == 0 {
		return d
	}
	list := t.answers.before(client, time)
	if len(list) == 0 {
		return d
	}
	first, last := list[0].what, list[len(list)-1].what
	d.Responses, d.Negative = last.responses-first.responses+1, last.negative-first.negative
	if first.no {
		d.Negative++
	}
	return d
}

// addrOf returns one of a packet's addresses: of its key's A side, or B.
func addrOf(v *packet.View, a bool) clientAddr {
	if a {
		return clientAddr{v.Key.A, v.Key.Version}
	}
	return clientAddr{v.Key.B, v.Key.Version}
}

// httpAge is how long an HTTP message counts.
const httpAge = 5 * int64(time.Minute)

// exchange is one HTTP message of a client: a request, or what it was answered.
type exchange struct {
	flow.HTTPContext        // of this message alone
	contentType      string // of a response, in lower case
}

func isHTTPMessage(v *packet.View) bool {
	return v.Key.Protocol == packet.ProtocolTCP && len(v.Payload) > 0 && (httpwire.LooksLikeRequest(v.Payload) || httpwire.LooksLikeResponse(v.Payload))
}

// surf enters the first message of a segment into what its client exchanged.
func (t *Table) surf(v *packet.View) {
	var e exchange
	client := addrOf(v, v.Forward)
	if requests := httpwire.ParseRequests(v.Payload); len(requests) > 0 {
		r := &requests[0]
		e.Requests, e.Fields = 1, uint32(len(r.Headers))
		e.Posts, e.Programs = one(r.Method == "POST"), one(httpwire.IsProgramTarget(r.Target))
		e.UserAgents, e.UserAgentBytes = one(r.UserAgent != ""), uint32(len(r.UserAgent))
		e.Referers = one(httpwire.Field(r.Headers, "Referer") != "")
	} else if responses := httpwire.ParseResponses(v.Payload); len(responses) > 0 {
		r := &responses[0]
		client = addrOf(v, !v.Forward)
		e.contentType = clip(strings.ToLower(httpwire.MediaType(httpwire.Field(r.Headers, "Content-Type"))))
		e.Responses, e.Errors, e.Programs, e.Server = 1, one(r.Status >= 400), one(httpwire.IsProgramType(e.contentType)), clip(r.Server)
	} else {
		return
	}
	t.web.add(client, v.Time, func(exchange) exchange { return e })
}

// clip bounds what is remembered of a field, to more than any value that counts has.
func clip(s string) string {
	const most = 96
	return strings.Clone(s[:min(len(s), most)])
}

func one(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

func (t *Table) webBefore(client clientAddr, time int64) *flow.HTTPContext {
	list := t.web.before(client, time)
	sum := new(flow.HTTPContext)
	types := map[string]bool{}
	for i := range list {
		e := &list[i].what
		sum.Requests += e.Requests
		sum.Fields += e.Fields
		sum.UserAgents += e.UserAgents
		sum.UserAgentBytes += e.UserAgentBytes
		sum.Posts += e.Posts
		sum.Referers += e.Referers
		sum.Responses += e.Responses
		sum.Errors += e.Errors
		sum.Programs += e.Programs
		if e.Server != "" {
			sum.Server = e.Server
		}
		if e.contentType != "" {
			types[e.contentType] = true
		}
	}
	sum.ContentTypes = uint32(len(types))
	return sum
}
