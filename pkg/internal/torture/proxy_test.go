package torture_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"trench/pkg/internal/torture"
)

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the connection
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, p *torture.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// said reports whether what is said comes back.
func said(c net.Conn, text []byte) bool {
	go func() { _, _ = c.Write(text) }() // ends with the connection
	got := make([]byte, len(text))
	_, err := io.ReadFull(c, got)
	return err == nil && bytes.Equal(got, text)
}

func TestAProxyCarriesCutsRefusesAndDelays(t *testing.T) {
	t.Parallel()
	p, err := torture.NewProxy()
	if err != nil {
		t.Fatal(err)
	}
	if said(dial(t, p), []byte("nobody there")) {
		t.Error("an answer from nothing")
	}
	p.SetTarget(echo(t))
	big := bytes.Repeat([]byte("0123456789"), 500_000)
	first, second := dial(t, p), dial(t, p)
	if !said(first, big) || !said(second, []byte("small")) {
		t.Fatal("what is sent does not come back")
	}
	if n := p.Cut(); n != 2 {
		t.Errorf("%d connections cut, want 2", n)
	}
	if said(first, []byte("x")) || said(second, []byte("x")) {
		t.Error("a cut connection carries")
	}
	p.Refuse(true)
	if said(dial(t, p), []byte("x")) {
		t.Error("a refused connection carries")
	}
	p.Refuse(false)
	slow, begin := dial(t, p), time.Now()
	const delay = 50 * time.Millisecond
	p.SetDelay(delay)
	if !said(slow, big) {
		t.Error("a slow connection loses something")
	}
	if took := time.Since(begin); took < 2*delay {
		t.Errorf("there and back took %v, want %v at least", took, 2*delay)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", p.Addr()); err == nil {
		t.Error("a closed proxy listens")
	}
}
