package features

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"trench/pkg/tlswire"
)

// The lists below decide what a class means. Their text is hashed into every
// column of the groups that use them, so a change is a change of the columns.
const (
	// suiteColumns are the suites with a bit of their own, in column order.
	suiteColumns = "1301 1302 1303 c02b c02f c02c c030 cca9 cca8 c013 c014 c009 c00a c023 c024 c027 c028 009c 009d 002f 0035 " +
		"003c 003d 000a 0005 0004 009e 009f 0033 0039 0067 006b"

	// extensionColumns are the extensions with a bit of their own. 17613 counts as 17513.
	extensionColumns = "5 10 11 13 16 18 21 22 23 27 28 34 35 41 42 43 45 49 50 51 13172 17513 65037 65281"

	// knownExtensions are those of the IANA registry, and those that common
	// clients used before they were registered or without that: NPN (13172), ALPS
	// (17513, 17613), channel id (30031, 30032), the draft of padding (35655),
	// trust anchors (51764), draft QUIC parameters (65445), ESNI (65486).
	knownExtensions = "0-39 41-45 47-62 13172 17513 17613 30031 30032 35655 51764 65037 65281 65445 65486"

	// groupList is class, then numbers of supported groups.
	groupList = `1 29 30
2 21 23 24 25
3 256 257 258 259 260
4 4587 4588 4589 16696 25497 25498
5 512 513 514
6 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 22 26 27 28 31 32 33 34 35 36 37 38 39 40 41`

	// alpnList is class, then protocol names.
	alpnList = `1 http/1.1 http/1.0 http/0.9
2 h2 h2c
3 h3 h3-27 h3-28 h3-29 h3-30 h3-31 h3-32 h3-33 h3-34 hq hq-interop
4 spdy/1 spdy/2 spdy/3 spdy/3.1 grpc-exp
5 imap pop3 managesieve smtp ftp nntp
6 stun.turn stun.nat-discovery webrtc c-webrtc
7 dot doq acme-tls/1 mqtt xmpp-client xmpp-server irc postgresql tds/8.0 ntske/1 coap sip/2 smb rdp`

	// keyList is class, then key types of certificates.
	keyList = `1 rsa
2 ecdsa
3 ed25519 ed448 x25519 x448
4 dsa dh
5 gost
6 ml-dsa`

	// tldList is class, then top-level domains; the first class that lists one counts.
	tldList = `5 local localhost localdomain lan home internal intranet corp private test example invalid onion i2p arpa
3 tk ml ga cf gq pw cc ws su to top xyz club icu cyou cfd sbs buzz bond rest monster quest click link live life work world
3 site online website space store tech fun host press shop vip win bid loan men date racing review stream download science party trade
3 accountant cricket faith webcam gdn mom ooo zip mov beauty hair skin makeup autos boats homes motorcycles yachts best fit surf
1 com net org edu gov mil int info biz name pro aero coop museum mobi jobs tel travel cat asia post`

	// dynamicDNS are domains whose names anybody can have pointed to a changing address.
	dynamicDNS = `3322.org 8866.org 9966.org 2288.org 6600.org 7766.org f3322.net access.ly blogsyte.com bounceme.net
changeip.com changeip.org changeip.net chickenkiller.com cable-modem.org cloudns.cl cloudns.cc cloudns.nz cloudns.ph ddns.me ddns.net
ddns.info ddns.name ddns.us ddnsfree.com ddnsgeek.com ddnsguru.com dns-dynamic.net dnsalias.com dnsalias.net dnsalias.org dnsdojo.com
dnsdojo.net dnsdojo.org dnsdynamic.org dnset.com dnsfor.me dontexist.com dontexist.net dontexist.org duckdns.org dumb1.com dvrcam.info
dvrdns.org dyn.com dyn-o-saur.com dynalias.com dynalias.net dynalias.org dynamic-dns.net dynamicdns.biz dynathome.net dyndns.biz
dyndns.info dyndns.org dyndns.tv dyndns.ws dyndns-at-home.com dyndns-at-work.com dyndns-free.com dyndns-home.com dyndns-ip.com
dyndns-office.com dyndns-remote.com dyndns-server.com dyndns-web.com dyndns-wiki.com dyndns-work.com dynserv.com dynssl.com dynu.com
dynu.net dynuddns.com dynuddns.net dynv6.net freeddns.org freedynamicdns.net freedynamicdns.org ftpserver.biz giize.com gleeze.com
gotdns.com gotdns.org got-game.org hldns.ru hopto.me hopto.org homedns.org homeftp.net homeftp.org homeip.net homelinux.com
homelinux.net homelinux.org homeunix.com homeunix.net homeunix.org ignorelist.com instanthq.com ip-dynamic.com itemdb.com
jkub.com jumpingcrab.com justdied.com kozow.com loseyourip.com mooo.com mrface.com mrbasic.com myddns.rocks mydissent.net
mydns.jp myds.me myeffect.net myfirewall.org myftp.biz myftp.name myftp.org mymediapc.net mynetav.net mynumber.org mypets.ws
mypsx.net myvnc.com my03.com ninth.biz no-ip.biz no-ip.ca no-ip.co.uk no-ip.info no-ip.net no-ip.org noip.me noip.us now-dns.com
now-dns.net now-dns.org ns01.biz ns01.info ns01.us ns02.biz ns02.info ns02.us nsupdate.info ntdll.top onthewifi.com ooguy.com
organiccrap.com otzo.com point2this.com qhigh.com quicksytes.com redirectme.net selfip.biz selfip.com selfip.info selfip.net
selfip.org selfhost.eu sendsmtp.com serveblog.net servebbs.com servebeer.com servecounterstrike.com serveftp.com serveftp.net
servegame.com servegame.org servehalflife.com servehttp.com serveirc.com serveminecraft.net servemp3.com servepics.com servequake.com
serveuser.com serveusers.com sexxxy.biz spdns.de spdns.org squirly.info strangled.net sytes.net system-ns.net theworkpc.com
toh.info topddns.com toythieves.com twilightparadox.com twodns.de us.to uk.to viewdns.net vizvaz.com webhop.info webhop.me
webhop.net webhop.org webredirect.org wikaba.com x64.me xxuz.com ygto.com yourtrap.com zapto.org zyns.com 4dq.com 4mydomain.com
afraid.org crabdance.com ddnslive.com dynip.online casacam.net camdvr.org accesscam.org mywire.org`
)

