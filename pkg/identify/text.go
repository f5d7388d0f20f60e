package identify

import (
	"bytes"

	"trench/pkg/flow"
	"trench/pkg/httpwire"
)

// textBytes bounds how far a banner is searched.
const textBytes = 256

// text recognises what begins with a line of text.
func text(b []byte) (flow.App, Sender) {
	b = b[:min(len(b), textBytes)]
	if p, from := prefixed(b); p != flow.AppUnknown {
		return p, from
	}
	line, whole := firstLine(b)
	if !whole && len(b) < enoughText || !allPrintable(line) {
		return flow.AppUnknown, SenderUnknown
	}
	word, rest, spaced := bytes.Cut(line, []byte(" "))
	if spaced && len(rest) == 0 {
		return flow.AppUnknown, SenderUnknown
	}
	if digit(line[0]) {
		return reply(b, line)
	}
	if p, from := session(line, word, rest); p != flow.AppUnknown {
		return p, from
	}
	return command(b[len(line):], word, rest)
}

// prefixed recognises what a few first bytes tell, of which some are followed
// by other than text.
func prefixed(b []byte) (flow.App, Sender) {
	switch b[0] {
	case 'A':
		// AMQP 1.0, part 2, section 2.2, and 0-9-1, section 4.2.2: protocol and version.
		if len(b) >= 8 && has(b, "AMQP") && b[4] <= 3 && b[5] <= 1 && b[6] <= 10 {
			return flow.AppAMQP, SenderClient
		}
	case 'C':
		if has(b, "CNXN\x00\x00\x00\x01") || has(b, "CNXN\x01\x00\x00\x01") {
			return flow.AppADB, SenderUnknown
		}
	case 'H', 'O':
		// OPC UA part 6, section 7.1.2: HEL, OPN and the kind of chunk, length.
		if len(b) >= 8 && (has(b, "HELF") || has(b, "OPNF")) && b[6] == 0 && b[7] == 0 {
			return flow.AppOPCUA, SenderClient
		}
	case 'J':
		if has(b, "JRMI\x00\x02") {
			return flow.AppRMI, SenderClient
		}
	case 'P':
		if httpwire.IsHTTP2Preface(b) {
			return flow.AppH2C, SenderClient
		}
		// The PROXY protocol, version 1 (HAProxy, proxy-protocol.txt, section 2.1).
		if has(b, "PROXY TCP4 ") || has(b, "PROXY TCP6 ") || has(b, "PROXY UNKNOWN") {
			return flow.AppPROXY, SenderClient
		}
	case 'R':
		if has(b, "RFB ") && len(b) >= 12 && digit(b[4]) && digit(b[6]) && b[7] == '.' && digit(b[10]) && b[11] == '\n' {
			return flow.AppVNC, SenderUnknown // RFC 6143, section 7.1.1
		}
		if has(b, "RTSP/1.0 ") || has(b, "RTSP/2.0 ") {
			return flow.AppRTSP, SenderServer
		}
	case 'S':
		if has(b, "SIP/2.0 ") && len(b) > 8 && digit(b[8]) {
			return flow.AppSIP, SenderServer
		}
	case 'Z':
		if len(b) > 4 && has(b, "ZBXD") && b[4]&^7 == 0 && b[4]&1 != 0 {
			return flow.AppZabbix, SenderUnknown
		}
	case '@':
		if has(b, "@RSYNCD: ") && len(b) > 9 && digit(b[9]) {
			return flow.AppRsync, SenderUnknown
		}
	case '<':
		return angle(b)
	case '{':
		// JSON-RPC of mining pools: the client asks first.
		if bytes.Contains(b, []byte(`"mining.`)) || bytes.Contains(b, []byte("eth_submitLogin")) ||
			bytes.Contains(b, []byte(`"login"`)) && bytes.Contains(b, []byte(`"pass"`)) && bytes.Contains(b, []byte(`"method"`)) {
			return flow.AppStratum, SenderClient
		}
	case '0':
		// A pkt-line: four hexadecimal digits, then the service.
		if len(b) > 9 && has(b[4:], "git-") && (has(b[8:], "upload-") || has(b[8:], "receive-pack ")) {
			return flow.AppGit, SenderClient
		}
	case '*':
		if redisArray(b) {
			return flow.AppRedis, SenderClient
		}
	}
	return flow.AppUnknown, SenderUnknown
}

// angle recognises XMPP (RFC 6120, section 4.2) and syslog.
func angle(b []byte) (flow.App, Sender) {
	if has(b, "<stream:stream ") || has(b, "<?xml ") && bytes.Contains(b, []byte("<stream:stream ")) {
		return flow.AppXMPP, SenderUnknown
	}
	if syslog(b) {
		return flow.AppSyslog, SenderClient
	}
	return flow.AppUnknown, SenderUnknown
}

