// Package plan is what a client of the lab is told to do: a few lines of text
// that drivers in every language read. See Plan and Step for the lines.
package plan

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Step is one thing that a client does:
//
//	get PATH          fetch a page
//	post PATH BYTES   send so many bytes and read the answer
//	raw BYTES BYTES   send and receive so many bytes without HTTP
//	sleep MS
//	fresh             close the connection; the next step opens one
type Step struct {
	Verb string
	Path string
	N, M int // bytes to send and to receive, or ms
}

// String is the step as a line.
func (s Step) String() string {
	switch s.Verb {
	case "get":
		return "get " + s.Path
	case "post":
		return fmt.Sprintf("post %s %d", s.Path, s.N)
	case "raw":
		return fmt.Sprintf("raw %d %d", s.N, s.M)
	case "sleep":
		return fmt.Sprintf("sleep %d", s.N)
	}
	return s.Verb
}

// Get asks for n bytes, after a wait of the server if hold is above 0 ms.
func Get(n, hold int) Step {
	if hold > 0 {
		return Step{Verb: "get", Path: fmt.Sprintf("/hold/%d/%d", hold, n)}
	}
	return Step{Verb: "get", Path: fmt.Sprintf("/b/%d", n)}
}

// Post sends n bytes for an answer of m.
func Post(n, m int) Step { return Step{Verb: "post", Path: fmt.Sprintf("/in/%d", m), N: n} }

// Raw sends n bytes for m without HTTP.
func Raw(n, m int) Step { return Step{Verb: "raw", N: n, M: m} }

// Sleep waits for so many ms.
func Sleep(ms int) Step { return Step{Verb: "sleep", N: ms} }

// Fresh closes the connection.
func Fresh() Step { return Step{Verb: "fresh"} }

// Plan is what a client is told, as a file of lines:
//
//	url https://HOST:PORT
//	trust FILE|any              whom the client believes
//	identity CERT KEY           the client's own certificate, if it has one
//	nameless                    send no server name
//	sessions                    resume sessions where the stack must be asked to
//	then the steps
type Plan struct {
	URL                string
	Trust              string
	Cert, Key          string
	Nameless, Sessions bool
	Steps              []Step
}

// String is the plan as the file that clients read.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "url %s\ntrust %s\n", p.URL, p.Trust)
	if p.Cert != "" {
		fmt.Fprintf(&b, "identity %s %s\n", p.Cert, p.Key)
	}
	if p.Nameless {
		b.WriteString("nameless\n")
	}
	if p.Sessions {
		b.WriteString("sessions\n")
	}
	for _, s := range p.Steps {
		b.WriteString(s.String() + "\n")
	}
	return b.String()
}

// Read reads what String wrote.
func Read(file string) (*Plan, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := &Plan{}
	lines := bufio.NewScanner(f)
	for line := 1; lines.Scan(); line++ {
		if err := p.parse(strings.Fields(lines.Text())); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, line, err)
		}
	}
	return p, lines.Err()
}

func (p *Plan) parse(f []string) error {
	fields := map[string]int{"url": 2, "trust": 2, "identity": 3, "nameless": 1, "sessions": 1, "get": 2, "post": 3, "raw": 3, "sleep": 2, "fresh": 1}
	if len(f) == 0 || fields[f[0]] != len(f) {
		return fmt.Errorf("%q is no line of a plan", strings.Join(f, " "))
	}
	number := func(s string) (n int) {
		v, err := strconv.Atoi(s)
		if err != nil || v < 0 {
			return -1
		}
		return v
	}
	s := Step{Verb: f[0]}
	switch f[0] {
	case "url":
		p.URL = f[1]
		return nil
	case "trust":
		p.Trust = f[1]
		return nil
	case "identity":
		p.Cert, p.Key = f[1], f[2]
		return nil
	case "nameless":
		p.Nameless = true
		return nil
	case "sessions":
		p.Sessions = true
		return nil
	case "get":
		s.Path = f[1]
	case "post":
		s.Path, s.N = f[1], number(f[2])
	case "raw":
		s.N, s.M = number(f[1]), number(f[2])
	case "sleep":
		s.N = number(f[1])
	}
	if s.N < 0 || s.M < 0 {
		return fmt.Errorf("%q: not a number", strings.Join(f, " "))
	}
	p.Steps = append(p.Steps, s)
	return nil
}
