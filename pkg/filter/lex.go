package filter

import (
	"fmt"
	"strings"
)

// token is a word or an operator with its place.
type token struct {
	text    string
	at      int  // byte offset in the expression
	word    bool // else an operator
	escaped bool // behind a backslash: a value even if it is a keyword
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == ':' || c == '-'
}

// maxExpression bounds an expression.
const maxExpression = 64 << 10

// lex takes an expression apart. Colons and hyphens belong to words (addresses,
// names as tcp-syn), except that between brackets a colon stands alone.
func lex(s string) ([]token, error) {
	if len(s) > maxExpression {
		return nil, fmt.Errorf("%d bytes are longer than %d", len(s), maxExpression)
	}
	var out []token
	brackets := 0
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case c == '\\' || isWord(c) && c != '-' && (c != ':' || brackets == 0):
			t := token{at: i, word: true, escaped: c == '\\'}
			if t.escaped {
				i++
			}
			from := i
			for i < len(s) && isWord(s[i]) && (brackets == 0 || s[i] != ':') {
				i++
			}
			for i > from && s[i-1] == '-' { // not the end of a word
				i--
			}
			if t.text = s[from:i]; t.text == "" {
				return nil, fmt.Errorf("at %d: nothing behind the backslash", t.at)
			}
			out = append(out, t)
			continue
		}
		n := 1
		if i+1 < len(s) {
			switch s[i : i+2] {
			case "&&", "||", "==", "!=", "<=", ">=", "<<", ">>":
				n = 2
			}
		}
		op := s[i : i+n]
		if !strings.Contains("&& || == != <= >= << >> ( ) [ ] ! = < > + - * / % & | ^ :", op) {
			return nil, fmt.Errorf("at %d: unexpected %q", i, op)
		}
		switch op {
		case "[":
			brackets++
		case "]":
			brackets--
		case "&&":
			op = "and"
		case "||":
			op = "or"
		case "!":
			op = "not"
		case "==":
			op = "="
		}
		out = append(out, token{text: op, at: i})
		i += n
	}
	return out, nil
}
