package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// step is one thing that a client does:
//
//	get PATH          fetch a page
//	post PATH BYTES   send so many bytes and read the answer
//	raw BYTES BYTES   send and receive so many bytes without HTTP
//	sleep MS
//	fresh             close the connection; the next step opens one
type step struct {
	verb string
	path string
	n, m int // bytes to send and to receive, or ms
}

func (s step) String() string {
	switch s.verb {
	case "get":
		return "get " + s.path
	case "post":
		return fmt.Sprintf("post %s %d", s.path, s.n)
	case "raw":
		return fmt.Sprintf("raw %d %d", s.n, s.m)
	case "sleep":
		return fmt.Sprintf("sleep %d", s.n)
	}
	return s.verb
}

// get asks for n bytes, after a wait of the server if hold is above 0 ms.
func get(n, hold int) step {
	if hold > 0 {
		return step{verb: "get", path: fmt.Sprintf("/hold/%d/%d", hold, n)}
	}
	return step{verb: "get", path: fmt.Sprintf("/b/%d", n)}
}

// post sends n bytes for an answer of m.
func post(n, m int) step { return step{verb: "post", path: fmt.Sprintf("/in/%d", m), n: n} }

func raw(n, m int) step { return step{verb: "raw", n: n, m: m} }
func sleep(ms int) step { return step{verb: "sleep", n: ms} }
func fresh() step       { return step{verb: "fresh"} }

// plan is what a client is told, as a file of lines:
//
//	url https://HOST:PORT
//	trust FILE|any              whom the client believes
//	identity CERT KEY           the client's own certificate, if it has one
//	nameless                    send no server name
//	sessions                    resume sessions where the stack must be asked to
//	then the steps
type plan struct {
	url                string
	trust              string
	cert, key          string
	nameless, sessions bool
	steps              []step
}

func (p *plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "url %s\ntrust %s\n", p.url, p.trust)
	if p.cert != "" {
		fmt.Fprintf(&b, "identity %s %s\n", p.cert, p.key)
	}
	if p.nameless {
		b.WriteString("nameless\n")
	}
	if p.sessions {
		b.WriteString("sessions\n")
	}
	for _, s := range p.steps {
		b.WriteString(s.String() + "\n")
	}
	return b.String()
}

// readPlan reads what String wrote.
func readPlan(file string) (*plan, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := &plan{}
	lines := bufio.NewScanner(f)
	for line := 1; lines.Scan(); line++ {
		if err := p.parse(strings.Fields(lines.Text())); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, line, err)
		}
	}
	return p, lines.Err()
}

func (p *plan) parse(f []string) error {
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
	s := step{verb: f[0]}
	switch f[0] {
	case "url":
		p.url = f[1]
		return nil
	case "trust":
		p.trust = f[1]
		return nil
	case "identity":
		p.cert, p.key = f[1], f[2]
		return nil
	case "nameless":
		p.nameless = true
		return nil
	case "sessions":
		p.sessions = true
		return nil
	case "get":
		s.path = f[1]
	case "post":
		s.path, s.n = f[1], number(f[2])
	case "raw":
		s.n, s.m = number(f[1]), number(f[2])
	case "sleep":
		s.n = number(f[1])
	}
	if s.n < 0 || s.m < 0 {
		return fmt.Errorf("%q: not a number", strings.Join(f, " "))
	}
	p.steps = append(p.steps, s)
	return nil
}

// parts splits steps at those of a verb, for clients that are a process for each.
func parts(steps []step, verb string) [][]step {
	var out [][]step
	for len(steps) > 0 {
		i := slices.IndexFunc(steps, func(s step) bool { return s.verb == verb })
		if i < 0 {
			i = len(steps)
		}
		if i > 0 {
			out = append(out, steps[:i])
		}
		steps = steps[min(i+1, len(steps)):]
	}
	return out
}
