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
package httpwire
