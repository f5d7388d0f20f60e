package bus

// maxNames bounds how many names are kept to be used again.
const maxNames = 64

// Names keeps one copy of each topic and header name that is read, so that they are
// not made anew for each record. Its zero value is empty; it belongs to one goroutine.
type Names struct{ known map[string]string }

// Of returns b as a string.
func (n *Names) Of(b []byte) string {
	if s, ok := n.known[string(b)]; ok {
		return s
	}
	s := string(b)
	if n.known == nil {
		n.known = map[string]string{}
	}
	if len(n.known) < maxNames {
		n.known[s] = s
	}
	return s
}