// syslog recognises a priority and what follows it: the version and a time or
// "-" (RFC 5424, section 6), or the month and day of BSD's (RFC 3164).
func syslog(b []byte) bool {
	i, priority := 1, 0
	for i < len(b) && i < 4 && digit(b[i]) {
		priority = priority*10 + int(b[i]-'0')
		i++
	}
	if len(b) < i+8 || i == 1 || priority > 191 || b[i] != '>' {
		return false
	}
	b = b[i+1:]
	if b[0] == '1' && b[1] == ' ' {
		return b[2] == '-' && b[3] == ' ' || digit(b[2]) && digit(b[3]) && digit(b[4]) && digit(b[5]) && b[6] == '-'
	}
	switch string(b[:4]) {
	case "Jan ", "Feb ", "Mar ", "Apr ", "May ", "Jun ", "Jul ", "Aug ", "Sep ", "Oct ", "Nov ", "Dec ":
		return (b[4] == ' ' || digit(b[4])) && digit(b[5]) && b[6] == ' '
	}
	return false
}

// redisArray recognises a request: "*" count CRLF "$" length CRLF.
func redisArray(b []byte) bool {
	for _, sign := range []byte("*$") {
		if len(b) == 0 || b[0] != sign {
			return false
		}
		i := 1
		for i < len(b) && i < 8 && digit(b[i]) {
			i++
		}
		if i == 1 || !has(b[i:], "\r\n") {
			return false
		}
		b = b[i+2:]
	}
	return true
}

// reply recognises a server that speaks first, with a number: the line of SMTP
// and FTP is told apart by the word that names either; one without stays
// unknown until the other side's command.
func reply(b, line []byte) (flow.App, Sender) {
	if len(line) < 4 || !digit(line[1]) || !digit(line[2]) || line[3] != ' ' && line[3] != '-' {
		return flow.AppUnknown, SenderUnknown
	}
	switch string(line[:3]) {
	case "220", "421", "554", "120":
		smtp := containsFold(b, "smtp")
		ftp := containsFold(b, "ftp") || containsFold(b, "filezilla")
		switch {
		case smtp && !ftp:
			return flow.AppSMTP, SenderServer
		case ftp && !smtp:
			return flow.AppFTP, SenderServer
		}
	case "200", "201", "400", "502":
		if containsFold(line, "nntp") || containsFold(line, "nnrp") || containsFold(line, "news") {
			return flow.AppNNTP, SenderServer
		}
	}
	return flow.AppUnknown, SenderUnknown
}

// session recognises the servers that speak first without a number, and the
// signalling protocols that look like HTTP.
func session(line, word, rest []byte) (flow.App, Sender) {
	switch line[0] {
	case '+':
		// "+OK" alone is as well the answer of Redis.
		if string(word) == "+OK" && len(rest) > 0 {
			return flow.AppPOP3, SenderServer
		}
		if string(line) == "+PONG" {
			return flow.AppRedis, SenderServer
		}
	case '-':
		if string(word) == "-NOAUTH" || string(word) == "-DENIED" || has(line, "-ERR unknown command") {
			return flow.AppRedis, SenderServer
		}
	case '*':
		if has(line, "* OK") || has(line, "* PREAUTH ") || has(line, "* BYE ") {
			return flow.AppIMAP, SenderServer
		}
	case ':': // the server, then a command or number (RFC 2812, section 2.3.1)
		what, _, more := bytes.Cut(rest, []byte(" "))
		if numeric := len(what) == 3 && digit(what[0]) && digit(what[1]) && digit(what[2]); more && (numeric || string(what) == "NOTICE" || string(what) == "CAP") {
			return flow.AppIRC, SenderServer
		}
	}
	if target, version := rest, []byte(nil); len(target) > 0 {
		if i := bytes.LastIndexByte(rest, ' '); i >= 0 {
			target, version = rest[:i], rest[i+1:]
		}
		switch {
		case has(target, "rtsp://") || has(target, "rtspu://"), string(version) == "RTSP/1.0", string(version) == "RTSP/2.0":
			return flow.AppRTSP, SenderClient
		case upper(word) && (has(target, "sip:") || has(target, "sips:") || has(target, "tel:")), string(version) == "SIP/2.0":
			return flow.AppSIP, SenderUnknown // both sides of a dialogue send requests
		}
	}
	return flow.AppUnknown, SenderUnknown
}

