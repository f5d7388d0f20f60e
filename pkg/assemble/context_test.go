package assemble

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/flow"
	"trench/pkg/internal/pcapgen"
)

func TestWhatAClientWasAnsweredBeforeIsCounted(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	answer := func(at int64, to netip.AddrPort, rcode byte) {
		m := dnsResponse(netip.MustParseAddr("203.0.113.9"))
		m[3] = m[3]&0xf0 | rcode
		b.ip(at, pcapgen.UDP(resolver, to, m))
	}
	other := netip.MustParseAddrPort("192.0.2.99:5555")
	answer(0, client, 3)          // more than five minutes before
	answer(100*second, client, 3) // counts
	answer(200*second, other, 3)  // another client
	answer(300*second, client, 0) // counts
	answer(390*second, client, 2) // counts, and is no denial
	b.c2s(399*second, 0, pcapgen.SYN, nil)
	answer(399*second+1, client, 3) // later than the first packet
	b.c2s(400*second, 1, pcapgen.ACK, helloOf(1))
	b.t.Flush(start + 500*second)
	for _, f := range b.flows {
		want := flow.DNSContext{}
		if f.App == flow.AppTLS {
			want = flow.DNSContext{Responses: 3, Negative: 1}
		}
		if f.DNS != want {
			t.Errorf("%v: %+v, want %+v", f.App, f.DNS, want)
		}
	}
}

func TestWhatAClientFetchedBeforeIsSummedUpWhenAskedFor(t *testing.T) {
	t.Parallel()
	for _, asked := range []bool{false, true} {
		b := newBench(func(c *Config) { c.HTTPContext = asked })
		web := netip.MustParseAddrPort("203.0.113.80:80")
		surf := func(at int64, from, to netip.AddrPort, text string) {
			b.ip(at, pcapgen.Segment{Src: from, Dst: to, Seq: uint32(at), Flags: pcapgen.ACK, Payload: []byte(text)}.IP())
		}
		browser := netip.AddrPortFrom(client.Addr(), 40000)
		surf(second, browser, web, "GET /old HTTP/1.1\r\nHost: a\r\n\r\n") // too long before
		surf(300*second, browser, web, "GET /setup.EXE?x=1 HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8\r\n\r\n")
		surf(301*second, web, browser, "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: Application/Java-Archive; x=y\r\n\r\n")
		surf(302*second, browser, web, "POST /b HTTP/1.1\r\nReferer: http://a/\r\n\r\n")
		surf(303*second, web, browser, "HTTP/1.1 404 No\r\nContent-Type: text/html\r\n\r\n")
		b.c2s(350*second, 0, pcapgen.SYN, nil)
		b.c2s(351*second, 1, pcapgen.ACK, helloOf(1))
		b.t.Flush(start + 400*second)
		var want *flow.HTTPContext
		if asked {
			want = &flow.HTTPContext{Requests: 2, Fields: 3, UserAgents: 1, UserAgentBytes: 6, Posts: 1, Referers: 1, Responses: 2, Errors: 1, ContentTypes: 2, Programs: 2, Server: "nginx"}
		}
		found := false
		for _, f := range b.flows {
			if f.App != flow.AppTLS {
				continue
			}
			found = true
			if d := cmp.Diff(want, f.HTTP); d != "" {
				t.Errorf("asked %v: %s", asked, d)
			}
		}
		if !found {
			t.Error("no TLS flow")
		}
	}
}

func TestWhatIsRememberedOfClientsIsBounded(t *testing.T) {
	t.Parallel()
	r := newRecent[int](10, 100)
	a, b := clientAddr{version: 4}, clientAddr{version: 6}
	next := func(last int) int { return last + 1 }
	for i := range int64(8) {
		r.add(a, i, next)
		r.add(b, i, next)
	}
	if len(r.before(a, 50)) != 5 || len(r.before(b, 50)) != 5 || r.dropped != 6 {
		t.Errorf("%d and %d events, %d given up", len(r.before(a, 50)), len(r.before(b, 50)), r.dropped)
	}
	if list := r.before(a, 5); len(list) != 3 || list[0].what != 4 || list[2].time != 5 {
		t.Errorf("until 5: %+v", list)
	}
	r.expire(int64(1000) + slack)
	if len(r.byClient) != 0 || r.order.n != 0 {
		t.Errorf("%d clients and %d events after their time", len(r.byClient), r.order.n)
	}
}