//go:embed bigrams.txt
var bigramText string

// The bits of a suite's entry; its class stands in the upper half and its
// column, counted from 1, in the upper byte.
const (
	suiteAEAD = 1 << iota
	suitePFS
	suiteWeak
	suiteSignal // not a suite: a signal in the place of one

	suiteClassShift  = 4
	suiteColumnShift = 8
)

// Classes of suites, worst first.
const (
	classUnknown = iota
	classOpen    // no encryption, no authentication, or export strength
	classBroken  // RC4, RC2, DES, 3DES, IDEA, or an MD5 MAC
	classCBC     // others with SHA-1
	classCBCSHA2 // others with SHA-2
	classAEAD    // authenticated encryption, long-lived key exchange
	classAEADPFS // authenticated encryption, ephemeral key exchange
	classTLS13   // TLS 1.3
)

// classifySuite derives a suite's class from the words of its registered name.
func classifySuite(id uint16) uint16 {
	name := tlswire.CipherName(id)
	if strings.HasPrefix(name, "0x") {
		return classUnknown
	}
	if strings.HasSuffix(name, "_SCSV") {
		return suiteSignal
	}
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(name, w) {
				return true
			}
		}
		return false
	}
	tls13 := !has("_WITH_") && !has("SSL_")
	open := has("NULL", "anon", "EXPORT") || name == "TLS_SHA256_SHA256" || name == "TLS_SHA384_SHA384"
	broken := has("RC4", "RC2", "DES", "IDEA", "_MD5")
	var flags uint16
	if !open && has("GCM", "CCM", "CHACHA20", "_MGM", "AEGIS", "OCB") {
		flags |= suiteAEAD
	}
	if tls13 || !has("anon") && has("DHE_", "ECCPWD") {
		flags |= suitePFS
	}
	if open || broken {
		flags |= suiteWeak
	}
	class := classCBC
	switch {
	case open:
		class = classOpen
	case broken:
		class = classBroken
	case tls13:
		class = classTLS13
	case flags&suiteAEAD != 0 && flags&suitePFS != 0:
		class = classAEADPFS
	case flags&suiteAEAD != 0:
		class = classAEAD
	case has("_SHA256", "_SHA384", "_SHA512"):
		class = classCBCSHA2
	}
	return uint16(class)<<suiteClassShift | flags
}

// pages is a sparse table over 16-bit numbers.
type pages[V any] [256]*[256]V

func (p *pages[V]) at(id uint16) (v V) {
	if page := p[id>>8]; page != nil {
		return page[id&0xff]
	}
	return v
}

