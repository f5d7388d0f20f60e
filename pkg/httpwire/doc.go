// Package httpwire reads the heads of HTTP/1 messages in clear (RFC 9112):
//
//	request:  method SP target SP version CRLF  fields  CRLF
//	response: version SP status SP reason CRLF  fields  CRLF
//	field:    name ":" OWS value OWS CRLF; a line that begins with a space or tab
//	          goes on with the value before it (obsolete folding)
//
// The input is a row of such heads of one direction, without the bodies. A line
// may end with LF alone. Reading stops at what is no head; a head whose end was
// not captured is kept and marked Incomplete. Names and values are the bytes
// as sent, which need not be valid UTF-8.
//
// A Scanner finds the heads in one side of a connection (RFC 9112, section 6): it skips
// bodies by Content-Length or the chunked coding, and ends where one side alone cannot
// tell what follows: a body up to the close, a tunnel, an upgrade.
package httpwire