// command recognises the first command of a client. next is what follows its
// line.
func command(next, word, rest []byte) (flow.App, Sender) {
	var room [12]byte
	if len(word) > len(room) {
		return flow.AppUnknown, SenderUnknown
	}
	for i, c := range word {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		room[i] = c
	}
	alone := len(rest) == 0
	switch string(room[:len(word)]) {
	case "EHLO", "HELO", "LHLO":
		return flow.AppSMTP, SenderClient
	case "USER":
		switch bytes.Count(rest, []byte(" ")) {
		case 0:
			// POP3 has the same; its server has spoken before.
			if !alone {
				return flow.AppFTP, SenderClient
			}
		default:
			if bytes.Contains(rest, []byte(" :")) {
				return flow.AppIRC, SenderClient
			}
		}
	case "FEAT", "SYST":
		if alone {
			return flow.AppFTP, SenderClient
		}
	case "AUTH":
		if equalFold(rest, "TLS") || equalFold(rest, "SSL") || equalFold(rest, "TLS-C") {
			return flow.AppFTP, SenderClient
		}
	case "CAPA", "STLS":
		if alone {
			return flow.AppPOP3, SenderClient
		}
	case "APOP":
		if bytes.Count(rest, []byte(" ")) == 1 {
			return flow.AppPOP3, SenderClient
		}
	case "CAPABILITIES":
		return flow.AppNNTP, SenderClient
	case "MODE":
		if equalFold(rest, "READER") {
			return flow.AppNNTP, SenderClient
		}
	case "NICK":
		if !alone && bytes.IndexByte(rest, ' ') < 0 {
			return flow.AppIRC, SenderClient
		}
	case "CAP":
		if equalFold(rest, "LS") || equalFold(rest, "LS 302") {
			return flow.AppIRC, SenderClient
		}
	case "PASS":
		if next = bytes.TrimLeft(next, "\r\n"); has(next, "NICK ") || has(next, "USER ") {
			return flow.AppIRC, SenderClient
		}
	case "NOTICE":
		if has(rest, "AUTH :") || has(rest, "* :") {
			return flow.AppIRC, SenderServer
		}
	case "INFO":
		if has(rest, `{"server`) {
			return flow.AppNATS, SenderServer
		}
	case "CONNECT":
		if has(rest, `{"`) {
			return flow.AppNATS, SenderClient
		}
	}
	if memcached(word, rest) {
		return flow.AppMemcached, SenderClient
	}
	if imapCommand(word, rest) {
		return flow.AppIMAP, SenderClient
	}
	return flow.AppUnknown, SenderUnknown
}

// memcached recognises a command of its text protocol.
func memcached(word, rest []byte) bool {
	switch string(word) {
	case "stats", "version":
		return len(rest) == 0 || string(rest) == "slabs" || string(rest) == "items" || string(rest) == "settings"
	case "get", "gets":
		return len(rest) > 0 && len(rest) <= 250 && bytes.IndexByte(rest, ' ') < 0
	case "set", "add":
		n := bytes.Count(rest, []byte(" "))
		return (n == 3 || n == 4 && bytes.HasSuffix(rest, []byte(" noreply"))) && digit(rest[len(rest)-1]) == (n == 3)
	}
	return false
}

// imapCommand recognises a tag and one of the commands that a client begins
// with (RFC 9051, section 6).
func imapCommand(tag, rest []byte) bool {
	for _, c := range tag {
		if !digit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && c != '.' {
			return false
		}
	}
	what, args, _ := bytes.Cut(rest, []byte(" "))
	switch {
	case equalFold(what, "CAPABILITY"), equalFold(what, "STARTTLS"):
		return len(args) == 0
	case equalFold(what, "AUTHENTICATE"):
		return len(args) > 0
	case equalFold(what, "LOGIN"):
		return bytes.IndexByte(args, ' ') > 0
	case equalFold(what, "ID"):
		return has(args, `("`) || equalFold(args, "NIL")
	}
	return false
}

// firstLine returns the first line without its end.
func firstLine(b []byte) (line []byte, whole bool) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return b, false
	}
	return bytes.TrimSuffix(b[:i], []byte("\r")), true
}

func allPrintable(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return len(b) > 0
}

func upper(b []byte) bool {
	for _, c := range b {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return len(b) > 0
}

// equalFold compares ASCII letters without regard to case.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if b[i] != s[i] && (b[i]^s[i] != 0x20 || b[i]|0x20 < 'a' || b[i]|0x20 > 'z') {
			return false
		}
	}
	return true
}

// containsFold reports whether s, of ASCII letters, is in b.
func containsFold(b []byte, s string) bool {
	for i := 0; i+len(s) <= len(b); i++ {
		if b[i]|0x20 == s[0]|0x20 && equalFold(b[i:i+len(s)], s) {
			return true
		}
	}
	return false
}
