package features

import (
	"fmt"
	"math"
	"strings"

	"trench/pkg/flow"
	"trench/pkg/httpwire"
)

// serverClasses is class, then beginnings of the Server field in lower case; the
// first that fits counts. It is part of ht_srv_class's definition.
const serverClasses = `1 nginx openresty tengine
2 apache
3 microsoft-iis microsoft-httpapi
4 cloudflare akamai cloudfront amazons3 google gws gse sffe esf ecs ecacc varnish
5 litespeed lighttpd caddy envoy kestrel jetty
6 python simplehttp basehttp werkzeug gunicorn uvicorn aiohttp tornado wsgiserver php webrick cowboy goahead boa mini_httpd micro_httpd thttpd rompager`

// otherServer is the class of a Server field that serverClasses does not have.
const otherServer = 9

// serverClassifier returns what classifies a Server field; no field is class 0.
func serverClassifier() func(server string) float64 {
	type beginning struct {
		text  string
		class uint8
	}
	var known []beginning
	classes(serverClasses, func(word string, class uint8) { known = append(known, beginning{word, class}) })
	return func(server string) float64 {
		if server == "" {
			return 0
		}
		for _, b := range known {
			if len(server) >= len(b.text) && strings.EqualFold(server[:len(b.text)], b.text) {
				return float64(b.class)
			}
		}
		return otherServer
	}
}

// httpColumns is group ht. Anderson and McGrew (AISec 2016) join a TLS flow with
// the HTTP in clear of the same host in the same way.
func httpColumns() []optionalColumn {
	const window = " of the client's HTTP/1 in clear in the 5 minutes before the flow"
	const unwatched = "; NaN when no HTTP was watched"
	const noRequest = unwatched + " or no request seen"
	const noResponse = unwatched + " or no response seen"
	var t []optionalColumn
	add := func(name, unit, doc string, value func(h *flow.HTTPContext) float64) {
		t = append(t, optionalColumn{name, unit, doc + " (AISec 2016)", func(o *optionalFacts) float64 {
			if o.http == nil {
				return math.NaN()
			}
			return value(o.http)
		}})
	}
	// when guards a value that needs what there may be none of.
	when := func(n uint32, v float64) float64 {
		if n == 0 {
			return math.NaN()
		}
		return v
	}
	share := func(a, b uint32) float64 { return ratio(float64(a), float64(b)) }
	class := serverClassifier()

	add("ht_n_req_5m", "requests", "requests"+window+"; 0 without any"+unwatched, func(h *flow.HTTPContext) float64 { return float64(h.Requests) })
	add("ht_has_ua", "bit", "1 if one of the requests"+window+" has a User-Agent, else 0"+noRequest, func(h *flow.HTTPContext) float64 { return when(h.Requests, bit(h.UserAgents > 0)) })
	add("ht_ua_len", "bytes", "mean length of the User-Agent over the requests"+window+" that have one"+unwatched+" or no such request seen",
		func(h *flow.HTTPContext) float64 { return share(h.UserAgentBytes, h.UserAgents) })
	add("ht_n_hdr", "fields", "mean number of header fields of the requests"+window+noRequest, func(h *flow.HTTPContext) float64 { return share(h.Fields, h.Requests) })
	add("ht_n_ctypes", "types", "different Content-Types (without parameters) of the responses"+window+noResponse,
		func(h *flow.HTTPContext) float64 { return when(h.Responses, float64(h.ContentTypes)) })
	add("ht_exe_seen", "bit", "1 if a program was fetched, by the Content-Type of a response (one of "+httpwire.ProgramTypes+") or the end of a request's path (one of "+httpwire.ProgramEndings+
		"), else 0, in what was seen"+window+unwatched+" or none seen", func(h *flow.HTTPContext) float64 { return when(h.Requests|h.Responses, bit(h.Programs > 0)) })
	add("ht_srv_class", "class", fmt.Sprintf("class of the last Server field in the responses%s, by how it begins: 0 no field, %s, %d other%s",
		window, strings.ReplaceAll(serverClasses, "\n", ", "), otherServer, noResponse), func(h *flow.HTTPContext) float64 { return when(h.Responses, class(h.Server)) })
	add("ht_err_ratio", "ratio", "share of status 400 and above in the responses"+window+noResponse, func(h *flow.HTTPContext) float64 { return share(h.Errors, h.Responses) })
	add("ht_post_ratio", "ratio", "share of POST in the requests"+window+noRequest, func(h *flow.HTTPContext) float64 { return share(h.Posts, h.Requests) })
	add("ht_referer_ratio", "ratio", "share of the requests"+window+" with a Referer"+noRequest, func(h *flow.HTTPContext) float64 { return share(h.Referers, h.Requests) })
	return t
}