func (p *pages[V]) set(id uint16, v V) {
	if p[id>>8] == nil {
		p[id>>8] = new([256]V)
	}
	p[id>>8][id&0xff] = v
}

// Marks of an extension's entry; its column, counted from 1, stands above.
const (
	extensionKnown       = 1
	extensionColumnShift = 8
)

const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789-"

// lists is the parsed form of all of the above.
type lists struct {
	suites     pages[uint16]
	suiteText  string
	extensions pages[uint16]
	groups     pages[uint8]
	alpn       map[string]uint8
	keys       map[string]uint8
	tlds       map[string]uint8
	dynamic    map[string]bool
	letters    [256]int8 // place in alphabet, -1 for others
	bigrams    [len(alphabet)][len(alphabet)]float64
}

var allLists = sync.OnceValue(func() *lists {
	l := &lists{alpn: map[string]uint8{}, keys: map[string]uint8{}, tlds: map[string]uint8{}, dynamic: map[string]bool{}}
	var text strings.Builder
	for id := range 0x10000 {
		if hi := id >> 8; hi != 0 && hi != 0x13 && hi != 0x56 && hi < 0xc0 {
			continue // nothing is registered there
		}
		if v := classifySuite(uint16(id)); v != 0 {
			l.suites.set(uint16(id), v)
			fmt.Fprintf(&text, "%04x %02x\n", id, v)
		}
	}
	l.suiteText = text.String()
	for i, id := range suiteIDs() {
		l.suites.set(id, l.suites.at(id)|uint16(i+1)<<suiteColumnShift)
	}
	for _, r := range strings.Fields(knownExtensions) {
		from, to, ok := strings.Cut(r, "-")
		if !ok {
			to = from
		}
		for id := number(from, 10); ; id++ {
			l.extensions.set(id, extensionKnown)
			if id == number(to, 10) {
				break
			}
		}
	}
	for i, id := range extensionIDs() {
		l.extensions.set(id, extensionKnown|uint16(i+1)<<extensionColumnShift)
		if id == 17513 {
			l.extensions.set(17613, l.extensions.at(id))
		}
	}
	classes(groupList, func(word string, class uint8) { l.groups.set(number(word, 10), class) })
	classes(alpnList, func(word string, class uint8) { l.alpn[word] = class })
	classes(keyList, func(word string, class uint8) { l.keys[word] = class })
	classes(tldList, func(word string, class uint8) {
		if l.tlds[word] == 0 {
			l.tlds[word] = class
		}
	})
	for _, d := range strings.Fields(dynamicDNS) {
		l.dynamic[d] = true
	}
	for i := range l.letters {
		l.letters[i] = int8(strings.IndexByte(alphabet, byte(i)))
	}
	for i, cell := range strings.Fields(bigramText) {
		v, err := strconv.Atoi(cell)
		if err != nil {
			panic("features: bigrams.txt: " + err.Error())
		}
		l.bigrams[i/len(alphabet)][i%len(alphabet)] = float64(v) / 100
	}
	return l
})

// number parses a number of the lists above.
func number(s string, base int) uint16 {
	v, err := strconv.ParseUint(s, base, 16)
	if err != nil {
		panic("features: list: " + err.Error())
	}
	return uint16(v)
}

// classes calls set for every word of a list with its class.
func classes(list string, set func(word string, class uint8)) {
	for line := range strings.Lines(list) {
		words := strings.Fields(line)
		for _, w := range words[1:] {
			set(w, uint8(number(words[0], 10)))
		}
	}
}

func suiteIDs() (ids []uint16) {
	for _, s := range strings.Fields(suiteColumns) {
		ids = append(ids, number(s, 16))
	}
	return ids
}

func extensionIDs() (ids []uint16) {
	for _, s := range strings.Fields(extensionColumns) {
		ids = append(ids, number(s, 10))
	}
	return ids
}

// listsDigest is hex SHA-256 over the lists that a group's columns use, empty
// for groups that use none.
func listsDigest(group string) string {
	var used []string
	switch group {
	case "ch":
		used = []string{allLists().suiteText, groupList, alpnList, knownExtensions}
	case "sh":
		used = []string{allLists().suiteText, groupList, alpnList}
	case "ct":
		used = []string{keyList}
	case "sn":
		used = []string{tldList, dynamicDNS, bigramText}
	default:
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(used, "\x00")))
	return hex.EncodeToString(sum[:])
}
